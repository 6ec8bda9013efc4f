package rediscache

import (
	"context"
	"sync"
	"time"
)

// mostAcks bounds the acknowledgements of one call.
const mostAcks = 500

// acks are the entries that have ended here and that Redis does not know of yet.
// What is under way bounds them.
type acks struct {
	log *Broadcasts

	mu      sync.Mutex
	epoch   string
	waiting [partitions]map[streamID]struct{}
	all     int
	wake    chan struct{}
}

func newAcks(b *Broadcasts) *acks {
	a := &acks{log: b, wake: make(chan struct{}, 1)}
	for p := range a.waiting {
		a.waiting[p] = make(map[streamID]struct{})
	}
	return a
}

// learn takes note of the epoch. What ended in another has no meaning in this.
func (a *acks) learn(epoch string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if epoch == a.epoch {
		return
	}
	a.epoch, a.all = epoch, 0
	for p := range a.waiting {
		clear(a.waiting[p])
	}
}

// add notes that an entry has ended.
func (a *acks) add(partition int, id streamID, epoch string) {
	a.mu.Lock()
	if epoch == a.epoch {
		if _, twice := a.waiting[partition][id]; !twice {
			a.waiting[partition][id] = struct{}{}
			a.all++
		}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default: // it has not yet seen the last wake
	}
}

// of are the entries of a partition.
func (a *acks) of(partition int) map[streamID]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := make(map[streamID]bool, len(a.waiting[partition]))
	for id := range a.waiting[partition] {
		ids[id] = true
	}
	return ids
}

func (a *acks) none(partition int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting[partition]) == 0
}

func (a *acks) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all == 0
}

// run tells Redis until ctx ends.
func (a *acks) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		for ctx.Err() == nil {
			list, epoch := a.some()
			if len(list) == 0 {
				break
			}
			if !a.tell(ctx, list, epoch) {
				a.log.heart.hurry()
				pause(ctx, retryInterval)
			}
		}
	}
}

// ended is an entry of a partition.
type ended struct {
	partition int
	id        streamID
}

func (a *acks) some() (list []ended, epoch string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.waiting {
		for id := range a.waiting[p] {
			if len(list) == mostAcks {
				return list, a.epoch
			}
			list = append(list, ended{p, id})
		}
	}
	return list, a.epoch
}

// tell is false when Redis could not be told.
func (a *acks) tell(ctx context.Context, list []ended, epoch string) bool {
	b := a.log
	keys := append([]string{b.keys.epoch}, b.keys.streams[:]...)
	arguments := make([]any, 0, 2+2*len(list))
	arguments = append(arguments, epoch, group)
	for _, e := range list {
		arguments = append(arguments, e.partition+2, e.id.String())
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	told, err := b.scripts.acknowledge.Run(ctx, b.client, keys, arguments...).Int()
	b.suspect(err)
	if err != nil || told == 0 {
		return false
	}
	a.forget(list, epoch)
	b.appender.ended(list, epoch)
	return true
}

// forget drops what Redis knows.
func (a *acks) forget(list []ended, epoch string) {
	a.mu.Lock()
	var clean []int
	if epoch == a.epoch {
		for _, e := range list {
			if _, there := a.waiting[e.partition][e.id]; !there {
				continue
			}
			delete(a.waiting[e.partition], e.id)
			a.all--
			if len(a.waiting[e.partition]) == 0 {
				clean = append(clean, e.partition)
			}
		}
	}
	a.mu.Unlock()
	if r := a.log.current(); r != nil {
		for _, p := range clean {
			r.wakeStopping(p)
		}
	}
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
