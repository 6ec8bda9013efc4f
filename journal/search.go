package journal

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"busbar/routing"
)

const (
	limitDefault, limitMost = 100, 1000
	// segmentsAtOnce are read from the store together, without their bodies, and
	// bodiesAtOnce of those that may hold what is searched for. A search ends
	// after bodiesMost, or searchFor.
	segmentsAtOnce, bodiesAtOnce, bodiesMost = 500, 10, 2000
	searchFor                                = 2 * time.Second
	// legsGrain is how precise the time of legs is: that of their message.
	legsGrain = time.Microsecond
)

// Search returns the messages that the query picks, the newest first. A message
// that is taken note of later than a newer one, because it took long, moves
// nothing. It fails with ErrCursor, or when the store does.
func (r *Recorder) Search(ctx context.Context, q Query) (Page, error) {
	limit := q.Limit
	if limit == 0 {
		limit = limitDefault
	}
	limit = min(limit, limitMost)
	before, err := readCursor(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	if end := (place{nanoOf(q.Until), 0}); !q.Until.IsZero() && end.compare(before) < 0 {
		before = end
	}
	s := &search{Recorder: r, match: newMatcher(q.Filter), before: before, since: q.Since}
	s.memory()
	deadline := time.Now().Add(searchFor)
	err = s.store(ctx, func() bool {
		return s.final() >= limit+1 || (s.scanned >= bodiesMost || time.Now().After(deadline)) && s.advanced()
	})
	if err != nil {
		return Page{}, err
	}
	return s.page(limit), nil
}

// Message returns all messages with the correlation id, the oldest first, with
// the legs of broadcasts: a message, and what came back later under its id. None
// is no error. It looks from the newest back, and after a find a little further;
// times between which they lie, when they are known, spare it the way.
func (r *Recorder) Message(ctx context.Context, correlationID string, since, until time.Time) ([]Item, error) {
	const further, most = 10 * time.Minute, 15 * time.Second
	end := place{math.MaxInt64, math.MaxUint64}
	if !until.IsZero() {
		end = place{nanoOf(until), 0}
	}
	s := &search{Recorder: r, match: newMatcher(Filter{CorrelationID: correlationID}), before: end, since: since}
	s.memory()
	deadline := time.Now().Add(most)
	err := s.store(ctx, func() bool {
		oldest := int64(math.MaxInt64)
		for _, h := range s.hits {
			oldest = min(oldest, h.place.nano)
		}
		found := len(s.hits) > 0 && s.frontier < oldest-int64(further)
		return found || len(s.hits) >= limitMost || time.Now().After(deadline)
	})
	if err != nil {
		return nil, err
	}
	s.frontier = math.MinInt64
	items := s.page(limitMost).Items
	slices.Reverse(items)
	return items, nil
}

// search reads segments from the newest back. Everything in a segment is older
// than its ID, so what is newer than the ID that was read last is final: no
// other segment holds anything newer.
type search struct {
	*Recorder
	match  matcher
	before place
	since  time.Time

	hits []hit
	legs map[string][]routing.Legs
	// frontier is the time, in nanoseconds, behind which all was read.
	frontier int64
	scanned  int
	// more tells that segments were left.
	more bool
}

type hit struct {
	place   place
	message routing.Message
}

// memory searches what is not yet in the store.
func (s *search) memory() {
	s.frontier = math.MaxInt64
	s.legs = make(map[string][]routing.Legs)
	u := s.unstored()
	for _, b := range u.batches {
		for i := range b.messages {
			s.message(&b.messages[i])
		}
		for i := range b.legs {
			s.leg(&b.legs[i])
		}
	}
	for i := range u.segments {
		s.segment(&u.segments[i])
	}
}

// store searches the store until enough is true or there is no more.
func (s *search) store(ctx context.Context, enough func() bool) error {
	if s.cfg.Store == nil {
		s.frontier = math.MinInt64
		return nil
	}
	var until time.Time
	if s.before.nano < math.MaxInt64 {
		until = time.Unix(0, s.before.nano+1)
	}
	since := s.since
	if !since.IsZero() {
		since = since.Add(-legsGrain) // for legs in a segment of their own
	}
	for before := ""; ; {
		segments, err := s.cfg.Store.Segments(ctx, since, until, before, segmentsAtOnce)
		if err != nil {
			return fmt.Errorf("search the journal: %w", err)
		}
		read, done, err := s.segments(ctx, segments, enough)
		if err != nil {
			return fmt.Errorf("search the journal: %w", err)
		}
		s.more = read < len(segments) || len(segments) == segmentsAtOnce
		if done || !s.more {
			break
		}
		before = segments[read-1].ID
	}
	if !s.more {
		s.frontier = math.MinInt64
	}
	return nil
}

// segments searches segments in their order until enough is true; it tells how
// many it has done.
func (s *search) segments(ctx context.Context, segments []Segment, enough func() bool) (read int, done bool, err error) {
	var bodies map[string][]byte
	asked := 0 // up to where bodies were asked for
	for i := range segments {
		segment := &segments[i]
		if s.match.segment(segment) {
			if i >= asked {
				if bodies, asked, err = s.bodies(ctx, segments, i); err != nil {
					return i, false, err
				}
			}
			segment.Body = bodies[segment.ID] // none, if it was forgotten meanwhile
			s.segment(segment)
			s.scanned++
		}
		s.frontier = segment.sealedAt().UnixNano()
		if enough() {
			return i + 1, true, nil
		}
	}
	return len(segments), false, nil
}

// bodies reads those of the next segments, from one that may hold what is
// searched for, and tells which is the first behind them.
func (s *search) bodies(ctx context.Context, segments []Segment, from int) (_ map[string][]byte, behind int, err error) {
	ids := make([]string, 0, bodiesAtOnce)
	for behind = from; behind < len(segments) && len(ids) < bodiesAtOnce; behind++ {
		if s.match.segment(&segments[behind]) {
			ids = append(ids, segments[behind].ID)
		}
	}
	bodies, err := s.cfg.Store.Bodies(ctx, ids)
	return bodies, behind, err
}

// final counts the hits that no segment can come before, as far as that matters.
func (s *search) final() int {
	n := 0
	for i := range s.hits {
		if s.hits[i].place.nano > s.frontier {
			n++
		}
	}
	return n
}

// advanced tells that a search that ends here got further than where it began.
func (s *search) advanced() bool { return s.frontier < s.before.nano }

// segment searches one segment. One that cannot be read is passed by: it must
// not hide all others.
func (s *search) segment(segment *Segment) {
	if !s.match.segment(segment) {
		return
	}
	err := s.codec.open(*segment, func(line []byte) bool {
		if bytes.HasPrefix(line, []byte(legsPrefix)) {
			if l, err := readLegs(line); err == nil {
				s.leg(&l)
			}
			return true
		}
		// What does not begin with a time is of a later version.
		if at, ok := lineTime(line); !ok || !s.within(at) || !s.match.line(line) {
			return true
		}
		if m, err := readMessage(line); err == nil {
			s.message(&m)
		}
		return true
	})
	if err != nil {
		s.cfg.Logger.Error("a journal segment cannot be read", "error", err)
	}
}

// lineTime reads the time of a message's line.
func lineTime(line []byte) (nano int64, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(timePrefix))
	digits, _, _ := bytes.Cut(rest, []byte{','})
	nano, err := strconv.ParseInt(string(digits), 10, 64)
	return nano, ok && err == nil
}

