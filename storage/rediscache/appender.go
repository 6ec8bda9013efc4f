package rediscache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"busbar/catalog"
	"busbar/routing"
)

// appender has every broadcast that was appended here and has not ended, in
// order, and brings them to Redis: again, if Redis has lost them.
type appender struct {
	log *Broadcasts
	// stopping tells that somebody waits for what has not ended.
	stopping atomic.Bool
	wake     chan struct{}

	mu sync.Mutex
	// first and last are the ends of the list; next is the first of it that Redis
	// does not have. Redis has all before that.
	first, last, next *open
	all, waits        int
	// bytes are those of all bodies, fat is the first whose body may be given up.
	bytes int
	fat   *open
	// epoch is Redis' since it was last emptied; empty while it is unknown. call
	// is the number of the last call that it has answered in that.
	epoch string
	call  int64
	// trying is the call that is not answered yet.
	trying *batch
	// there are those that Redis has.
	there  [partitions]shelf
	taking taking
}

// open is a broadcast that has not ended.
type open struct {
	broadcast  *routing.Broadcast
	ended      func()
	partition  int
	prev, next *open

	// call and id are the entry's, if Redis has it. had tells that Redis had it
	// before, again that it may come behind newer ones therefore.
	call  int64
	id    streamID
	had   bool
	again bool
	over  bool
	// taken is open while the sender waits, which it has since.
	taken chan struct{}
	since time.Time
}

func newAppender(b *Broadcasts) *appender {
	return &appender{log: b, wake: make(chan struct{}, 1), taking: taking{keepsUp: true}}
}

// add takes a broadcast on; taken is closed when Redis has it, or when it is not to be
// waited for.
func (a *appender) add(b *routing.Broadcast, ended func()) (taken <-chan struct{}) {
	o := &open{broadcast: b, ended: ended, partition: partitionOf(b.Object)}
	a.mu.Lock()
	if o.prev = a.last; o.prev == nil {
		a.first = o
	} else {
		o.prev.next = o
	}
	a.last = o
	if a.next == nil {
		a.next = o
	}
	if a.fat == nil {
		a.fat = o
	}
	a.all++
	a.waits++
	a.bytes += len(b.Body)
	a.slim()
	taken = a.await(o)
	a.mu.Unlock()
	a.hurry()
	return taken
}

// slim gives up the oldest bodies, while there are too many bytes, of what can be
// sent as what the catalog has then.
func (a *appender) slim() {
	for ; a.bytes > a.log.cfg.MostBytes && a.fat != nil; a.fat = a.fat.next {
		b := a.fat.broadcast
		if len(b.Body) == 0 || !catalog.Keeps(b.Module) {
			continue
		}
		a.bytes -= len(b.Body)
		a.fat.broadcast = b.Whole()
	}
}

func (a *appender) hurry() {
	select {
	case a.wake <- struct{}{}:
	default: // it has not yet seen the last wake
	}
}

// waiting is how many broadcasts Redis does not have.
func (a *appender) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waits
}

func (a *appender) idle() bool { return a.waiting() == 0 }

// count is how many broadcasts have not ended.
func (a *appender) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all
}

// learn takes note of the epoch. In another one Redis has nothing of what it had.
func (a *appender) learn(epoch string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if epoch == a.epoch {
		return
	}
	if a.epoch != "" {
		a.forget(0)
		// What is newest nobody knows any more, so these may be late, too.
		for o := a.next; o != nil; o = o.next {
			o.again = true
		}
	}
	a.epoch, a.call = epoch, 0
	a.hurry()
}

// lost takes note that Redis has only what came up to a call.
func (a *appender) lost(epoch string, call int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if epoch != a.epoch || call >= a.call {
		return
	}
	a.forget(call)
	a.call = call
	a.hurry()
}

// forget makes those behind a call wait again. As calls rise along the list, they
// are the last that Redis had.
func (a *appender) forget(call int64) {
	a.trying = nil
	a.release() // they would wait for all that is appended again
	n := 0
	o := a.last
	if a.next != nil {
		o = a.next.prev
	}
	for ; o != nil && o.call > call; o = o.prev {
		o.call, o.id, o.had, o.again = 0, streamID{}, true, true
		a.next = o
		n++
	}
	for p := range a.there {
		a.there[p].cutOff()
	}
	a.waits += n
	a.log.metrics.again.Add(float64(n))
}

// remove takes a broadcast that Redis had out of the list.
func (a *appender) remove(o *open) {
	o.over = true
	if a.fat == o {
		a.fat = o.next
	}
	if o.prev == nil {
		a.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		a.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	a.all--
	a.bytes -= len(o.broadcast.Body)
}

// ended ends broadcasts whose entries were deleted.
func (a *appender) ended(list []ended, epoch string) {
	a.finish(epoch, func(done func(*open)) {
		for _, e := range list {
			if o := a.there[e.partition].find(e.id); o != nil {
				done(o)
			}
		}
	})
}

// finish ends those that each tells of, unless the epoch is over.
func (a *appender) finish(epoch string, each func(done func(*open))) {
	var over []func()
	a.mu.Lock()
	if epoch == a.epoch {
		each(func(o *open) {
			a.remove(o)
			a.there[o.partition].idle++
			if o.ended != nil {
				over = append(over, o.ended)
			}
		})
		for p := range a.there {
			a.there[p].tidy()
		}
	}
	a.mu.Unlock()
	for _, ended := range over {
		ended()
	}
}

// run appends until ctx ends.
func (a *appender) run(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		for ctx.Err() == nil {
			batch := a.batch()
			if batch == nil {
				break
			}
			err := a.send(ctx, batch)
			if ctx.Err() == nil && (err != nil) != failing {
				failing = err != nil
				a.tell(ctx, err)
			}
			if err != nil {
				a.deaf()
				pause(ctx, retryInterval)
			}
		}
	}
}

func (a *appender) tell(ctx context.Context, err error) {
	if err != nil {
		a.log.cfg.Logger.WarnContext(ctx, "redis does not take broadcasts; they wait", "error", err)
		return
	}
	a.log.cfg.Logger.InfoContext(ctx, "redis takes broadcasts again")
}
