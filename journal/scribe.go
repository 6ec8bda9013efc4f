package journal

import (
	"context"
	"slices"
	"time"

	"busbar/routing"
)

// tickEvery is how late a record may reach those that listen.
const tickEvery = 100 * time.Millisecond

// scribe turns batches into segments, and shows new records to the listeners
// and to the figures of the last minute. All of that is off the request path.
func (r *Recorder) scribe(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	s := scribe{Recorder: r}
	for {
		select {
		case <-ctx.Done():
			r.mu.Lock()
			if r.open.size > 0 {
				r.seal()
			}
			r.mu.Unlock()
			s.turn(time.Now())
			r.live.end()
			return
		case <-tick.C:
		case <-r.full:
		}
		s.turn(time.Now())
	}
}

type scribe struct {
	*Recorder
	// shown are how many records of the oldest batch were shown already.
	shownMessages, shownLegs int
	// opened is when the open batch was first seen with a record in it.
	opened time.Time
	loss   loss
	// others are the events of other replicas that are not yet shown in this turn.
	others []Event
	// telling says that another replica listened in the last turn.
	telling bool
}

// turn takes up everything that has come since the last turn.
func (s *scribe) turn(now time.Time) {
	s.mu.Lock()
	switch {
	case s.open.size == 0:
		s.opened = time.Time{}
	case s.opened.IsZero():
		s.opened = now
	case now.Sub(s.opened) >= batchAge:
		s.seal()
	}
	sealed, open, dropped := slices.Clone(s.sealed), *s.open, s.dropped
	if len(sealed) > 0 {
		s.opened = time.Time{}
	}
	s.mu.Unlock()

	var lost int64
	s.others, lost = s.exchange.take()
	s.live.lost(lost)
	s.beginTelling(now)
	for _, b := range sealed {
		s.show(*b, now)
		s.shownMessages, s.shownLegs = 0, 0
		s.replace(b, s.codec.seal(*b, now))
	}
	s.show(open, now)
	s.showOthers(nil)
	s.loss.report(s.cfg.Logger, dropped, now)
}

// show hands out what is new in a batch.
func (s *scribe) show(b batch, now time.Time) {
	for i := s.shownMessages; i < len(b.messages); i++ {
		s.pulse.message(&b.messages[i], now)
		s.showOthers(&b.messages[i])
		s.live.message(&b.messages[i], false)
	}
	for i := s.shownLegs; i < len(b.legs); i++ {
		s.pulse.legs(&b.legs[i], now)
		s.live.legs(&b.legs[i], false)
	}
	s.tell(b)
	s.shownMessages, s.shownLegs = len(b.messages), len(b.legs)
}

// showOthers hands out what had ended at other replicas when the message did
// here; nil is the rest of it.
func (s *scribe) showOthers(before *routing.Message) {
	for len(s.others) > 0 {
		e := s.others[0]
		if before != nil && e.ended().After(before.Time.Add(before.Duration)) {
			return
		}
		s.others = s.others[1:]
		if e.Message != nil {
			s.live.message(e.Message, true)
		} else {
			s.live.legs(e.Legs, true)
		}
	}
}

// beginTelling tells those who have begun to listen elsewhere what has passed
// meanwhile.
func (s *scribe) beginTelling(now time.Time) {
	was := s.telling
	if s.telling = s.exchange != nil && s.exchange.listened.Load(); s.telling && !was {
		s.exchange.tell(s.live.since(s.exchange.mark.Load(), s.exchange.endingsMark.Load(), now.Add(-backlogAge)))
	}
}

// tell tells the other replicas what is new in a batch, if any listens.
func (s *scribe) tell(b batch) {
	if n := (news{b.messages[s.shownMessages:], b.legs[s.shownLegs:]}); s.telling && n.count() > 0 {
		s.exchange.tell(n)
	}
}

// replace puts a segment in the place of the batch, so that a search finds one
// or the other.
func (s *scribe) replace(b *batch, segment Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = s.sealed[1:]
	s.held, s.bytes = s.held-b.size, s.bytes-b.bytes
	s.waiting = append(s.waiting, segment)
	s.bound()
	notify(s.written)
}

// waitingMost bounds the segments that wait for the store, in bytes.
const waitingMost = 64 << 20

// bound drops the oldest segments when too many wait. The first may be on its
// way into the store; then it is counted as dropped though it may arrive.
func (r *Recorder) bound() {
	size := 0
	for i, s := range slices.Backward(r.waiting) {
		if size += len(s.Body) + len(s.Filter); size <= waitingMost {
			continue
		}
		if r.cfg.Store != nil {
			for _, lost := range r.waiting[:i+1] {
				r.dropped += int64(lost.Records)
			}
		}
		r.waiting = slices.Clone(r.waiting[i+1:])
		return
	}
}

// unstored is what is not yet in the store.
type unstored struct {
	batches  []batch
	segments []Segment
}

func (r *Recorder) unstored() unstored {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := unstored{segments: slices.Clone(r.waiting), batches: make([]batch, 0, len(r.sealed)+1)}
	for _, b := range append(slices.Clip(r.sealed), r.open) {
		u.batches = append(u.batches, *b)
	}
	return u
}
