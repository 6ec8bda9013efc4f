package journal

import (
	"context"
	"sync"
	"sync/atomic"

	"busbar/routing"
)

// Event is a message that passed, or the legs of a broadcast that have ended.
// One of the two is set. It must not be changed.
type Event struct {
	Message *routing.Message
	Legs    *routing.Legs
}

const (
	// recentMost are the newest messages that are kept for new listeners.
	recentMost = 1000
	// listenerBuffer is how far a listener may fall behind.
	listenerBuffer = 1024
)

// live hands records to whoever listens, and holds the newest.
type live struct {
	mu        sync.Mutex
	ended     bool
	listeners map[*Listener]struct{}
	// recent is a ring of messages; next is where the next one goes.
	recent []routing.Message
	next   int
}

func newLive() *live {
	return &live{listeners: make(map[*Listener]struct{}), recent: make([]routing.Message, recentMost)}
}

// Listener gets events as they happen.
type Listener struct {
	// Events is closed when the listener's context or the journal ends.
	Events <-chan Event
	events chan Event
	match  matcher
	lost   atomic.Int64
}

// Lost is how many events were lost since it was last asked, because the
// listener was slow.
func (l *Listener) Lost() int64 { return l.lost.Swap(0) }

// Subscribe listens to what the filter picks, until ctx ends. The newest recent
// messages, at most 1000, come first. Events are a tenth of a second late, and
// are those of this replica.
func (r *Recorder) Subscribe(ctx context.Context, f Filter, recent int) *Listener {
	events := make(chan Event, listenerBuffer)
	l := &Listener{Events: events, events: events, match: newMatcher(f)}
	r.live.add(l, min(recent, recentMost))
	context.AfterFunc(ctx, func() { r.live.remove(l) })
	return l
}

func (v *live) add(l *Listener, recent int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var past []*routing.Message
	for i := 1; i <= recentMost && len(past) < recent; i++ {
		if m := v.recent[(v.next-i+recentMost)%recentMost]; !m.Time.IsZero() && l.match.message(&m) {
			past = append(past, &m)
		}
	}
	for i := len(past) - 1; i >= 0; i-- {
		l.events <- Event{Message: past[i]}
	}
	if v.ended {
		close(l.events)
		return
	}
	v.listeners[l] = struct{}{}
}

func (v *live) remove(l *Listener) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.listeners[l]; ok {
		delete(v.listeners, l)
		close(l.events)
	}
}

func (v *live) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	for l := range v.listeners {
		close(l.events)
	}
	clear(v.listeners)
}

// message hands a copy out: a pointer into the batch would keep all of it.
func (v *live) message(m *routing.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.recent[v.next] = *m
	v.next = (v.next + 1) % recentMost
	var kept *routing.Message
	for l := range v.listeners {
		if !l.match.message(m) {
			continue
		}
		if kept == nil {
			own := *m
			kept = &own
		}
		l.offer(Event{Message: kept})
	}
}

func (v *live) legs(legs *routing.Legs) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for l := range v.listeners {
		if l.match.legs(legs) {
			own := *legs
			l.offer(Event{Legs: &own})
		}
	}
}

func (l *Listener) offer(e Event) {
	select {
	case l.events <- e:
	default:
		l.lost.Add(1)
	}
}
