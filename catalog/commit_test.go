package catalog_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

// TestS5_ALostAnswerIsLookedUp: the record has the commit, only its answer did
// not arrive. What it keeps is sent.
func TestS5_ALostAnswerIsLookedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c, other := running(t, r), running(t, r)
		sent := 0
		put := location("PUT", nlTNM, "A", `{"n":1,"last_updated":1}`)
		put.Then = func(catalog.Applied) { sent++ }
		r.set(func(r *record) { r.failAfter = errDown })
		if a := apply(t, c, put); !a.Created || a.Revision != 1 || sent != 1 {
			t.Errorf("%+v, sent %d times", a, sent)
		}
		put.Body = []byte(`{"id":"A","n":2,"last_updated":2}`)
		if a := apply(t, c, put); a.Created || !a.Changed || a.Revision != 2 || sent != 2 {
			t.Errorf("%+v, sent %d times", a, sent)
		}
		gone := tariff("DELETE", "T", ``)
		apply(t, c, tariff("PUT", "T", `{}`))
		apply(t, c, gone)
		r.set(func(r *record) { r.failAfter = nil })
		if a := apply(t, other, put); a.Created || a.Changed {
			t.Errorf("the other replica: %+v", a)
		}
		if doc, _ := c.Document(key("a")); !strings.Contains(string(doc), `"n":2`) || c.Owners(ocpi.ModuleTariffs, "T") != nil {
			t.Errorf("memory differs: %s", doc)
		}
	})
}

// TestS5_AnInterruptedCommitIsTriedAgain, once: the record's clock jumped, and
// nothing is in doubt.
func TestS5_AnInterruptedCommitIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c := running(t, r)
		r.set(func(r *record) { r.interrupts = 1 })
		if a := apply(t, c, location("PUT", nlTNM, "A", `{"n":1}`)); !a.Created || a.Revision != 1 {
			t.Errorf("%+v", a)
		}
		r.set(func(r *record) { r.interrupts = 2 })
		_, err := c.Apply(t.Context(), location("PUT", nlTNM, "B", `{}`))
		refused(t, err, 4000, "nothing was sent")
		if a := apply(t, c, location("PUT", nlTNM, "B", `{}`)); !a.Created || a.Revision != 2 {
			t.Errorf("%+v", a)
		}
	})
}

// TestS5_AnothersCommitIsNotTakenForOurs: the commit failed, and another replica
// got the revision.
func TestS5_AnothersCommitIsNotTakenForOurs(t *testing.T) {
	for name, change := range map[string]func(*catalog.Row){
		"another state":  func(r *catalog.Row) { r.Document = []byte(`{"id":"A","of":"another"}`) },
		"another object": func(r *catalog.Row) { r.Key.ID = "other" },
		"another place":  func(r *catalog.Row) { r.Seq += 7 },
		"the very same":  func(*catalog.Row) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRecord()
				c := running(t, r)
				r.set(func(r *record) {
					r.failAfter = errDown
					r.instead = func(row catalog.Row) catalog.Row { change(&row); return row }
				})
				w := location("PUT", nlTNM, "A", `{}`)
				w.Then = func(catalog.Applied) { t.Error("Then was called") }
				_, err := c.Apply(t.Context(), w)
				refused(t, err, 4000, "so nothing was sent")
				r.set(func(r *record) { r.failAfter, r.instead = nil, nil })
				time.Sleep(time.Second)
				synctest.Wait()
				want, _ := r.wants(ocpi.ModuleLocations, time.Time{}, time.Time{})
				if got, _, err := c.AppendPage(nil, catalog.Query{Module: ocpi.ModuleLocations, Limit: 9}); err != nil || string(got) != want {
					t.Errorf("lists %s, the record has %s, %v", got, want, err)
				}
			})
		})
	}
}

// TestP1_AnObjectThatCameBackElsewhereMoves: between two looks of this replica,
// another deleted an object and made it anew.
func TestP1_AnObjectThatCameBackElsewhereMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		apply(t, one, tariff("PUT", "T", `{}`))
		apply(t, one, tariff("PUT", "U", `{}`))
		time.Sleep(time.Second)
		apply(t, one, tariff("DELETE", "T", ``))
		apply(t, one, tariff("PUT", "T", `{}`))
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range []*catalog.Catalog{one, two} {
			if ids, page := listed(t, c, catalog.Query{Module: ocpi.ModuleTariffs, Limit: 9}); !slices.Equal(ids, []string{"U", "T"}) || page.Total != 2 {
				t.Errorf("%v of %d", ids, page.Total)
			}
		}
	})
}

