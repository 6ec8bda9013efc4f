package journal

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// Erasure picks messages to be taken out of the journal.
type Erasure struct {
	// Tokens are the pseudonyms of a driver's token; see Filter.
	Tokens []string
	// Owner bounds it to the token of one eMSP: messages with the eMSP in their
	// path, from it or to it. Zero is all.
	Owner ocpi.PartyKey
	// Wait is how long other replicas may have records that they have not stored.
	Wait time.Duration
}

// settlePoll is how often Erase looks whether the records are stored.
const settlePoll = 50 * time.Millisecond

// Erase takes messages out of memory and the store, and tells how many they were.
// It first waits until what this replica has taken note of is stored. Other
// replicas still show their newest messages to listeners until others have taken
// their place. It fails when the store does, or ctx ends; then some may be left,
// and it may be called again.
func (r *Recorder) Erase(ctx context.Context, e Erasure) (int, error) {
	if len(e.Tokens) == 0 {
		return 0, nil
	}
	m := newMatcher(Filter{Tokens: e.Tokens})
	if err := r.settle(ctx, e.Wait); err != nil {
		return 0, fmt.Errorf("erase from the journal: %w", err)
	}
	r.live.erase(func(msg *routing.Message) bool { return e.picks(&m, msg) })
	n := r.eraseWaiting(&m, &e)
	stored, err := r.eraseStored(ctx, &m, &e)
	if err != nil {
		return n + stored, fmt.Errorf("erase from the journal: %w", err)
	}
	return n + stored, nil
}

func (e *Erasure) picks(m *matcher, msg *routing.Message) bool {
	return m.message(msg) && (e.Owner.IsZero() || msg.From == e.Owner || msg.To == e.Owner || ownerIn(msg.Path) == e.Owner)
}

// ownerIn is the party that a path begins with; zero if with none.
func ownerIn(path string) ocpi.PartyKey {
	countryCode, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	partyID, _, _ := strings.Cut(rest, "/")
	owner, err := ocpi.ParsePartyKey(countryCode, partyID)
	if err != nil {
		return ocpi.PartyKey{}
	}
	return owner
}

// settle waits until every record that was taken note of is in a segment and, if
// there is a store, stored.
func (r *Recorder) settle(ctx context.Context, wait time.Duration) error {
	until := time.Now().Add(wait)
	r.mu.Lock()
	if r.open.size > 0 {
		r.seal()
	}
	upTo := r.seals
	r.mu.Unlock()
	notify(r.full)
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	for {
		r.mu.Lock()
		left := r.seals - len(r.sealed)
		if r.cfg.Store != nil {
			left -= len(r.waiting)
		}
		r.mu.Unlock()
		if left >= upTo && !time.Now().Before(until) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// eraseWaiting rewrites segments that are in memory only.
func (r *Recorder) eraseWaiting(m *matcher, e *Erasure) (n int) {
	if r.cfg.Store != nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.waiting {
		if without, erased, err := r.codec.without(r.waiting[i], m, e); err == nil && erased > 0 {
			r.waiting[i] = without
			n += erased
		}
	}
	return n
}

// eraseStored goes through the store from the newest segment back, and reads
// those that may hold one of the messages.
func (r *Recorder) eraseStored(ctx context.Context, m *matcher, e *Erasure) (n int, err error) {
	if r.cfg.Store == nil {
		return 0, nil
	}
	for before := ""; ; {
		segments, err := r.cfg.Store.Segments(ctx, time.Time{}, time.Time{}, before, segmentsAtOnce)
		if err != nil {
			return n, err
		}
		for i := range segments {
			if before = segments[i].ID; !m.segment(&segments[i]) {
				continue
			}
			erased, err := r.eraseSegment(ctx, segments[i], m, e)
			if n += erased; err != nil {
				return n, err
			}
		}
		if len(segments) < segmentsAtOnce {
			return n, nil
		}
	}
}

func (r *Recorder) eraseSegment(ctx context.Context, s Segment, m *matcher, e *Erasure) (int, error) {
	bodies, err := r.cfg.Store.Bodies(ctx, []string{s.ID})
	if err != nil || bodies[s.ID] == nil {
		return 0, err // forgotten meanwhile, if there is no error
	}
	s.Body = bodies[s.ID]
	without, n, err := r.codec.without(s, m, e)
	if err != nil {
		// One that cannot be read shows nothing to anybody, and must not keep the
		// others from being erased.
		r.cfg.Logger.Error("a journal segment cannot be read", "error", err)
		return 0, nil
	}
	if n == 0 {
		return 0, nil
	}
	return n, r.cfg.Store.RewriteSegment(ctx, without)
}

// without is a segment without the messages that are erased, and how many these
// were. Its filter stays: it tells what cannot be in the segment, and of what can
// no more than a hundredth of a guess.
func (c *codec) without(s Segment, m *matcher, e *Erasure) (Segment, int, error) {
	var kept bytes.Buffer
	n := 0
	err := c.open(s, func(line []byte) bool {
		if m.line(line) && !bytes.HasPrefix(line, []byte(legsPrefix)) {
			if msg, err := readMessage(line); err == nil && e.picks(m, &msg) {
				n++
				return true
			}
		}
		kept.Write(line)
		return true
	})
	if err != nil || n == 0 {
		return s, 0, err
	}
	s.Records -= n
	s.Body = c.packer.EncodeAll(kept.Bytes(), nil)
	return s, n, nil
}

// erase takes messages out of what new listeners are shown.
func (v *live) erase(picks func(*routing.Message) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.recent {
		if m := &v.recent[i]; !m.Time.IsZero() && picks(m) {
			*m = routing.Message{}
		}
	}
}
