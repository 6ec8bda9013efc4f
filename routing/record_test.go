package routing

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// outboxRecord is an OutboxStore, and the rows of the catalog, in memory.
type outboxRecord struct {
	mu        sync.Mutex
	revisions map[int64]ReplicaID
	parcels   map[int64]openParcel
	lastID    int64
	rows      []catalog.Row
	// again are revisions of rows that an earlier one had written before.
	again map[int64]int64
	// saves are how many were saved at once, each time.
	saves []int
	// saving is called by Save, if it is set.
	saving func()
	// fails are how often an operation fails from now on; done are those that
	// fail only after they were done.
	fails map[string]int
	done  bool
	// forgotten is the time of the last Forget.
	forgotten time.Time
}

type openParcel struct {
	replica ReplicaID
	*Broadcast
}

func newOutboxRecord() *outboxRecord {
	return &outboxRecord{revisions: map[int64]ReplicaID{}, parcels: map[int64]openParcel{}, fails: map[string]int{}}
}

func (r *outboxRecord) fault(op string) error {
	if r.fails[op] == 0 {
		return nil
	}
	r.fails[op]--
	return errors.New("secret words of the record")
}

// does makes the change, and fails if it is to.
func (r *outboxRecord) does(op string, change func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.fault(op)
	if err == nil || r.done {
		change()
	}
	return err
}

func (r *outboxRecord) Save(_ context.Context, replica ReplicaID, broadcasts []*Broadcast) error {
	if r.saving != nil {
		r.saving()
	}
	return r.does("save", func() {
		r.saves = append(r.saves, len(broadcasts))
		for _, b := range broadcasts {
			r.lastID++
			b.Parcel = r.lastID
			r.parcels[b.Parcel] = openParcel{replica, b}
		}
	})
}

func (r *outboxRecord) Ended(_ context.Context, revisions, parcels []int64) error {
	return r.does("ended", func() {
		for _, revision := range revisions {
			if r.revisions[revision] == me {
				delete(r.revisions, revision)
			}
		}
		for _, parcel := range parcels {
			delete(r.parcels, parcel)
		}
	})
}

func (r *outboxRecord) Replicas(context.Context) (ids []ReplicaID, err error) {
	err = r.does("replicas", func() {
		open := map[ReplicaID]bool{}
		for _, id := range r.revisions {
			open[id] = true
		}
		for _, p := range r.parcels {
			open[p.replica] = true
		}
		ids = slices.Sorted(maps.Keys(open))
	})
	return ids, err
}

func (r *outboxRecord) Adopt(_ context.Context, from, to ReplicaID) (revisions []int64, parcels []*Broadcast, err error) {
	err = r.does("adopt", func() {
		for _, revision := range slices.Sorted(maps.Keys(r.revisions)) {
			if r.revisions[revision] == from {
				r.revisions[revision], revisions = to, append(revisions, revision)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(r.parcels)) {
			if p := r.parcels[id]; p.replica == from {
				b := *p.Broadcast
				r.parcels[id], parcels = openParcel{to, p.Broadcast}, append(parcels, &b)
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return revisions, parcels, nil
}

// Own tells of one parcel at a time.
func (r *outboxRecord) Own(_ context.Context, replica ReplicaID, behind int64) (revisions []int64, parcels []*Broadcast, err error) {
	err = r.does("adopt", func() {
		for _, revision := range slices.Sorted(maps.Keys(r.revisions)) {
			if behind == 0 && r.revisions[revision] == replica {
				revisions = append(revisions, revision)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(r.parcels)) {
			if p := r.parcels[id]; p.replica == replica && id > behind && len(parcels) == 0 {
				b := *p.Broadcast
				parcels = append(parcels, &b)
			}
		}
	})
	return revisions, parcels, err
}

func (*outboxRecord) Later(context.Context, *Broadcast, int64) ([]*Broadcast, bool, error) {
	return nil, true, nil
}

func (r *outboxRecord) LastParcel(context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastID, nil
}

func (r *outboxRecord) Forget(_ context.Context, before time.Time) (int64, error) {
	return 0, r.does("forget", func() { r.forgotten = before })
}

// Left fails behind the rows. What a later revision wrote again stands in again.
func (r *outboxRecord) Left(_ context.Context, revisions []int64, each func(int64, catalog.Row) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range slices.SortedStableFunc(slices.Values(r.rows), func(a, b catalog.Row) int { return cmp.Compare(a.Revision, b.Revision) }) {
		wrote := row.Revision
		if first, again := r.again[row.Revision]; again {
			wrote = first
		}
		if slices.Contains(revisions, wrote) {
			if err := each(wrote, row); err != nil {
				return err
			}
		}
	}
	return r.fault("at")
}

// commits notes a revision as the replica's, as the catalog's commit does.
func (r *outboxRecord) commits(replica ReplicaID, revisions ...int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, revision := range revisions {
		r.revisions[revision] = replica
	}
}

// open are the revisions and the parcels that have not ended.
func (r *outboxRecord) open() (revisions, parcels []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.revisions)), slices.Sorted(maps.Keys(r.parcels))
}

// fleet are the replicas that are gone.
type fleet map[ReplicaID]bool

func (f fleet) Gone(ids []ReplicaID) (gone []ReplicaID) {
	for _, id := range ids {
		if f[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

func (fleet) Mine(string) bool { return true }

const me ReplicaID = "me"

// newOutbox is the Outbox of the replica me; dead is gone.
func newOutbox(log BroadcastLog, record *outboxRecord) *Outbox {
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	return NewOutbox(OutboxConfig{
		Store: record, Log: log, Replica: me, Fleet: fleet{"dead": true}, Directory: d,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// pending is a log that only remembers; the test ends what it wants.
type pending struct {
	mu         sync.Mutex
	broadcasts []*Broadcast
	ends       []func()
}

func (p *pending) Append(b *Broadcast, ended func()) (taken <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broadcasts, p.ends = append(p.broadcasts, b), append(p.ends, ended)
	return nil
}

func (*pending) Run(context.Context, func(Handed)) {}

func (*pending) CutShort() {}

// end ends the nth broadcast.
func (p *pending) end(n int) {
	p.mu.Lock()
	ended := p.ends[n]
	p.mu.Unlock()
	ended()
}

func (p *pending) all() []*Broadcast {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.broadcasts)
}

// rowOf reads "7 tariffs T1", "7 tariffs T1 deleted": an object of NL/CPA.
func rowOf(t *testing.T, words string) catalog.Row {
	t.Helper()
	f := strings.Fields(words)
	row := catalog.Row{Key: catalog.Key{Module: ocpi.ModuleID(f[1]), Owner: party(t, "NLCPA"), ID: strings.ToLower(f[2])}}
	for _, digit := range f[0] {
		row.Revision = 10*row.Revision + int64(digit-'0')
	}
	if row.Deleted = len(f) > 3; !row.Deleted {
		row.Document = []byte(`{"id":"` + f[2] + `"}`)
	}
	return row
}