// TestP2_TotalsAfterManyChanges counts by the summaries of chunks, which deleted
// and changed objects must leave right.
func TestP2_TotalsAfterManyChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := running(t, newRecord())
		owners := []ocpi.PartyKey{nlTNM, nlNDW}
		has := make(map[string]int) // the day of each object
		random := rand.New(rand.NewPCG(3, 4))
		for i := range 1500 {
			id, day := fmt.Sprint(random.IntN(350)), random.IntN(20)
			w := tariff("PUT", id, fmt.Sprintf(`{"last_updated":"2026-01-%02dT00:00:00Z"}`, day+1))
			w.Owner = owners[i%2]
			if at := w.Owner.String() + id; random.IntN(3) == 0 {
				if _, there := has[at]; !there {
					continue
				}
				w.Method, w.Body = "DELETE", nil
				delete(has, at)
			} else {
				has[at] = day
			}
			apply(t, c, w)
		}
		for _, owner := range owners {
			for _, days := range [][2]int{{0, 40}, {-5, 20}, {3, 9}, {0, 1}, {25, 30}} {
				want := 0
				for at, day := range has {
					if strings.HasPrefix(at, owner.String()) && day >= days[0] && day < days[1] {
						want++
					}
				}
				first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				q := catalog.Query{
					Module: ocpi.ModuleTariffs, Owners: func(o ocpi.PartyKey) bool { return o == owner },
					From: first.AddDate(0, 0, days[0]), To: first.AddDate(0, 0, days[1]), Limit: 1000,
				}
				if ids, page := listed(t, c, q); page.Total != want || len(ids) != want {
					t.Errorf("%s in days %v: %d listed of %d, want %d", owner, days, len(ids), page.Total, want)
				}
			}
		}
	})
}

// TestReplicaCatchesUpInParts: after a long outage there is more than one part.
func TestReplicaCatchesUpInParts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		r.set(func(r *record) { r.hangs, r.page = true, 3 })
		time.Sleep(time.Second) // neither follows
		for i := range 20 {
			r.mu.Lock()
			r.revision++
			row := catalog.Row{
				Key: key(fmt.Sprint("l", i)), Seq: int64(i + 1), Revision: r.revision, ChangedAt: time.Now(),
				Document: []byte(`{"id":"x"}`), LastUpdated: time.Now(),
			}
			r.rows[row.Key], r.lastSeq = row, row.Seq
			r.written = append(r.written, row.Key)
			r.mu.Unlock()
		}
		r.set(func(r *record) { r.hangs = false })
		time.Sleep(20 * time.Second)
		apply(t, one, location("PUT", nlTNM, "last", `{}`))
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range []*catalog.Catalog{one, two} {
			if _, page, err := c.AppendPage(nil, catalog.Query{Module: ocpi.ModuleLocations, Limit: 1}); err != nil || page.Total != 21 {
				t.Errorf("%d of 21 objects, %v", page.Total, err)
			}
		}
	})
}

// TestACommitFollowsFirst: what others wrote is too much to be read while the
// commit holds them back.
func TestACommitFollowsFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		r.set(func(r *record) { r.most = 2 })
		for i := range 5 {
			apply(t, one, location("PUT", nlTNM, fmt.Sprint("L", i), `{}`))
		}
		apply(t, two, location("PUT", nlTNM, "last", `{}`))
		if _, page, err := two.AppendPage(nil, catalog.Query{Module: ocpi.ModuleLocations, Limit: 1}); err != nil || page.Total != 6 {
			t.Errorf("%d of 6 objects, %v", page.Total, err)
		}
	})
}

// TestS5_ABatchIsBoundedInBytes: what waits together is not written together
// when it is too large for one statement.
func TestS5_ABatchIsBoundedInBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c := running(t, r)
		gate := make(chan struct{})
		r.set(func(r *record) { r.gate = gate })
		var mu sync.Mutex
		var order []int
		var pushes sync.WaitGroup
		large := `{"name":"` + strings.Repeat("x", 1<<20) + `"}`
		for i := range 5 {
			w := location("PUT", nlTNM, fmt.Sprint("L", i), large)
			w.Then = func(catalog.Applied) { mu.Lock(); defer mu.Unlock(); order = append(order, i) }
			pushes.Go(func() {
				if _, err := c.Apply(context.Background(), w); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // in this order
		}
		close(gate)
		pushes.Wait()
		// The first went alone, then three together.
		if !slices.IsSorted(order) || len(order) != 5 || r.commits != 3 || len(r.rows) != 5 {
			t.Errorf("order %v, %d commits of %d objects", order, r.commits, len(r.rows))
		}
	})
}

// TestS5_ASmallPushWaitsForOneLargeOne of another platform, however many there are.
func TestS5_ASmallPushWaitsForOneLargeOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c := running(t, r)
		gate := make(chan struct{})
		r.set(func(r *record) { r.gate = gate })
		var order []string // of the committer alone
		var pushes sync.WaitGroup
		push := func(sender, id, body string) {
			w := location("PUT", nlTNM, id, body)
			w.Sender = sender
			w.Then = func(catalog.Applied) { order = append(order, id) }
			pushes.Go(func() {
				if _, err := c.Apply(context.Background(), w); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // in this order
		}
		for i := range 4 {
			push("noisy", fmt.Sprint("large ", i), `{"name":"`+strings.Repeat("x", 5<<20)+`"}`)
		}
		for i := range 3 {
			push("quiet", fmt.Sprint("small ", i), `{}`)
		}
		close(gate)
		pushes.Wait()
		want := []string{"large 0", "small 0", "small 1", "small 2", "large 1", "large 2", "large 3"}
		if !slices.Equal(order, want) || r.commits != 5 {
			t.Errorf("%d commits, in the order %q", r.commits, order)
		}
	})
}

