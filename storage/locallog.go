package storage

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"busbar/routing"
)

// localPatience is how long a Run that is to end waits for broadcasts none of
// which ends. The record has them.
const localPatience = 1500 * time.Millisecond

// localLog carries broadcasts within the process. It holds what no Run has taken
// yet, which is little, since deliver does not block, and what is under way. What
// is appended while none runs waits for the next one; it is lost when the process
// ends.
type localLog struct {
	mu      sync.Mutex
	waiting []*carried // guarded by mu
	// wake holds a value while waiting may not be empty.
	wake chan struct{}
	// delivering is held from the taking of broadcasts until they are handed
	// out, so that several Runs keep their order too.
	delivering sync.Mutex
	patience   time.Duration
	// hurried holds a value when a Run is to end at once.
	hurried chan struct{}
}

// carried is a broadcast that has not ended.
type carried struct {
	broadcast *routing.Broadcast
	ended     func()
	over      atomic.Bool
	// again tells that a Run has handed it over and given it up, newest is the
	// highest revision that was handed over by then.
	again  bool
	newest int64
}

var _ routing.BroadcastLog = (*localLog)(nil)

func newLocalLog() *localLog {
	return &localLog{wake: make(chan struct{}, 1), hurried: make(chan struct{}, 1), patience: localPatience}
}

// Append has the broadcast at once.
func (l *localLog) Append(b *routing.Broadcast, ended func()) (taken <-chan struct{}) {
	l.mu.Lock()
	l.waiting = append(l.waiting, &carried{broadcast: b, ended: ended})
	l.mu.Unlock()
	l.hurry()
	return nil
}

func (l *localLog) hurry() {
	select {
	case l.wake <- struct{}{}:
	default: // it has not yet seen the last wake
	}
}

// CutShort implements routing.BroadcastLog.
func (l *localLog) CutShort() {
	select {
	case l.hurried <- struct{}{}:
	default: // the last one is not done with
	}
}

// localRun is one Run of the log.
type localRun struct {
	log     *localLog
	deliver func(routing.Handed)
	// over tells that Run has given up what is under way.
	over atomic.Bool

	mu sync.Mutex
	// underWay are those handed over that have not ended, by when they were handed
	// over; handed counts those, ends wakes Run.
	underWay map[int]*carried
	handed   int
	newest   int64
	ends     chan struct{}
}

// Run implements routing.BroadcastLog. What does not end, although Run is to, the
// next Run hands over again.
func (l *localLog) Run(ctx context.Context, deliver func(routing.Handed)) {
	select {
	case <-l.hurried: // it was for an earlier one
	default:
	}
	r := &localRun{log: l, deliver: deliver, underWay: make(map[int]*carried), ends: make(chan struct{}, 1)}
	for {
		// Before the first wake, too: an earlier Run may have taken that.
		r.handOut()
		select {
		case <-ctx.Done():
			r.handOut()
			r.wait()
			return
		case <-l.wake:
		}
	}
}

func (r *localRun) handOut() {
	r.log.delivering.Lock()
	defer r.log.delivering.Unlock()
	for _, c := range r.log.take() {
		if c.over.Load() {
			continue // it ended after all
		}
		r.mu.Lock()
		r.handed++
		n := r.handed
		r.underWay[n] = c
		r.newest = max(r.newest, c.broadcast.Revision)
		r.mu.Unlock()
		r.deliver(routing.Handed{
			Broadcast: c.broadcast, Again: c.again, Newest: c.newest,
			Held: r.held, Done: func() { r.done(n, c) },
		})
	}
}

func (r *localRun) held() bool { return !r.over.Load() }

func (r *localRun) done(n int, c *carried) {
	// A Run that gave it up may be told, too.
	if !c.over.Swap(true) && c.ended != nil {
		c.ended()
	}
	r.mu.Lock()
	delete(r.underWay, n)
	r.mu.Unlock()
	select {
	case r.ends <- struct{}{}:
	default: // Run has not yet seen the last one
	}
}

// wait returns when nothing is under way, or gives the rest back to the log when
// nothing ends any more.
func (r *localRun) wait() {
	late := time.NewTimer(r.log.patience)
	defer late.Stop()
	for r.count() > 0 {
		select {
		case <-r.ends:
			late.Reset(r.log.patience)
			continue
		case <-late.C:
		case <-r.log.hurried:
		}
		r.giveUp()
		return
	}
}

func (r *localRun) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.underWay)
}

func (r *localRun) giveUp() {
	r.over.Store(true)
	r.mu.Lock()
	numbers := make([]int, 0, len(r.underWay))
	for n := range r.underWay {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	left := make([]*carried, len(numbers))
	for i, n := range numbers {
		left[i] = r.underWay[n]
		left[i].again, left[i].newest = true, max(left[i].newest, r.newest)
		repeated := *left[i].broadcast // who has it goes on reading it
		repeated.Repeated = true
		left[i].broadcast = &repeated
	}
	r.mu.Unlock()
	l := r.log
	l.mu.Lock()
	l.waiting = append(left, l.waiting...)
	l.mu.Unlock()
	l.hurry()
}

func (l *localLog) take() []*carried {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.waiting
	l.waiting = nil
	return taken
}
