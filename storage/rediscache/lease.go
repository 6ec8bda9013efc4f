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

// wants are the leases that a beat is to take.
type wants struct {
	run       *run
	epoch     string
	leases    map[int]string
	from      map[int]routing.ReplicaID
	arguments []any
}

// divide keeps and hands over partitions, so that each is where it belongs, and
// tells which leases the next beat is to take and to give back. It is called after
// each beat, with its answer.
func (b *Broadcasts) divide(v view, lost loss) (next wants, left []any) {
	r := b.current()
	if r != nil && lost.any() {
		r.remember()
	}
	var list []wanted
	mine := b.share(r)
	for p := range partitions {
		lease := v.leases[strconv.Itoa(p)]
		owner := ownerOf(lease)
		if r != nil {
			if h := r.hold(p); h != nil {
				r.check(h, lease, mine[p], lost.emptied)
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
	if len(list) > 0 {
		next = b.heart.claim(r, list)
	}
	return next, left
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
	if b.heart.health.tooSlow() || b.heart.clock() < b.heart.settled && !r.again[partition] {
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

// claim makes leases of this replica for partitions.
func (h *heart) claim(r *run, list []wanted) wants {
	w := wants{
		run: r, epoch: h.epoch, leases: make(map[int]string, len(list)), from: make(map[int]routing.ReplicaID, len(list)),
		arguments: []any{h.epoch},
	}
	for _, p := range list {
		h.leases++
		w.leases[p.partition] = string(h.log.cfg.Replica) + " " + strconv.FormatInt(h.leases, 10)
		w.from[p.partition] = p.owner
		w.arguments = append(w.arguments, p.partition, p.seen, w.leases[p.partition], string(p.owner), p.beat)
	}
	return w
}

// begin works the partitions whose leases a beat took. A Run that has ended does
// not: then the next beat gives them back.
func (b *Broadcasts) begin(w wants, v view) {
	t := b.heart.term.Load()
	for _, name := range v.taken {
		p, err := strconv.Atoi(name)
		if err != nil || w.leases[p] == "" || w.run != b.current() || w.epoch != v.epoch {
			continue
		}
		w.run.begin(&hold{
			log: b, run: w.run, partition: p, lease: w.leases[p], from: w.from[p], epoch: w.epoch, term: t, most: mostTaken,
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
