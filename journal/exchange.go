package journal

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is what this replica and the others tell one another. A nil exchange
// is that of a hub which has no other replicas.
type exchange struct {
	feed Feed
	// show tells the listeners whether the others are heard.
	show func(partial bool)

	// listened tells that another replica listens. The marks are how many messages
	// and legs had been shown when none did: see courier.exchangeFigures.
	listened          atomic.Bool
	mark, endingsMark atomic.Int64
	// outgoing is on its way; unsent counts what was dropped and not yet told,
	// dropped all of it.
	outgoing        chan news
	unsent, dropped atomic.Int64

	mu sync.Mutex
	// inbox is what was heard since the last turn; missed is what was not.
	inbox  []Event
	missed int64
	// listeners are those of this replica; changed tells that there are others.
	listeners int
	changed   chan struct{}
	// settled is closed when it is known whether the others are heard.
	settled chan struct{}
}

const (
	// outgoingMost are the turns, of a tenth of a second each, that may wait while
	// Redis is slow; inboxMost the events that may wait for one turn.
	outgoingMost = 16
	inboxMost    = 20_000
	// settleMost bounds how long a new listener waits until the others are heard.
	settleMost = 3 * time.Second
)

func newExchange(feed Feed, show func(partial bool)) *exchange {
	if feed == nil {
		return nil
	}
	return &exchange{
		feed: feed, show: show, outgoing: make(chan news, outgoingMost),
		changed: make(chan struct{}, 1), settled: make(chan struct{}),
	}
}

// tell hands out what is new here. It never waits.
func (x *exchange) tell(n news) {
	select {
	case x.outgoing <- n:
	default:
		x.lose(n.count())
	}
}

func (x *exchange) lose(events int) {
	x.unsent.Add(int64(events))
	x.dropped.Add(int64(events))
}

// take is what the others have told since it was last asked, in the order in
// which it happened.
func (x *exchange) take() (events []Event, lost int64) {
	if x == nil {
		return nil, 0
	}
	x.mu.Lock()
	events, lost = x.inbox, x.missed
	x.inbox, x.missed = nil, 0
	x.mu.Unlock()
	slices.SortStableFunc(events, func(a, b Event) int { return a.ended().Compare(b.ended()) })
	return events, lost
}

// hear takes the news of another replica in.
func (x *exchange) hear(packed []byte) {
	events, lost, err := readNews(packed)
	if err != nil {
		lost++ // of a later version: how many they are, nobody knows
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	room := min(len(events), inboxMost-len(x.inbox))
	x.inbox = append(x.inbox, events[:room]...)
	x.missed += lost + int64(len(events)-room)
}

// join counts a listener in, and waits until the others are heard or it is known
// that they are not.
func (x *exchange) join(ctx context.Context) {
	x.mu.Lock()
	x.listeners++
	settled := x.settled
	x.mu.Unlock()
	notify(x.changed)
	patience := time.NewTimer(settleMost)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
	case <-ctx.Done():
	}
}

func (x *exchange) leave() {
	x.mu.Lock()
	x.listeners--
	x.mu.Unlock()
	notify(x.changed)
}

// idle tells that nobody listens; who comes next waits anew.
func (x *exchange) idle() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.listeners > 0 {
		return false
	}
	x.settled = make(chan struct{})
	return true
}

// listen hears the others for as long as somebody listens here, until ctx ends.
func (x *exchange) listen(ctx context.Context) {
	var stop func()
	for {
		select {
		case <-ctx.Done():
			if stop != nil {
				stop()
			}
			x.settle()
			return
		case <-x.changed:
		}
		switch idle := x.idle(); {
		case idle && stop != nil:
			stop()
			stop = nil
		case !idle && stop == nil:
			stop = x.begin(ctx)
		}
	}
}

// begin listens until stop is called.
func (x *exchange) begin(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x.feed.Listen(ctx, x.hearing, x.hear)
	}()
	return func() {
		cancel()
		<-ended
		x.show(false)
		x.take()
	}
}

// hearing notes whether the others are heard.
func (x *exchange) hearing(yes bool) {
	x.show(!yes)
	x.settle()
}

func (x *exchange) settle() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.settled:
	default:
		close(x.settled)
	}
}
