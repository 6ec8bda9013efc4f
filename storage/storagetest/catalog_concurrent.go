package storagetest

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"busbar/catalog"
)

// replica is what a catalog does with a store: it keeps in memory what it knows
// of the record.
type replica struct {
	store   catalog.Store
	known   map[string]catalog.Row
	at      int64
	learned int
}

func newReplica(s catalog.Store) *replica {
	return &replica{store: s, known: make(map[string]catalog.Row)}
}

func (r *replica) learn(t *testing.T, newer []catalog.Row) {
	for _, row := range newer {
		if row.Revision <= r.at {
			t.Errorf("%s of revision %d is no news at %d", row.Key.ID, row.Revision, r.at)
		}
		r.known[row.Key.ID] = row
		r.learned++
	}
}

// push writes one object, whose document change makes of the one that is known.
func (r *replica) push(t *testing.T, id string, change func(document string) string) {
	var written catalog.Row
	var news []catalog.Row
	revision, err := r.store.Commit(t.Context(), r.at, func(newer []catalog.Row, revision, lastSeq int64) []catalog.Row {
		news = newer // of the last time
		row, ok := r.known[id]
		for _, other := range newer {
			if other.Key.ID == id {
				row, ok = other, true
			}
		}
		if !ok {
			row = Location(id, lastSeq+1, revision)
			row.Document = nil
		}
		row.Revision, row.Document = revision, []byte(change(string(row.Document)))
		written = row
		return []catalog.Row{row}
	})
	if err != nil {
		t.Errorf("Commit: %v", err)
		return
	}
	r.learn(t, news)
	r.known[id], r.at = written, revision
}

const pushes = 10

// concurrentCommits lets replicas add objects at once: each knows all in the
// end, in the places that the record gave them.
func concurrentCommits(t *testing.T, a, b catalog.Store) {
	replicas := make([]*replica, writers)
	together(writers, func(i int) {
		replicas[i] = newReplica([]catalog.Store{a, b}[i%2])
		for n := range pushes {
			replicas[i].push(t, fmt.Sprintf("loc %d of %d", n, i), func(string) string { return `{}` })
		}
	})
	const all = writers * pushes
	rows, upTo, err := a.Since(t.Context(), 0)
	if err != nil || upTo != all || len(rows) != all {
		t.Fatalf("%d rows up to revision %d, %v, want %d", len(rows), upTo, err, all)
	}
	for i, row := range rows {
		if row.Revision != int64(i+1) || row.Seq != int64(i+1) {
			t.Errorf("row %d has revision %d and seq %d", i+1, row.Revision, row.Seq)
		}
	}
	for _, r := range replicas {
		news, _, err := r.store.Since(t.Context(), r.at)
		if err != nil {
			t.Fatal(err)
		}
		r.learn(t, news)
		if len(r.known) != all || r.learned != all-pushes {
			t.Errorf("a replica knows %d objects, %d from others, want %d and %d", len(r.known), r.learned, all, all-pushes)
		}
	}
}

// concurrentChanges lets replicas count in one document.
func concurrentChanges(t *testing.T, a, b catalog.Store) {
	together(writers, func(i int) {
		r := newReplica([]catalog.Store{a, b}[i%2])
		for range pushes {
			r.push(t, "counter", func(document string) string {
				n, _ := strconv.Atoi(document)
				return strconv.Itoa(n + 1)
			})
		}
	})
	rows, _, err := a.Since(t.Context(), 0)
	if err != nil || len(rows) != 1 || string(rows[0].Document) != strconv.Itoa(writers*pushes) {
		t.Errorf("the record holds %v, %v, want one document that says %d", rows, err, writers*pushes)
	}
}

// loadBesideCommits writes all objects by each commit, so that whatever is
// loaded must be of one revision.
func loadBesideCommits(t *testing.T, a, b catalog.Store) {
	const objects = 200
	write := func(_ []catalog.Row, revision, _ int64) []catalog.Row {
		rows := make([]catalog.Row, objects)
		for i := range rows {
			rows[i] = Location(fmt.Sprint("loc", i), int64(i+1), revision)
		}
		return rows
	}
	besides(func() {
		n, of := 0, int64(0)
		revision, _, err := b.Load(t.Context(), func(row catalog.Row) error {
			if n++; n > 1 && row.Revision != of {
				t.Errorf("%s is of revision %d, the one before it of %d", row.Key.ID, row.Revision, of)
			}
			of = row.Revision
			return nil
		})
		if err != nil || of != revision || revision > 0 && n != objects {
			t.Errorf("Load: %d rows of revision %d stand for revision %d, %v", n, of, revision, err)
		}
	}, func() {
		for range pushes {
			if _, err := a.Commit(t.Context(), 0, write); err != nil {
				t.Errorf("Commit: %v", err)
			}
		}
	})
}

// revisionsInOrder adds an object by each commit, so whoever sees revision n
// must see exactly n rows.
func revisionsInOrder(t *testing.T, a, b catalog.Store) {
	seen := int64(0)
	besides(func() {
		rows, upTo, err := b.Since(t.Context(), 0)
		if err != nil || int64(len(rows)) != upTo || upTo < seen {
			t.Errorf("Since: %d rows up to revision %d after %d, %v", len(rows), upTo, seen, err)
		}
		seen = upTo
	}, func() {
		together(writers, func(i int) {
			r := newReplica([]catalog.Store{a, b}[i%2])
			for n := range pushes {
				r.push(t, fmt.Sprintf("loc %d of %d", n, i), func(string) string { return `{}` })
			}
		})
	})
}

