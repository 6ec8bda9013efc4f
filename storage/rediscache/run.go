package rediscache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"busbar/routing"
)

// run is one Run of the log.
type run struct {
	log     *Broadcasts
	deliver func(routing.Handed)
	// stopping tells that Run is to end, alone that nobody else is there for what
	// is left, left that nothing more is begun.
	stopping, alone, left atomic.Bool
	// cut is closed when nobody waits any more for what is under way.
	cut     chan struct{}
	cutOnce sync.Once
	// moved counts what was handed over and what has ended.
	moved atomic.Int64
	taken chan struct{} // bounds those that take at once

	mu      sync.Mutex
	holds   [partitions]*hold
	working sync.WaitGroup
	// latest are the last holds there were, again the partitions that this replica
	// held when Redis lost the leases: of all replicas it alone need not wait. Only
	// the heart's goroutine uses them.
	latest [partitions]*hold
	again  [partitions]bool
}

// drainEvery is how often it is looked whether a Run that stops has come to its
// end.
const drainEvery = 20 * time.Millisecond

// Run implements routing.BroadcastLog. Of several at once one runs. When ctx
// ends, what is left is for the other replicas; if there are none it goes on until
// the streams are empty. When nothing moves any more, as without Redis, it leaves
// the rest as it is: the next one to take the partitions over gets it again.
func (b *Broadcasts) Run(ctx context.Context, deliver func(routing.Handed)) {
	b.running.Lock()
	defer b.running.Unlock()
	r := &run{log: b, deliver: deliver, taken: make(chan struct{}, takers), cut: make(chan struct{})}
	r.alone.Store(true)
	b.mu.Lock()
	b.now = r
	b.mu.Unlock()
	b.appender.stopping.Store(false)
	b.heart.hurry()
	<-ctx.Done()

	r.stopping.Store(true)
	b.appender.stopping.Store(true)
	b.heart.hurry()
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ended) })
	r.drain()
	r.mu.Lock()
	r.left.Store(true)
	r.mu.Unlock()
	for p := range partitions {
		if h := r.hold(p); h != nil {
			h.handOver()
		}
	}
	r.working.Wait()
	close(ended)
	watching.Wait()
	b.mu.Lock()
	b.now = nil
	b.mu.Unlock()
	b.heart.hurry()
}

// CutShort implements routing.BroadcastLog.
func (b *Broadcasts) CutShort() {
	if r := b.current(); r != nil && r.stopping.Load() {
		r.cutShort()
	}
}

func (r *run) cutShort() {
	r.cutOnce.Do(func() {
		close(r.cut)
		r.log.cfg.Logger.Warn("broadcasts are left to other replicas, or to the next start",
			"not_yet_in_redis", r.log.appender.waiting())
	})
}

// watch cuts a Run that is to end short when nothing has moved for long.
func (r *run) watch(ended <-chan struct{}) {
	b := r.log
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	moved, waiting, since := r.moved.Load(), b.appender.waiting(), b.heart.clock()
	for {
		select {
		case <-ended:
			return
		case <-r.cut:
			return
		case <-tick.C:
		}
		now := b.heart.clock()
		if n, w := r.moved.Load(), b.appender.waiting(); n != moved || w != waiting {
			moved, waiting, since = n, w, now
		}
		if now-since > b.cfg.Pace.Patience {
			r.cutShort()
		}
	}
}

// drain returns when this replica has nothing more to do, or nothing moves.
func (r *run) drain() {
	b := r.log
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	// A beat that began after this one stops tells who else is there.
	told := b.heart.told.Load()
	for {
		select {
		case <-r.cut:
			return
		case <-tick.C:
		}
		appended := b.appender.idle()
		switch {
		case b.heart.told.Load() < told+2 || !appended:
		case !r.alone.Load(), r.idle() && b.empty():
			return
		}
	}
}

// idle tells that nothing is under way here.
func (r *run) idle() bool {
	for p := range partitions {
		if h := r.hold(p); h != nil && h.count() > 0 {
			return false
		}
	}
	return r.log.acks.idle()
}

// empty tells that no stream has anything.
func (b *Broadcasts) empty() bool {
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Pace.Fence/2)
	defer cancel()
	pipe := b.client.Pipeline()
	for _, stream := range b.keys.streams {
		pipe.XLen(ctx, stream)
	}
	replies, err := pipe.Exec(ctx)
	if err != nil {
		return false
	}
	for _, reply := range replies {
		if n, ok := reply.(interface{ Val() int64 }); !ok || n.Val() > 0 {
			return false
		}
	}
	return true
}

// hold is how this replica has a partition; nil when it has not.
func (r *run) hold(partition int) *hold {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holds[partition]
}

// begin works a partition, unless the Run ended meanwhile: then the next beat
// frees the lease.
func (r *run) begin(h *hold) {
	r.again[h.partition] = false
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left.Load() {
		return
	}
	r.holds[h.partition], r.latest[h.partition] = h, h
	r.working.Go(func() {
		h.work()
		r.mu.Lock()
		r.holds[h.partition] = nil
		r.mu.Unlock()
		r.log.heart.hurry()
	})
}

// remember notes what this replica holds while Redis has lost the leases. A hold
// may have found out before.
func (r *run) remember() {
	for p, h := range r.latest {
		r.again[p] = h != nil && !h.freed.Load() && r.log.heart.held(h.term)
	}
}

// check looks, after a beat, whether a partition is still held and where it
// belongs.
func (r *run) check(h *hold, lease string, mine, emptied bool) {
	switch {
	case emptied, lease != h.lease, !h.held():
		h.lose()
	case !mine:
		h.handOver()
	}
}

// wake tells the partitions of news.
func (r *run) wake(partition int) {
	if h := r.hold(partition); h != nil {
		h.hear()
	}
}

// wakeStopping tells a partition that is to be handed over that Redis knows of
// all its ends.
func (r *run) wakeStopping(partition int) {
	if h := r.hold(partition); h != nil && h.stops() {
		h.hear()
	}
}
