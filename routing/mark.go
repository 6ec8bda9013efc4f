package routing

import (
	"context"
	"slices"
	"sync"
)

// MarkStore is the record of how far the broadcasts have come: a revision of the
// catalog, up to which every leg has ended.
type MarkStore interface {
	// Mark is what was saved last; saved is false when nothing was.
	Mark(ctx context.Context) (revision int64, saved bool, err error)
	SaveMark(ctx context.Context, revision int64) error
}

// Marks knows which revisions of the catalog have broadcasts under way. The
// record has what they were about, so that a hub that was killed sends it again:
// what is kept is its own log. A nil Marks does nothing.
type Marks struct {
	cfg MarksConfig
	// from and upTo bound what an earlier process may have left unsent.
	from, upTo int64
	// saved is the mark in the record; only Run uses it, then Save.
	saved int64

	mu sync.Mutex
	// open are revisions by rising number, the first of which has broadcasts
	// under way; idle counts those that have none any more.
	open []openRevision
	idle int
	// settled is the newest revision of which no further broadcast will begin.
	settled int64
	// frozen tells that what ends from now on was cut off.
	frozen bool
}

// openRevision is a revision and how many of its broadcasts are under way.
type openRevision struct {
	revision   int64
	broadcasts int
}

// Log makes a log that notes the beginning of what is appended. Their ends are
// noted by the Fanout.
func (m *Marks) Log(log BroadcastLog) BroadcastLog {
	if m == nil {
		return log
	}
	return markedLog{log, m}
}

type markedLog struct {
	BroadcastLog
	marks *Marks
}

func (l markedLog) Append(b *Broadcast, ended func()) {
	l.marks.begin(b.Revision)
	l.BroadcastLog.Append(b, ended)
}

// Settled notes that all broadcasts up to the revision have begun. It is for
// catalog.Config.
func (m *Marks) Settled(revision int64) {
	m.mu.Lock()
	m.settled = revision // a restored record may have taken it back
	m.mu.Unlock()
}

// begin notes that a broadcast of the revision is under way. Those that are not
// kept have revision 0.
func (m *Marks) begin(revision int64) {
	if m == nil || revision == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, n := len(m.open), len(m.open)
	if n > 0 && m.open[n-1].revision >= revision { // nearly always the last one, or a new one
		i, _ = m.find(revision)
	}
	if i == n || m.open[i].revision != revision {
		m.open = slices.Insert(m.open, i, openRevision{revision: revision})
	} else if m.open[i].broadcasts == 0 {
		m.idle--
	}
	m.open[i].broadcasts++
}

func (m *Marks) find(revision int64) (int, bool) {
	return slices.BinarySearchFunc(m.open, revision, func(o openRevision, revision int64) int {
		return int(min(1, max(-1, o.revision-revision)))
	})
}

// end notes that a broadcast has ended, unless it was cut off.
func (m *Marks) end(revision int64) {
	if m == nil || revision == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.find(revision)
	if m.frozen || !ok || m.open[i].broadcasts == 0 {
		return
	}
	if m.open[i].broadcasts--; m.open[i].broadcasts > 0 {
		return
	}
	m.idle++
	first := 0
	for first < len(m.open) && m.open[first].broadcasts == 0 {
		first++
	}
	m.open, m.idle = m.open[first:], m.idle-first
	// One slow receiver may hold the first for hours, while all others pass.
	if m.idle > 64 && m.idle > len(m.open)/2 {
		m.open = slices.DeleteFunc(m.open, func(o openRevision) bool { return o.broadcasts == 0 })
		m.idle = 0
	}
}

// freeze makes all that is under way stay so: it will be sent again.
func (m *Marks) freeze() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.frozen = true
	m.mu.Unlock()
}

// mark is the revision up to which every broadcast has ended.
func (m *Marks) mark() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.open) > 0 {
		return min(m.settled, m.open[0].revision-1)
	}
	return m.settled
}
