package routing

import "sync"

// mostAhead bounds the objects that a tenure remembers one by one.
const mostAhead = 10_000

// Tenure is the time in which one replica works one part of the log, without
// another one in between. Whoever sends an object's present state in the place of
// an older broadcast is ahead of those that are still to come: these must not be
// sent behind it, and need not, as the state has them. A Tenure knows which, and
// ends with what it knows: then the next replica may have gone ahead as well.
type Tenure struct {
	mu sync.Mutex
	// begun tells that floor is known: what was accepted up to it may have been
	// sent, as a state, by the replica before.
	begun bool
	floor int64
	// ahead are objects of which a state was sent, by its revision, that is newer
	// than the broadcast in whose place it was.
	ahead map[string]int64
	// tokens is the same for what the hub does not keep.
	tokens sentTokens
}

// begin finds out what other replicas may have sent. It is false when the tenure is
// over already, or the Fanout has stopped.
func (t *Tenure) begin(f *Fanout, h Handed) bool {
	t.mu.Lock()
	begun := t.begun
	t.mu.Unlock()
	if begun || f.cfg.Present == nil {
		return true
	}
	// Whatever they sent, the record had before.
	if !f.catchUp(h, everything) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun, t.floor = true, f.cfg.Present.Reached()
	return true
}

// passed tells that a state was sent which has what the broadcast says of its
// object; doubtful that another replica may have sent one.
func (t *Tenure) passed(b *Broadcast) (passed, doubtful bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.ahead[b.Object]; ok && b.Revision > 0 {
		if b.olderThan(at) {
			return true, true
		}
		delete(t.ahead, b.Object) // nothing older is to come that is not marked
		return b.Revision == at, true
	}
	return false, t.floor > 0 && b.Revision <= t.floor
}

// olderThan tells that the broadcast is of an older state than the one that a
// revision wrote.
func (b *Broadcast) olderThan(revision int64) bool {
	return b.Revision < revision || b.Revision == revision && b.Overtaken
}

// goAhead notes that a state is sent in the place of a broadcast.
func (t *Tenure) goAhead(object string, revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ahead) >= mostAhead {
		for _, at := range t.ahead {
			t.floor = max(t.floor, at)
		}
		t.ahead = nil
	}
	if t.ahead == nil {
		t.ahead = make(map[string]int64)
	}
	t.ahead[object] = max(t.ahead[object], revision)
}
