package routing

import (
	"context"
	"sync"
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// Bounds of what one request makes many of: each asks all eMSPs, or lists at all
// CPOs. One platform alone cannot take all places.
const (
	mostAsks, mostAsksOfOne       = 256, 64
	mostGathers, mostGathersOfOne = 16, 4
	// mostListCalls are the calls of all gathers at a time, each of which may bring
	// peer.MaxAnswer bytes.
	mostListCalls = 32
)

// turns lets a number of requests go on at a time, and of those no more than some
// for one platform. The others wait.
type turns struct {
	free  chan struct{}
	ofOne int

	mu    sync.Mutex
	lines map[parties.PlatformID]*line
}

// line is one platform's places, while it has or wants any.
type line struct {
	free  chan struct{}
	users int
}

func newTurns(most, ofOne int) *turns {
	return &turns{free: make(chan struct{}, most), ofOne: ofOne, lines: make(map[parties.PlatformID]*line)}
}

// wait waits for a turn until the deadline. Whoever has one calls done; ok is
// false when there was none.
func (t *turns) wait(ctx context.Context, id parties.PlatformID, deadline time.Time) (done func(), ok bool) {
	mine := t.enter(id)
	if !place(ctx, mine.free, deadline) {
		t.leave(id, mine)
		return nil, false
	}
	if !place(ctx, t.free, deadline) {
		<-mine.free
		t.leave(id, mine)
		return nil, false
	}
	return func() {
		<-t.free
		<-mine.free
		t.leave(id, mine)
	}, true
}

func (t *turns) enter(id parties.PlatformID) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.lines[id]
	if mine == nil {
		mine = &line{free: make(chan struct{}, t.ofOne)}
		t.lines[id] = mine
	}
	mine.users++
	return mine
}

func (t *turns) leave(id parties.PlatformID, mine *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(t.lines, id)
	}
}

// place takes a place as soon as one is free; it is false when that takes too long.
func place(ctx context.Context, free chan struct{}, deadline time.Time) bool {
	select {
	case free <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case free <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// noTurn answers a request that got none.
func (r *Router) noTurn(ctx context.Context, req *ocpi.Request, what string, m *Message) Reply {
	refusal := ocpi.Errorf(ocpi.HubError, "too many %s are under way; try again", what)
	m.Outcome, m.Detail = OutcomeRefused, refusal.Message
	if ctx.Err() != nil {
		m.Outcome = OutcomeCancelled
	}
	return r.hubAnswer(req, refusal)
}
