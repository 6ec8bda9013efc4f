package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/storage"
	"busbar/storage/storagetest"
)

// keeping runs a catalog on the stores until the test ends.
func keeping(t *testing.T, stores *storage.Stores) *catalog.Catalog {
	t.Helper()
	c := catalog.New(catalog.Config{Store: stores.Catalog})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	await(t, "the catalog is loaded", c.Loaded)
	return c
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	late := time.After(2 * time.Minute) // only a failing test waits so long
	for !is() {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("not so: %s", what)
		}
	}
}

// page is everything that a catalog lists of a module.
func page(t *testing.T, c *catalog.Catalog, m ocpi.ModuleID) string {
	t.Helper()
	listed, p, err := c.AppendPage(nil, catalog.Query{Module: m, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return string(append(listed, p.Shared...))
}

// pushing sends one push after the other to a replica.
type pushing struct {
	*catalog.Catalog
	owner ocpi.PartyKey
	mu    sync.Mutex
	// order has the revisions in which pushes took effect.
	order []int64
}

func (p *pushing) push(t *testing.T, m ocpi.ModuleID, method, id, body string) {
	w := catalog.Write{Method: method, Module: m, Owner: p.owner, ID: id, Body: []byte(body)}
	w.Then = func(a catalog.Applied) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.order = append(p.order, a.Revision)
	}
	if _, err := p.Apply(t.Context(), w); err != nil {
		t.Errorf("%s %s: %v", method, id, err)
	}
}

// Two replicas write the same objects through one Postgres: no patch is lost,
// both list what the record has, and pushes take effect in its order.
func TestR5_ReplicasKeepOneCatalog(t *testing.T) {
	t.Parallel()
	config := settings(t)
	config.Database = storagetest.Postgres(t)
	one, two := open(t, config), open(t, config)
	owner := storagetest.Agreement("DEMSP NLCPA").Parties[1]
	replicas := []*pushing{{Catalog: keeping(t, one), owner: owner}, {Catalog: keeping(t, two), owner: owner}}
	const writers, rounds = 8, 15
	at := func(n int) string { return fmt.Sprintf(`"last_updated":"2026-01-01T00:00:%02dZ"`, n%60) }
	replicas[0].push(t, ocpi.ModuleLocations, "PUT", "L", `{"id":"L",`+at(0)+`}`)
	var writing sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			p, other := replicas[n%2], replicas[(n+1)%2]
			for i := range rounds {
				p.push(t, ocpi.ModuleLocations, "PATCH", "L", fmt.Sprintf(`{"w%d-%d":%d,%s}`, n, i, i, at(i)))
				mine := fmt.Sprint("T", n)
				p.push(t, ocpi.ModuleTariffs, "PUT", mine, fmt.Sprintf(`{"id":%q,"n":%d,%s}`, mine, i, at(i)))
				// The other has not heard of it yet, but its commit has.
				other.push(t, ocpi.ModuleTariffs, "PATCH", mine, fmt.Sprintf(`{"m":%d,%s}`, i, at(i)))
				if i%2 == 0 {
					other.push(t, ocpi.ModuleTariffs, "DELETE", mine, ``)
				}
			}
		})
	}
	writing.Wait()
	for i, p := range replicas {
		if !slices.IsSorted(p.order) {
			t.Errorf("replica %d: effects out of order: %v", i, p.order)
		}
	}
	for _, m := range []ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTariffs} {
		var record bytes.Buffer
		if _, _, err := one.Catalog.Load(t.Context(), func(row catalog.Row) error {
			if row.Key.Module == m {
				fmt.Fprintf(&record, "%s,", row.Document)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(record.String(), ",")
		for i, p := range replicas {
			await(t, fmt.Sprintf("replica %d lists the %s of the record", i, m), func() bool { return page(t, p.Catalog, m) == want })
		}
	}
	location := page(t, replicas[0].Catalog, ocpi.ModuleLocations)
	for n := range writers {
		for i := range rounds {
			if !strings.Contains(location, fmt.Sprintf(`"w%d-%d":%d`, n, i, i)) {
				t.Errorf("patch %d of writer %d is lost", i, n)
			}
		}
	}
	if page(t, replicas[1].Catalog, ocpi.ModuleTariffs) != "" {
		t.Error("a deleted tariff is still there")
	}
}
