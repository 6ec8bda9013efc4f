package sqldb_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// running is a replica's catalog on a database.
func running(t *testing.T, store catalog.Store) *catalog.Catalog {
	t.Helper()
	c := catalog.New(catalog.Config{Store: store})
	ctx, stop := context.WithCancel(context.Background())
	var runs sync.WaitGroup
	runs.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { stop(); runs.Wait() })
	<-c.Ready()
	return c
}

func located(id string) catalog.Key {
	k := storagetest.Location(id, 1, 1).Key
	return catalog.Key{Module: k.Module, Owner: k.Owner, ID: id}
}

func pushOf(method, id, body string) catalog.Write {
	k := located(id)
	return catalog.Write{Method: method, Module: ocpi.ModuleLocations, Owner: k.Owner, ID: id, Body: []byte(body), Received: time.Now()}
}

// Replicas patch one object and their own ones at once, one of them from far away.
// Whoever catches up with a push sees it, and in the end all have the same; each
// push is handed on once.
func TestReplicasOnOnePostgresPushAndCatchUp(t *testing.T) {
	t.Parallel()
	const senders, pushes = 2, 10
	d := onPostgres(t)
	replicas := []*catalog.Catalog{running(t, opened(t, d).Catalog("a")), running(t, opened(t, d).Catalog("b"))}
	far, err := sqldb.OpenPostgres(t.Context(), slowLine(t, d.url, 4*time.Millisecond), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	replicas = append(replicas, running(t, far.Catalog("far")))
	if _, err := replicas[0].Apply(t.Context(), pushOf(http.MethodPut, "shared", `{"id":"shared"}`)); err != nil {
		t.Fatal(err)
	}
	var handedOn atomic.Int64
	var sending sync.WaitGroup
	for i := range senders * len(replicas) {
		near, other := replicas[i%len(replicas)], replicas[(i+1)%len(replicas)]
		sending.Go(func() {
			for n, last := 1, int64(0); n <= pushes; n++ {
				id, method := "shared", http.MethodPatch
				field := fmt.Sprintf(`"f%d":%d`, i, n)
				if n%2 == 0 {
					id, method = fmt.Sprint("own-", i), http.MethodPut
				}
				w := pushOf(method, id, fmt.Sprintf(`{"id":%q,%s,"last_updated":"2026-01-01T00:00:%02dZ"}`, id, field, n))
				w.Then = func(catalog.Applied) { handedOn.Add(1) }
				a, err := near.Apply(t.Context(), w)
				if err != nil || !a.Changed || a.Revision <= last {
					t.Errorf("push %d of sender %d: %+v behind %d, %v", n, i, a, last, err)
					return
				}
				last = a.Revision
				if err := other.CatchUp(t.Context(), last); err != nil {
					t.Error(err)
				}
				if document, _ := other.Document(located(id)); !bytes.Contains(document, []byte(field)) {
					t.Errorf("who caught up with %d has %s, without %s", last, document, field)
				}
			}
		})
	}
	sending.Wait()
	if n := handedOn.Load(); n != int64(senders*len(replicas)*pushes) {
		t.Errorf("%d pushes were handed on", n)
	}
	wantEqual(t, replicas)
}

// wantEqual holds that replicas list the same, once each has caught up.
func wantEqual(t *testing.T, replicas []*catalog.Catalog) {
	t.Helper()
	newest := int64(0)
	for _, c := range replicas {
		newest = max(newest, c.Reached())
	}
	var want []byte
	for i, c := range replicas {
		if err := c.CatchUp(t.Context(), newest); err != nil {
			t.Error(err)
		}
		page, info, err := c.AppendPage(nil, catalog.Query{Module: ocpi.ModuleLocations, Limit: 1000})
		page = append(page, info.Shared...)
		if want == nil {
			want = page
		}
		if err != nil || len(page) == 0 || !bytes.Equal(page, want) {
			t.Errorf("replica %d lists %s, %v, and the first %s", i, page, err, want)
		}
	}
}

// The answer of a commit is lost on its way, and before anybody asks for it, another
// replica overwrites the object. The sender is told the truth, and the push is
// handed on, once; whether the commit won a race or held the others back.
func TestAPushWhoseAnswerIsLostIsHandedOn(t *testing.T) {
	t.Parallel()
	for name, races := range map[string]int{"at the first try": 0, "while it holds the others back": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := onPostgres(t)
			lose, through := storagetest.ForgetfulLine(t, d.url)
			db, err := sqldb.OpenPostgres(t.Context(), through, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			const replica = "the-replica" // stands in what is sent with the statement
			other := opened(t, d).Catalog("other")
			store := &meddled{Catalog: db.Catalog(replica)}
			c := running(t, store)
			if _, err := c.Apply(t.Context(), pushOf(http.MethodPut, "loc", `{"id":"loc","n":1}`)); err != nil {
				t.Fatal(err)
			}
			turn := 0
			store.deciding = func() {
				if turn++; turn <= races {
					commitRow(t, other, fmt.Sprint("other ", turn))
				} else {
					lose(replica)
				}
			}
			asked := 0
			store.settling = func() {
				asked++
				if _, err := other.Commit(t.Context(), 0, func(rows []catalog.Row, revision, _ int64) []catalog.Row {
					return rows // overwrites all
				}); err != nil {
					t.Error(err)
				}
			}
			handedOn := 0
			w := pushOf(http.MethodPut, "loc", `{"id":"loc","n":2}`)
			w.Then = func(catalog.Applied) { handedOn++ }
			a, err := c.Apply(t.Context(), w)
			if want := int64(2 + races); err != nil || a.Revision != want || !a.Changed || handedOn != 1 || turn != races+1 || asked != 1 {
				t.Errorf("%+v, %v, handed on %d times after %d turns, asked for %d times; want revision %d", a, err, handedOn, turn, asked, want)
			}
		})
	}
}

// meddled is a record to which things happen while a replica commits.
type meddled struct {
	*sqldb.Catalog
	deciding, settling func()
}

func (m *meddled) Commit(ctx context.Context, have int64, decide catalog.Decide) (int64, error) {
	return m.Catalog.Commit(ctx, have, func(newer []catalog.Row, revision, lastSeq int64) []catalog.Row {
		if m.deciding != nil {
			m.deciding()
		}
		return decide(newer, revision, lastSeq)
	})
}

func (m *meddled) Settle(ctx context.Context, revision int64) (bool, error) {
	m.settling()
	return m.Catalog.Settle(ctx, revision)
}
