package rediscache

import (
	"context"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"busbar/routing"
)

// mostTaken is how many entries are taken at once.
const mostTaken = 64

// hold is a partition while this replica has its lease. Once it is over it does
// not come back: what it handed over and did not end comes again to the next.
type hold struct {
	log       *Broadcasts
	run       *run
	partition int
	lease     string
	from      routing.ReplicaID // the dead one that had it before
	epoch     string
	term      *term
	tenure    routing.Tenure
	over      atomic.Bool
	freed     atomic.Bool // it was given back, so that another may have the partition
	stopOnce  sync.Once
	stop      chan struct{} // closed when nothing more is to be taken
	wake      chan struct{}

	mu       sync.Mutex
	underWay map[streamID]struct{}

	// The rest is the working goroutine's own.
	// most is how many entries are asked for at once.
	most int
	// highest is the newest entry that was taken; an entry at or below it comes
	// again.
	highest streamID
}

// held is what Handed.Held is. It does no I/O.
func (h *hold) held() bool { return !h.over.Load() && h.log.heart.held(h.term) }

// lose ends the hold at once.
func (h *hold) lose() {
	h.over.Store(true)
	h.handOver()
}

// handOver ends it when what is under way has ended, or soon.
func (h *hold) handOver() { h.stopOnce.Do(func() { close(h.stop) }) }

// hear tells that something may be there, or have ended.
func (h *hold) hear() {
	select {
	case h.wake <- struct{}{}:
	default: // it has not yet seen the last one
	}
}

// stops tells that nothing more is to be taken.
func (h *hold) stops() bool {
	select {
	case <-h.stop:
		return true
	default:
		return false
	}
}

func (h *hold) takes() bool { return !h.stops() && h.held() }

func (h *hold) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.underWay)
}

// work hands over what former owners have left, then what comes, until the hold
// is over or to be handed over.
func (h *hold) work() {
	look := time.NewTicker(h.log.cfg.Pace.Look)
	defer look.Stop()
	resumed := false
	for h.takes() {
		var more bool
		var err error
		switch {
		case h.count() >= h.log.cfg.MostUnderWay:
		case !resumed:
			resumed, err = h.resume()
			more = resumed
		default:
			more, err = h.take()
			// Entries may have been taken by a try whose answer was lost.
			resumed = err == nil
		}
		if more {
			continue
		}
		select {
		case <-h.stop:
		case <-h.wake:
			if err != nil { // news do not help
				h.pause(look.C)
			}
		case <-look.C:
		}
	}
	h.finish()
}

func (h *hold) pause(until <-chan time.Time) {
	select {
	case <-h.stop:
	case <-until:
	}
}

// finish waits, bounded, for what is under way, unless the hold is lost, and
// gives the lease back.
func (h *hold) finish() {
	b := h.log
	late := time.NewTimer(b.cfg.Pace.HandOver)
	defer late.Stop()
	look := time.NewTicker(b.cfg.Pace.Look)
	defer look.Stop()
	for waiting := true; waiting && h.held() && !(h.count() == 0 && b.acks.none(h.partition)); {
		select {
		case <-h.wake:
		case <-look.C:
		case <-late.C:
			waiting = false
		case <-h.run.cut:
			waiting = false
		}
	}
	freeing := h.held()
	h.freed.Store(freeing)
	h.over.Store(true)
	if freeing {
		b.free(context.Background(), h.partition, h.lease)
	}
}

// call asks a script about the partition. Not too many ask at once.
func (h *hold) call(ask func(ctx context.Context) ([]any, error)) ([]any, error) {
	h.run.taken <- struct{}{}
	defer func() { <-h.run.taken }()
	if !h.takes() {
		return nil, errLost // others were not answered for long, or Run ends
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	reply, err := ask(ctx)
	if err != nil {
		h.log.suspect(err)
		// Over a slow network the bodies may have been too many.
		h.most = max(1, h.most/4)
		return nil, err
	}
	h.most = min(mostTaken, 2*h.most)
	if len(reply) == 1 && reply[0] == "lost" {
		h.lose()
		h.log.heart.hurry()
		return nil, errLost
	}
	if len(reply) < 2 || reply[0] != "taken" {
		return nil, errUnexpected
	}
	return reply, nil
}

// take hands new entries over; more tells that there may be others.
func (h *hold) take() (more bool, err error) {
	b := h.log
	asked := h.most
	reply, err := h.call(func(ctx context.Context) ([]any, error) {
		return b.scripts.take.Run(ctx, b.client, []string{b.keys.leases, b.keys.streams[h.partition]},
			h.partition, h.lease, group, consumer, asked).Slice()
	})
	if err != nil {
		return false, err
	}
	entries, err := readEntries(reply[1])
	if err != nil {
		return false, err
	}
	for i := range entries {
		e := &entries[i]
		// After a fail-over the group may have fallen back.
		again := !h.highest.before(e.id)
		var newest int64
		if again {
			newest = math.MaxInt64
		}
		h.hand(e, again, newest)
	}
	return len(entries) == asked, nil
}

// hand hands an entry over, unless it cannot be read: nobody ever could, so it is
// ended.
func (h *hold) hand(e *entry, again bool, newest int64) {
	b := h.log
	if !h.held() {
		return // it is pending, and comes again to whoever has the partition next
	}
	if h.highest.before(e.id) {
		h.highest = e.id
	}
	broadcast, err := e.decode(h.partition, b.cfg.Sealer)
	if err != nil {
		b.metrics.unreadable.Inc()
		b.unreadable.Do(func() {
			b.cfg.Logger.Error("broadcasts in redis that cannot be read are dropped; this is logged once", "error", err)
		})
		b.acks.add(h.partition, e.id, h.epoch)
		return
	}
	broadcast.Repeated = broadcast.Repeated || again
	if late, err := strconv.ParseInt(e.fields[lateField], 10, 64); err == nil {
		again, newest = true, max(newest, late)
	}
	if _, ok := e.fields[againField]; ok {
		// What was newest before Redis lost it, nobody knows.
		again, newest = true, math.MaxInt64
	}
	h.mu.Lock()
	h.underWay[e.id] = struct{}{}
	h.mu.Unlock()
	h.run.moved.Add(1)
	id := e.id
	h.run.deliver(routing.Handed{
		Broadcast: broadcast, Again: again, Newest: newest, Tenure: &h.tenure, Held: h.held, Done: func() { h.done(id) },
	})
}

// done ends an entry. Of a hold that is over, too: it has ended all the same.
func (h *hold) done(id streamID) {
	// Known as ended before it is no longer under way.
	h.log.acks.add(h.partition, id, h.epoch)
	h.mu.Lock()
	delete(h.underWay, id)
	n := len(h.underWay)
	h.mu.Unlock()
	h.run.moved.Add(1)
	if n == 0 || n == h.log.cfg.MostUnderWay-1 {
		h.hear()
	}
}
