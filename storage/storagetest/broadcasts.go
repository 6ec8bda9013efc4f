package storagetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"busbar/routing"
)

// Broadcast is the nth broadcast of an object.
func Broadcast(object string, n int) *routing.Broadcast {
	return &routing.Broadcast{Object: object, CorrelationID: fmt.Sprintf("%s %d", object, n), Body: []byte(`{}`)}
}

// TestBroadcasts runs the conformance suite of a routing.BroadcastLog. open
// returns an empty log.
func TestBroadcasts(t *testing.T, open func(*testing.T) routing.BroadcastLog) {
	t.Helper()
	tests := map[string]func(*testing.T, routing.BroadcastLog){
		"what is appended before a Run is delivered":       broadcastsBefore,
		"those of one object come in their order":          broadcastsInOrder,
		"at the end what was appended before is handed on": broadcastsAtTheEnd,
		"Run waits until all are done":                     broadcastsDone,
		"what comes after a Run waits for the next":        broadcastsAfter,
		"what is delivered may append":                     broadcastsAppend,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// taker notes what is delivered to it.
type taker struct {
	mu    sync.Mutex
	taken []string
	// enough is closed when this many are taken.
	want   int
	enough chan struct{}
}

func newTaker(want int) *taker { return &taker{want: want, enough: make(chan struct{})} }

func (r *taker) take(b routing.Handed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken = append(r.taken, b.CorrelationID); len(r.taken) == r.want {
		close(r.enough)
	}
	b.Done()
}

// runUntil runs the log until as many are taken as the taker wants.
func (r *taker) runUntil(t *testing.T, log routing.BroadcastLog) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		log.Run(ctx, r.take)
	}()
	<-r.enough
	cancel()
	<-ended
}

func appendTo(t *testing.T, log routing.BroadcastLog, object string, n int) {
	t.Helper()
	log.Append(Broadcast(object, n), nil)
}

func broadcastsBefore(t *testing.T, log routing.BroadcastLog) {
	appendTo(t, log, "a", 0)
	appendTo(t, log, "b", 0)
	r := newTaker(2)
	r.runUntil(t, log)
	if len(r.taken) != 2 {
		t.Errorf("delivered %q", r.taken)
	}
}

func broadcastsInOrder(t *testing.T, log routing.BroadcastLog) {
	const each = 200
	r := newTaker(writers * each)
	var appending sync.WaitGroup
	appending.Go(func() {
		together(writers, func(i int) {
			for n := range each {
				appendTo(t, log, fmt.Sprint("object", i), n)
			}
		})
	})
	r.runUntil(t, log)
	appending.Wait()
	next := make(map[string]int)
	for _, id := range r.taken {
		var object string
		var n int
		if _, err := fmt.Sscan(id, &object, &n); err != nil || n != next[object] {
			t.Fatalf("%s came when %d was due", id, next[object])
		}
		next[object]++
	}
}

func broadcastsAtTheEnd(t *testing.T, log routing.BroadcastLog) {
	const all = 10
	ctx, cancel := context.WithCancel(t.Context())
	for n := range all {
		appendTo(t, log, "a", n)
	}
	cancel()
	r := newTaker(all)
	log.Run(ctx, r.take)
	if len(r.taken) != all {
		t.Errorf("delivered %q after the end", r.taken)
	}
}

func broadcastsDone(t *testing.T, log routing.BroadcastLog) {
	ctx, cancel := context.WithCancel(t.Context())
	appendTo(t, log, "a", 0)
	appendTo(t, log, "a", 1)
	dones, ended := make(chan func(), 2), make(chan struct{})
	go func() {
		defer close(ended)
		log.Run(ctx, func(b routing.Handed) { dones <- b.Done })
	}()
	first, second := <-dones, <-dones
	cancel()
	first()
	select {
	case <-ended:
		t.Error("Run returned while a broadcast was under way")
	default:
	}
	second()
	<-ended
}

func broadcastsAfter(t *testing.T, log routing.BroadcastLog) {
	for n := range 3 {
		appendTo(t, log, "a", n)
		r := newTaker(1)
		r.runUntil(t, log)
		if len(r.taken) != 1 || r.taken[0] != fmt.Sprint("a ", n) {
			t.Errorf("Run %d delivered %q", n, r.taken)
		}
	}
}

func broadcastsAppend(t *testing.T, log routing.BroadcastLog) {
	r := newTaker(2)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		log.Run(ctx, func(b routing.Handed) {
			if b.Object == "a" {
				appendTo(t, log, "b", 0)
			}
			r.take(b)
		})
	}()
	appendTo(t, log, "a", 0)
	<-r.enough
	cancel()
	<-ended
}