func (s *search) within(nano int64) bool {
	return nano <= s.before.nano && (s.since.IsZero() || nano >= nanoOf(s.since))
}

func (s *search) message(m *routing.Message) {
	if !s.within(m.Time.UnixNano()) || !s.match.message(m) {
		return
	}
	if at := placeOf(m); at.compare(s.before) < 0 {
		s.hits = append(s.hits, hit{at, *m})
	}
}

func (s *search) leg(l *routing.Legs) {
	if s.match.legs(l) {
		s.legs[l.CorrelationID] = append(s.legs[l.CorrelationID], *l)
	}
}

// page is what was found and is final.
func (s *search) page(limit int) Page {
	slices.SortFunc(s.hits, func(a, b hit) int { return b.place.compare(a.place) })
	// A batch that was stored while the search ran is found twice.
	hits := slices.CompactFunc(s.hits, func(a, b hit) bool { return a.place == b.place })
	page := Page{Items: make([]Item, 0, min(limit, len(hits)))}
	for i := range hits {
		if hits[i].place.nano <= s.frontier {
			break
		}
		if len(page.Items) == limit {
			page.Next = hits[i-1].place.cursor()
			return page
		}
		page.Items = append(page.Items, Item{Message: hits[i].message, Legs: s.legsOf(&hits[i].message)})
	}
	if s.more {
		page.Next = place{s.frontier, math.MaxUint64}.cursor()
	}
	return page
}

// legsOf finds how a broadcast ended. A sender may use one correlation id for
// several: its legs have its time. They may have been sent by another method.
func (s *search) legsOf(m *routing.Message) (last *routing.Legs) {
	if m.Plan != routing.PlanBroadcast {
		return nil
	}
	at := m.Time.Truncate(legsGrain)
	for i := range s.legs[m.CorrelationID] {
		l := &s.legs[m.CorrelationID][i]
		if l.Module != m.Module || l.From != m.From || !l.Time.Truncate(legsGrain).Equal(at) {
			continue
		}
		// A broadcast that another replica took over may have ended twice: the last
		// word counts.
		if last == nil || l.Duration > last.Duration {
			last = l
		}
	}
	return last
}
