package rediscache

import (
	"context"
	"strconv"
	"strings"
	"time"

	"busbar/routing"
)

// works tells whether this replica takes part in the work. One that stops only
// ends what no other will.
func (b *Broadcasts) works() bool {
	r := b.current()
	return r != nil && !r.stopping.Load()
}

func (b *Broadcasts) current() *run {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// wanted is a partition that is to be taken.
type wanted struct {
	partition int
	// seen is the lease as it stands; owner and beat are of the dead one whose it
	// is, if it is another's.
	seen  string
	owner routing.ReplicaID
	beat  string
}

// divide takes, keeps and hands over partitions, so that each is where it
// belongs. It is called after each beat, with its answer; lost tells that Redis
// has less than it had, emptied that it has nothing of it.
func (b *Broadcasts) divide(ctx context.Context, v view, lost, emptied bool) {
	r := b.current()
	if r != nil && lost {
		r.remember()
	}
	var list []wanted
	var left []any // leases of ours that nobody uses
	mine := b.share(r)
	for p := range partitions {
		lease := v.leases[strconv.Itoa(p)]
		owner := ownerOf(lease)
		if r != nil {
			if h := r.hold(p); h != nil {
				r.check(h, lease, mine[p], emptied)
				continue
			}
		}
		switch {
		case mine[p]:
			if w, ok := b.wants(r, p, lease, owner); ok {
				list = append(list, w)
			}
		case owner == b.cfg.Replica:
			left = append(left, p, lease)
		}
	}
	if len(left) > 0 {
		b.free(ctx, left...)
	}
	if len(list) > 0 {
		b.acquire(ctx, r, list)
	}
}

// share tells which partitions belong here. Of what is left when this replica
// stops, all does, unless another is there.
func (b *Broadcasts) share(r *run) (mine [partitions]bool) {
	if r == nil || r.left.Load() {
		return mine
	}
	workers := b.fleet.workers()
	if r.stopping.Load() {
		others := false
		for _, id := range workers {
			others = others || id != b.cfg.Replica
		}
		r.alone.Store(!others)
		for p := range mine {
			mine[p] = !others
		}
		return mine
	}
	for p := range mine {
		mine[p] = chosen(workers, strconv.Itoa(p)) == b.cfg.Replica
	}
	return mine
}

// wants tells whether a partition can be taken, and from whom.
func (b *Broadcasts) wants(r *run, partition int, lease string, owner routing.ReplicaID) (wanted, bool) {
	w := wanted{partition: partition, seen: lease}
	if b.heart.clock() < b.heart.settled && !r.again[partition] {
		return w, false
	}
	if owner == "" || owner == b.cfg.Replica {
		return w, true
	}
	beat, dead := b.fleet.deadWith(owner)
	w.owner, w.beat = owner, beat
	return w, dead
}

// ownerOf reads a lease: the replica, and a number that it gives each of its own.
func ownerOf(lease string) routing.ReplicaID {
	owner, _, _ := strings.Cut(lease, " ")
	return routing.ReplicaID(owner)
}

// acquire takes partitions, and begins to work those that it got.
func (b *Broadcasts) acquire(ctx context.Context, r *run, list []wanted) {
	t := b.heart.term.Load()
	epoch := b.heart.epoch
	arguments := []any{epoch}
	leases := make(map[int]string, len(list))
	from := make(map[int]routing.ReplicaID, len(list))
	for _, w := range list {
		b.leases++
		leases[w.partition] = string(b.cfg.Replica) + " " + strconv.FormatInt(b.leases, 10)
		from[w.partition] = w.owner
		arguments = append(arguments, w.partition, w.seen, leases[w.partition], string(w.owner), w.beat)
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Pace.Fence/2)
	defer cancel()
	taken, err := b.scripts.lease.Run(ctx, b.client, []string{b.keys.epoch, b.keys.beats, b.keys.leases}, arguments...).StringSlice()
	if err != nil {
		return // the next beat says the same, and logs it; what was taken is seen then
	}
	for _, name := range taken {
		p, err := strconv.Atoi(name)
		if err != nil || leases[p] == "" {
			continue
		}
		r.begin(&hold{
			log: b, run: r, partition: p, lease: leases[p], from: from[p], epoch: epoch, term: t, most: mostTaken,
			stop: make(chan struct{}), wake: make(chan struct{}, 1), underWay: make(map[streamID]struct{}),
		})
	}
}

// free gives leases back: partitions and leases in turn. What fails is tried
// again after the next beat.
func (b *Broadcasts) free(ctx context.Context, leases ...any) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Pace.Fence/2)
	defer cancel()
	_ = b.scripts.free.Run(ctx, b.client, []string{b.keys.leases}, append([]any{b.keys.channel}, leases...)...).Err()
}

// leave tells the others that this replica is no more. Without Redis they find
// out by themselves.
func (b *Broadcasts) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	pipe := b.client.Pipeline()
	pipe.HDel(ctx, b.keys.beats, string(b.cfg.Replica))
	pipe.Del(ctx, b.keys.calls(b.cfg.Replica))
	pipe.Publish(ctx, b.keys.channel, fleetNews)
	_, _ = pipe.Exec(ctx)
}
