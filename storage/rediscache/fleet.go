package rediscache

import (
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"busbar/routing"
)

// Fleet is what a replica has heard of the others' signs of life. It implements
// routing.Fleet.
type Fleet struct {
	self routing.ReplicaID
	pace Pace

	mu      sync.Mutex
	members map[routing.ReplicaID]*member
	// since is when the watching began that has had no gap since, heard when the
	// last answer came; silent tells that none comes.
	since, heard time.Duration
	silent       bool
}

// member is a replica, what it wrote last, and when that was first seen.
type member struct {
	beat, works string
	changed     time.Duration
	// here tells that it has not left.
	here bool
}

var _ routing.Fleet = (*Fleet)(nil)

// forgetAfter is after how many times Dead a dead replica's beat is thrown away.
const forgetAfter = 10

func newFleet(self routing.ReplicaID, pace Pace) *Fleet {
	return &Fleet{self: self, pace: pace, members: make(map[routing.ReplicaID]*member), silent: true}
}

// observe takes note of all beats. After a gap, or when what was there before
// is lost, the watching begins anew: who could not beat is not dead.
func (f *Fleet) observe(now time.Duration, beats map[string]string, anew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	anew = anew || f.silent
	if anew {
		f.since = now
	}
	f.heard, f.silent = now, false
	for _, m := range f.members {
		m.here = false
		if anew {
			m.changed = now
		}
	}
	for id, beat := range beats {
		m := f.members[routing.ReplicaID(id)]
		if m == nil {
			m = &member{}
			f.members[routing.ReplicaID(id)] = m
		}
		m.here = true
		if m.beat != beat {
			_, m.works = readSign(beat)
			m.beat, m.changed = beat, now
		}
	}
	for id, m := range f.members {
		if !m.here && now-m.changed > forgetAfter*f.pace.Dead {
			delete(f.members, id)
		}
	}
}

// unheard notes that Redis does not answer.
func (f *Fleet) unheard() {
	f.mu.Lock()
	f.silent = true
	f.mu.Unlock()
}

// unanswered tells the same.
func (f *Fleet) unanswered() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent
}

// Gone implements routing.Fleet.
func (f *Fleet) Gone(ids []routing.ReplicaID) []routing.ReplicaID {
	f.mu.Lock()
	defer f.mu.Unlock()
	var gone []routing.ReplicaID
	for _, id := range ids {
		if f.dead(id) {
			gone = append(gone, id)
		}
	}
	return gone
}

// dead tells whether a replica has stood still for long, all of which Redis has
// answered.
func (f *Fleet) dead(id routing.ReplicaID) bool {
	if f.silent || id == f.self {
		return false
	}
	still := f.since
	if m := f.members[id]; m != nil {
		still = m.changed
	}
	return f.heard-still >= f.pace.Dead
}

// deadWith tells the same of the owner of a lease, and the beat that it stands
// still at; empty when it has none.
func (f *Fleet) deadWith(id routing.ReplicaID) (beat string, dead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.members[id]; m != nil && m.here {
		beat = m.beat
	}
	return beat, f.dead(id)
}

// longDead are the beats that nobody will ever need.
func (f *Fleet) longDead() map[routing.ReplicaID]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var dead map[routing.ReplicaID]string
	for id, m := range f.members {
		if m.here && id != f.self && !f.silent && f.heard-m.changed >= forgetAfter*f.pace.Dead {
			if dead == nil {
				dead = make(map[routing.ReplicaID]string)
			}
			dead[id] = m.beat
		}
	}
	return dead
}

// workers are those that work the streams of this format, sorted.
func (f *Fleet) workers() []routing.ReplicaID {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []routing.ReplicaID
	for id, m := range f.members {
		if m.here && m.works == logFormat && (id == f.self || f.heard-m.changed < f.pace.Dead) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Mine implements routing.Fleet. What one is enough for is rather done twice
// than not: by everyone, while Redis does not answer.
func (f *Fleet) Mine(key string) bool {
	if f.unanswered() {
		return true
	}
	workers := f.workers()
	return len(workers) == 0 || chosen(workers, key) == f.self
}

// chosen is the replica that a key falls to: rendezvous hashing, so that when
// one comes or goes only its own keys move. It is empty when there is none.
func chosen(ids []routing.ReplicaID, key string) routing.ReplicaID {
	var best routing.ReplicaID
	var most uint64
	for _, id := range ids {
		h := fnv.New64a()
		h.Write([]byte(id))
		h.Write([]byte{0})
		h.Write([]byte(key))
		if n := mix(h.Sum64()); best == "" || n > most {
			best, most = id, n
		}
	}
	return best
}

// mix spreads the last bytes of a hash over all of it (the finalizer of
// MurmurHash3): keys that differ in one digit would fall to the same replica.
func mix(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}
