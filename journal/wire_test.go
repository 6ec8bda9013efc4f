package journal

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/routing"
)

// wire connects the feeds of replicas in a test.
type wire struct {
	mu        sync.Mutex
	reports   map[routing.ReplicaID][]byte
	listening map[routing.ReplicaID]func([]byte)
	cut       chan struct{} // closed while it is cut
	mended    chan struct{} // closed while it is not
	published int
	// slow holds Publish up until it is closed.
	slow chan struct{}
}

func newWire() *wire {
	w := &wire{
		reports: map[routing.ReplicaID][]byte{}, listening: map[routing.ReplicaID]func([]byte){},
		cut: make(chan struct{}), mended: make(chan struct{}),
	}
	close(w.mended)
	return w
}

func (w *wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.cut)
	w.mended = make(chan struct{})
}

func (w *wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = make(chan struct{})
	close(w.mended)
}

var errCut = errors.New("the wire is cut")

func (w *wire) down() error {
	select {
	case <-w.cut:
		return errCut
	default:
		return nil
	}
}

// end is the wire as one replica sees it.
type end struct {
	*wire
	id routing.ReplicaID
}

func (e end) Report(_ context.Context, figures []byte) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.down(); err != nil {
		return false, err
	}
	e.reports[e.id] = figures
	for id := range e.listening {
		if id != e.id {
			return true, nil
		}
	}
	return false, nil
}

func (e end) Reports(context.Context) (map[routing.ReplicaID][]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.reports), e.down()
}

func (e end) Publish(ctx context.Context, news []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if slow := e.slow; slow != nil {
		e.mu.Unlock()
		select {
		case <-slow:
		case <-ctx.Done():
		}
		e.mu.Lock()
	}
	if err := errors.Join(e.down(), ctx.Err()); err != nil {
		return err
	}
	e.published++
	for id, hear := range e.listening {
		if id != e.id {
			hear(news)
		}
	}
	return nil
}

func (e end) Listen(ctx context.Context, hearing func(bool), hear func([]byte)) {
	for ctx.Err() == nil {
		e.mu.Lock()
		cut, mended, err := e.cut, e.mended, e.down()
		if err == nil {
			e.listening[e.id] = hear
		}
		e.mu.Unlock()
		hearing(err == nil)
		wait := cut
		if err != nil {
			wait = mended
		}
		select {
		case <-ctx.Done():
		case <-wait:
		}
		e.mu.Lock()
		delete(e.listening, e.id)
		e.mu.Unlock()
	}
}

// replica runs one of several recorders on a wire and a store.
func (w *wire) replica(t *testing.T, id routing.ReplicaID, store Store) *Recorder {
	t.Helper()
	r, _ := run(t, Config{Store: store, Feed: end{w, id}, Replica: id})
	return r
}

// settle lets everything arrive: two ticks after one that may have begun.
func settle() {
	time.Sleep(3 * tickEvery)
	synctest.Wait()
}
