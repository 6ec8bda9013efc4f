package storage

import (
	"context"
	"sync"

	"busbar/routing"
)

// localLog carries broadcasts within the process. It holds only what no Run has
// taken yet, which is little: deliver does not block. What is appended while
// none runs waits for the next one; it is lost when the process ends.
type localLog struct {
	mu      sync.Mutex
	waiting []routing.Handed // guarded by mu
	// wake holds a value while waiting may not be empty.
	wake chan struct{}
	// delivering is held from the taking of broadcasts until they are handed
	// out, so that several Runs keep their order too.
	delivering sync.Mutex
}

var _ routing.BroadcastLog = (*localLog)(nil)

func newLocalLog() *localLog { return &localLog{wake: make(chan struct{}, 1)} }

// Append has the broadcast at once.
func (l *localLog) Append(b *routing.Broadcast, ended func()) {
	l.mu.Lock()
	l.waiting = append(l.waiting, routing.Handed{Broadcast: b, Done: ended})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it has not yet seen the last wake
	}
}

// Run implements routing.BroadcastLog.
func (l *localLog) Run(ctx context.Context, deliver func(routing.Handed)) {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	for {
		// Before the first wake, too: an earlier Run may have taken that.
		l.handOut(&underWay, deliver)
		select {
		case <-ctx.Done():
			l.handOut(&underWay, deliver)
			return
		case <-l.wake:
		}
	}
}

func (l *localLog) handOut(underWay *sync.WaitGroup, deliver func(routing.Handed)) {
	l.delivering.Lock()
	defer l.delivering.Unlock()
	for _, h := range l.take() {
		underWay.Add(1)
		ended := h.Done
		h.Done = func() {
			if ended != nil {
				ended()
			}
			underWay.Done()
		}
		deliver(h)
	}
}

func (l *localLog) take() []routing.Handed {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.waiting
	l.waiting = nil
	return taken
}