// FollowCommits lets a replica on each store commit, while another follows: all
// must see each revision once, in its order, and with all of its rows.
func FollowCommits(t *testing.T, stores ...catalog.Store) {
	t.Helper()
	all := int64(len(stores) * pushes)
	together(2*len(stores), func(i int) {
		f := follower{store: stores[i%len(stores)]}
		if i < len(stores) {
			for f.at < all && !t.Failed() {
				rows, upTo, err := f.store.Since(t.Context(), f.at)
				f.sees(t, rows, upTo, err)
			}
			return
		}
		for n := range pushes {
			f.commits(t, fmt.Sprintf("%d of %d", n, i))
		}
	})
	if revision, err := stores[0].Revision(t.Context()); err != nil || revision != all {
		t.Errorf("%d commits led to revision %d, %v", all, revision, err)
	}
}

type follower struct {
	store catalog.Store
	at    int64
}

// rowsOf is how many rows a revision has.
func rowsOf(revision int64) int { return 1 + int(revision%3) }

func (f *follower) commits(t *testing.T, name string) {
	var newer []catalog.Row
	revision, err := f.store.Commit(t.Context(), f.at, func(news []catalog.Row, revision, lastSeq int64) (rows []catalog.Row) {
		newer = news
		for i := range rowsOf(revision) {
			rows = append(rows, Location(fmt.Sprint(name, " row ", i), lastSeq+1+int64(i), revision))
		}
		return rows
	})
	f.sees(t, newer, revision-1, err)
	f.at = revision
}

func (f *follower) sees(t *testing.T, rows []catalog.Row, upTo int64, err error) {
	if err != nil {
		t.Error(err)
	}
	for ; f.at < upTo; f.at++ {
		n := 0
		for n < len(rows) && rows[n].Revision == f.at+1 {
			n++
		}
		if n != rowsOf(f.at+1) {
			t.Errorf("revision %d, on the way to %d, is seen with %d rows, want %d", f.at+1, upTo, n, rowsOf(f.at+1))
			return
		}
		rows = rows[n:]
	}
	if len(rows) > 0 {
		t.Errorf("revision %d is seen behind %d", rows[0].Revision, upTo)
	}
}

// besides runs look again and again while do runs, and once afterwards.
func besides(look, do func()) {
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			look()
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	do()
	close(stop)
	looking.Wait()
	look()
}

// concurrentCatalogForgets brings every second object back while all are being
// forgotten.
func concurrentCatalogForgets(t *testing.T, a, b catalog.Store) {
	const objects = 2500 // more than one step of ForgetDeleted
	rows := make([]catalog.Row, objects)
	for i := range rows {
		rows[i] = gone(Location(fmt.Sprint("loc", i), int64(i+1), 1))
	}
	commit(t, a, rows...)
	var sum, mu = int64(0), sync.Mutex{}
	together(5, func(i int) {
		if i == 0 {
			var back []catalog.Row
			for n := objects - 1; n >= 0; n -= 2 {
				back = append(back, Location(fmt.Sprint("loc", n), int64(objects+n), 2))
			}
			commit(t, a, back...)
			return
		}
		n, err := []catalog.Store{a, b}[i%2].ForgetDeleted(t.Context(), at(1000))
		if err != nil {
			t.Errorf("ForgetDeleted: %v", err)
		}
		mu.Lock()
		sum += n
		mu.Unlock()
	})
	n, err := a.ForgetDeleted(t.Context(), at(1000))
	if sum += n; err != nil || sum < objects/2 || sum > objects {
		t.Errorf("%d objects were forgotten, %v, want %d at least", sum, err, objects/2)
	}
	left, _, err := b.Since(t.Context(), 0)
	if err != nil || len(left) != objects/2 {
		t.Fatalf("%d rows are left, %v, want %d", len(left), err, objects/2)
	}
	for _, row := range left {
		if row.Deleted || row.Revision != 2 {
			t.Errorf("%s is left: %+v", row.Key.ID, row)
		}
	}
}

// catalogParts has more than a store reads at once.
func catalogParts(t *testing.T, a, b catalog.Store) {
	const commits, each = 4, 700
	for c := range commits {
		rows := make([]catalog.Row, each)
		for i := range rows {
			rows[i] = Location(fmt.Sprint("loc", c, "-", i), int64(c*each+i+1), int64(c+1))
		}
		commit(t, a, rows...)
	}
	parts, n, from := 0, 0, int64(0)
	for from < commits {
		rows, upTo, err := b.Since(t.Context(), from)
		if err != nil || upTo <= from || int64(len(rows)) != (upTo-from)*each {
			t.Fatalf("Since(%d): %d rows up to %d, %v", from, len(rows), upTo, err)
		}
		for _, row := range rows {
			if n++; row.Seq != int64(n) || row.Revision <= from || row.Revision > upTo {
				t.Fatalf("row %d between %d and %d: seq %d of revision %d", n, from, upTo, row.Seq, row.Revision)
			}
		}
		parts, from = parts+1, upTo
	}
	if parts < 2 || n != commits*each {
		t.Errorf("%d rows in %d parts", n, parts)
	}
	wantSince(t, b, commits, commits)
}
