package storagetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"busbar/routing"
)

// Running is a Run of a log, and what it was handed.
type Running struct {
	t      *testing.T
	each   func(routing.Handed)
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	handed []routing.Handed
	more   chan struct{} // closed when there is more
}

// RunLog runs a log until the test ends or Stop. each is called with what is handed
// over; nil does nothing.
func RunLog(t *testing.T, log routing.BroadcastLog, each func(routing.Handed)) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{t: t, each: each, cancel: cancel, ended: make(chan struct{}), more: make(chan struct{})}
	go func() {
		defer close(r.ended)
		log.Run(ctx, r.take)
	}()
	t.Cleanup(r.Stop)
	return r
}

// Done ends what is handed over at once.
func Done(h routing.Handed) { h.Done() }

func (r *Running) take(h routing.Handed) {
	r.mu.Lock()
	r.handed = append(r.handed, h)
	close(r.more)
	r.more = make(chan struct{})
	r.mu.Unlock()
	if r.each != nil {
		r.each(h)
	}
}

// End lets Run end; Stop waits for it, too.
func (r *Running) End() { r.cancel() }

func (r *Running) Stop() {
	r.cancel()
	select {
	case <-r.ended:
	case <-time.After(patient): // only a failing test waits so long
		r.t.Error("Run does not end")
	}
}

// Handed is what was handed over so far.
func (r *Running) Handed() []routing.Handed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]routing.Handed(nil), r.handed...)
}

// Until waits until what was handed over is enough.
func (r *Running) Until(what string, enough func([]routing.Handed) bool) []routing.Handed {
	r.t.Helper()
	late := time.After(patient) // only a failing test waits so long
	for {
		r.mu.Lock()
		handed, more := append([]routing.Handed(nil), r.handed...), r.more
		r.mu.Unlock()
		if enough(handed) {
			return handed
		}
		select {
		case <-more:
		case <-late:
			r.t.Fatalf("was handed %q, want %s", names(handed), what)
		}
	}
}

// Wait waits until n were handed over.
func (r *Running) Wait(n int) []routing.Handed {
	r.t.Helper()
	return r.Until(fmt.Sprint(n), func(handed []routing.Handed) bool { return len(handed) >= n })
}

func names(handed []routing.Handed) []string {
	list := make([]string, len(handed))
	for i, h := range handed {
		switch list[i] = h.CorrelationID; {
		case h.Repeated:
			list[i] += " again"
		case h.Again:
			list[i] += " late"
		}
	}
	return list
}

// WantNames checks what was handed over, like "a 1" or "a 1 again"; "a 1 late"
// is one that was not handed over before.
func WantNames(t *testing.T, handed []routing.Handed, want ...string) {
	t.Helper()
	if got := names(handed); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("was handed %q, want %q", got, want)
	}
}

// Eventually waits until something is so.
func Eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	late := time.After(patient) // only a failing test waits so long
	for !so() {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("still not: %s", what)
		}
	}
}

// Count counts the calls of its Add.
type Count struct {
	mu sync.Mutex
	n  int
}

func (c *Count) Add() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *Count) Is(n int) func() bool { return func() bool { return c.Get() == n } }

func (c *Count) Get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