// together applies pushes in one batch and tells what became of each. They wait,
// while an earlier commit is under way.
func together(t *testing.T, r *record, c *catalog.Catalog, writes ...catalog.Write) []catalog.Applied {
	t.Helper()
	gate := make(chan struct{})
	r.set(func(r *record) { r.gate = gate })
	var pushes sync.WaitGroup
	pushes.Go(func() { apply(t, c, location("PUT", nlTNM, "busy", `{}`)) })
	synctest.Wait()
	applied := make([]catalog.Applied, len(writes))
	for i, w := range writes {
		pushes.Go(func() { applied[i] = apply(t, c, w) })
		synctest.Wait() // in this order
	}
	close(gate)
	pushes.Wait()
	r.set(func(r *record) { r.gate = nil })
	return applied
}

// TestR3_WhatItsBatchHasOvertakenIsTold: two pushes of an object share a revision,
// under which the record has the second only.
func TestR3_WhatItsBatchHasOvertakenIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c := running(t, r)
		overtaken := make(map[string]bool)
		put := func(name, id, body string) catalog.Write {
			w := location("PUT", nlTNM, id, body)
			w.Then = func(a catalog.Applied) { overtaken[name] = a.Overtaken }
			return w
		}
		applied := together(t, r, c,
			put("first", "A", `{"n":1}`), put("of another", "B", `{"n":1}`), put("second", "a", `{"n":2}`),
			put("third", "A", `{"n":3}`), put("the same again", "A", `{"n":3}`))
		if applied[0].Revision != applied[3].Revision {
			t.Fatalf("they were not one batch: %+v", applied)
		}
		together(t, r, c, put("later", "A", `{"n":4}`))
		want := map[string]bool{"first": true, "of another": false, "second": true, "third": false, "the same again": false, "later": false}
		if !maps.Equal(overtaken, want) {
			t.Errorf("overtaken: %v, want %v", overtaken, want)
		}
	})
}

// TestP4_WhatCameAndWentInABatchLeavesATombstone: its PUT may be on its way when the
// replica dies. Whoever recovers that must find that the object is gone.
func TestP4_WhatCameAndWentInABatchLeavesATombstone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c, other := running(t, r), running(t, r)
		applied := together(t, r, c, tariff("PUT", "T", `{}`), tariff("DELETE", "T", ``))
		rows, _, err := r.Since(t.Context(), applied[0].Revision-1)
		if err != nil || len(rows) != 1 || !rows[0].Deleted || rows[0].Key.ID != "t" || !applied[0].Overtaken || applied[1].Overtaken {
			t.Errorf("the record has %+v, %v; applied %+v", rows, err, applied)
		}
		for _, replica := range []*catalog.Catalog{c, other} {
			time.Sleep(time.Second) // the other follows
			synctest.Wait()
			if owners := replica.Owners(ocpi.ModuleTariffs, "T"); owners != nil {
				t.Errorf("%v have it still", owners)
			}
			if a := apply(t, replica, tariff("PUT", "T", `{}`)); !a.Created {
				t.Errorf("it does not come back: %+v", a)
			}
			apply(t, replica, tariff("DELETE", "T", ``))
		}
	})
}

// TestBounds_APushIsAnsweredInTime, though the record answers nothing: the one that
// is being committed, those that wait for it, and those that come behind.
func TestBounds_APushIsAnsweredInTime(t *testing.T) {
	for name, decides := range map[string]bool{"before it has decided": false, "behind that": true} {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { answersInTime(t, decides) }) })
	}
}

func answersInTime(t *testing.T, decides bool) {
	r := newRecord()
	c := running(t, r)
	r.set(func(r *record) { r.gate, r.hangs, r.settleHangs, r.decides = make(chan struct{}), true, true, decides })
	var pushes sync.WaitGroup
	for i := range 40 {
		pushes.Go(func() {
			began := time.Now()
			_, err := c.Apply(t.Context(), location("PUT", nlTNM, fmt.Sprint("LOC", i), `{}`))
			refused(t, err, 4000, "")
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("push %d was answered after %s", i, took)
			}
		})
		time.Sleep(700 * time.Millisecond)
	}
	pushes.Wait()
	r.set(func(r *record) { r.gate, r.hangs, r.settleHangs, r.decides = nil, false, false, false })
	time.Sleep(15 * time.Second)
	apply(t, c, location("PUT", nlTNM, "after", `{}`))
}
