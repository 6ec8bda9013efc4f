package journal

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"busbar/routing"
)

// Event is a message that passed, or the legs of a broadcast that have ended.
// One of the two is set, or none: then Listener.Lost or Partial has something to
// tell. It must not be changed.
type Event struct {
	Message *routing.Message
	Legs    *routing.Legs
}

// ended is when the message was answered, or the last leg.
func (e Event) ended() time.Time {
	if e.Message != nil {
		return e.Message.Time.Add(e.Message.Duration)
	}
	return e.Legs.Time.Add(e.Legs.Duration)
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
	// recent is a ring of messages; next is where the next one goes. Those of other
	// replicas are in it while somebody listens; own tells which are not. total
	// counts those.
	recent []routing.Message
	own    []bool
	next   int
	total  int64
	// endings are the newest legs of this replica, and endingsTotal counts them.
	endings      []routing.Legs
	endingsTotal int64
	// partial tells that the other replicas should be heard and are not.
	partial bool
}

func newLive() *live {
	return &live{
		listeners: make(map[*Listener]struct{}), recent: make([]routing.Message, recentMost), own: make([]bool, recentMost),
	}
}

// Listener gets events as they happen.
type Listener struct {
	// Events is closed when the listener's context or the journal ends.
	Events <-chan Event
	events chan Event
	match  matcher
	lost   atomic.Int64
	// partial says what Partial does.
	partial atomic.Bool
	// seen are the messages that it was shown at first; some of them come again
	// until the time.
	seen      map[place]struct{}
	seenUntil time.Time
}

// Lost is how many events were lost since it was last asked, because the
// listener was slow.
func (l *Listener) Lost() int64 { return l.lost.Swap(0) }

// Partial tells that the messages of other replicas are missing, because they
// cannot be heard.
func (l *Listener) Partial() bool { return l.partial.Load() }

// Subscribe listens to what the filter picks, until ctx ends. The newest recent
// messages, at most 1000, come first. Events are a tenth of a second late, those
// of other replicas two; it returns when these are heard or, at the latest after
// three seconds, without: see Listener.Partial.
func (r *Recorder) Subscribe(ctx context.Context, f Filter, recent int) *Listener {
	events := make(chan Event, listenerBuffer)
	l := &Listener{Events: events, events: events, match: newMatcher(f)}
	recent = min(recent, recentMost)
	var stored []routing.Message
	if r.exchange != nil {
		r.exchange.join(ctx)
		context.AfterFunc(ctx, r.exchange.leave)
		stored = r.newest(ctx, f, recent)
	}
	r.live.add(l, stored, recent)
	context.AfterFunc(ctx, func() { r.live.remove(l) })
	return l
}
func (v *live) add(l *Listener, stored []routing.Message, recent int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.past(l, stored, recent) {
		l.events <- Event{Message: m}
	}
	if v.ended {
		close(l.events)
		return
	}
	l.partial.Store(v.partial)
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

// message hands a copy out: a pointer into the batch would keep all of it. other
// tells that it passed another replica.
func (v *live) message(m *routing.Message, other bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.recent[v.next], v.own[v.next] = *m, !other
	v.next = (v.next + 1) % recentMost
	if !other {
		v.total++
	}
	var kept *routing.Message
	for l := range v.listeners {
		if !l.match.message(m) || l.saw(m) {
			continue
		}
		if kept == nil {
			own := *m
			kept = &own
		}
		l.offer(Event{Message: kept})
	}
}

func (v *live) legs(legs *routing.Legs, other bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !other {
		v.remember(legs)
	}
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
