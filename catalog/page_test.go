package catalog_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busbar/catalog"
	"busbar/ocpi"
)

// loadOnly is a record of generated rows; the rest of Store is not called.
type loadOnly struct {
	catalog.Store
	n    int
	row  func(i int) catalog.Row
	read chan struct{} // closed when all is read
}

func (l loadOnly) Load(_ context.Context, each func(catalog.Row) error) (int64, int64, error) {
	for i := range l.n {
		if err := each(l.row(i)); err != nil {
			return 0, 0, err
		}
	}
	close(l.read)
	return 1, int64(2 * l.n), nil
}

func (l loadOnly) Revision(context.Context) (int64, error) { return 1, nil }

// loaded runs a catalog on generated rows, outside of a bubble.
func loaded(tb testing.TB, n int, row func(i int) catalog.Row) *catalog.Catalog {
	tb.Helper()
	return cached(tb, 0, n, row)
}

// cached does so with a page cache of this many bytes.
func cached(tb testing.TB, bytes, n int, row func(i int) catalog.Row) *catalog.Catalog {
	tb.Helper()
	read := make(chan struct{})
	c := catalog.New(catalog.Config{Store: loadOnly{n: n, row: row, read: read}, PageCache: bytes})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	tb.Cleanup(func() { cancel(); <-done })
	<-read
	for !c.Loaded() { // at once
		runtime.Gosched()
	}
	return c
}

// small is a row of one of three owners, an hour after the one before, with
// holes between the Seqs.
func small(i int) catalog.Row {
	owner := [...]ocpi.PartyKey{nlTNM, nlNDW, party("DEABC")}[i%3]
	at := time.Date(2026, 1, 1, i, 0, 0, 0, time.UTC)
	return catalog.Row{
		Key: catalog.Key{Module: ocpi.ModuleLocations, Owner: owner, ID: fmt.Sprint("loc", i)},
		Seq: int64(2*i + 1), LastUpdated: at, ChangedAt: at, Document: fmt.Appendf(nil, `{"id":"LOC%d"}`, i),
	}
}

func TestP1_Page(t *testing.T) {
	t.Parallel()
	const n = 3000
	c := loaded(t, n, small)
	hour := func(i int) time.Time { return time.Date(2026, 1, 1, i, 0, 0, 0, time.UTC) }
	only := func(k ocpi.PartyKey) func(ocpi.PartyKey) bool { return func(o ocpi.PartyKey) bool { return o == k } }
	for _, tt := range []struct {
		name  string
		q     catalog.Query
		ids   string
		total int
		more  bool
	}{
		{"the beginning", catalog.Query{Limit: 2}, "LOC0 LOC1", n, true},
		{"behind a cursor", catalog.Query{After: 3, Limit: 2}, "LOC2 LOC3", n, true},
		{"behind a cursor whose object is gone", catalog.Query{After: 4, Limit: 2}, "LOC2 LOC3", n, true},
		{"by offset", catalog.Query{Offset: 2000, Limit: 2}, "LOC2000 LOC2001", n, true},
		{"by offset behind a cursor", catalog.Query{After: 3, Offset: 2000, Limit: 1}, "LOC2002", n, true},
		{"the last page", catalog.Query{Offset: n - 2, Limit: 2}, "LOC2998 LOC2999", n, false},
		{"a page that is not full", catalog.Query{Offset: n - 1, Limit: 9}, "LOC2999", n, false},
		{"behind the end", catalog.Query{Offset: n, Limit: 9}, "", n, false},
		{"a cursor behind the end", catalog.Query{After: 1e9, Limit: 9}, "", n, false},
		{"limit 0", catalog.Query{}, "", n, false},
		{"negative numbers", catalog.Query{Offset: -1, Limit: -1}, "", n, false},
		{"one owner's", catalog.Query{Owners: only(nlNDW), Limit: 2}, "LOC1 LOC4", n / 3, true},
		{"one owner's by offset", catalog.Query{Owners: only(nlNDW), Offset: 999, Limit: 2}, "LOC2998", n / 3, false},
		{"nobody's", catalog.Query{Owners: only(ocpi.PartyKey{}), Limit: 2}, "", 0, false},
		{"from is inclusive", catalog.Query{From: hour(2998), Limit: 9}, "LOC2998 LOC2999", 2, false},
		{"to is exclusive", catalog.Query{To: hour(2), Limit: 9}, "LOC0 LOC1", 2, false},
		{"both", catalog.Query{From: hour(1000), To: hour(2000), Limit: 1}, "LOC1000", 1000, true},
		{"a bound between two microseconds", catalog.Query{From: hour(7).Add(1), To: hour(8).Add(1), Limit: 9}, "LOC8", 1, false},
		{"both by offset, of one owner", catalog.Query{From: hour(1000), To: hour(2000), Owners: only(nlNDW), Offset: 332, Limit: 9}, "LOC1996 LOC1999", 334 - 0, false},
		{"an empty interval", catalog.Query{From: hour(5), To: hour(5), Limit: 9}, "", 0, false},
	} {
		ids, page := listed(t, c, tt.q)
		if got := strings.Join(ids, " "); got != tt.ids || page.Total != tt.total || page.Next != 0 != tt.more {
			t.Errorf("%s: %q %+v, want %q of %d, more %v", tt.name, got, page, tt.ids, tt.total, tt.more)
		}
	}
	asked := map[ocpi.PartyKey]int{}
	listed(t, c, catalog.Query{Limit: 100, Owners: func(k ocpi.PartyKey) bool { asked[k]++; return true }})
	if diff := cmp.Diff(map[ocpi.PartyKey]int{nlTNM: 1, nlNDW: 1, party("DEABC"): 1}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestP1_LargeObjectsEndAPageEarly(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat("x", 6<<20)
	c := loaded(t, 7, func(i int) catalog.Row {
		r := small(i)
		r.Document = fmt.Appendf(nil, `{"id":"LOC%d","pad":"%s"}`, i, pad)
		return r
	})
	all := 0
	for q := (catalog.Query{Module: ocpi.ModuleLocations, Limit: 100}); ; {
		_, page, err := c.AppendPage(nil, q)
		if err != nil || page.Objects == 0 || page.Objects > 3 {
			t.Fatalf("%d objects of 6 MB in a page, %v", page.Objects, err)
		}
		all += page.Objects
		if q.After = page.Next; q.After == 0 {
			break
		}
	}
	if all != 7 {
		t.Error(all)
	}
}

// TestP1_WhatStaysIsListedOnce changes the catalog between pages and compares
// it with a plain list, also after a load of the same record.
func TestP1_WhatStaysIsListedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRecord()
			c, stop := replica(r)
			defer stop()
			synctest.Wait()
			model := map[string]bool{} // the ids that are there
			touched := map[string]bool{}
			change := func() {
				id := fmt.Sprint(rapid.IntRange(0, 40).Draw(rt, "id"))
				w := tariff(rapid.SampledFrom([]string{"PUT", "PUT", "PATCH", "DELETE"}).Draw(rt, "method"), id,
					fmt.Sprintf(`{"last_updated":%d}`, rapid.IntRange(1, 1000).Draw(rt, "at")))
				if _, err := c.Apply(t.Context(), w); (err != nil) != (w.Method != "PUT" && !model[id]) {
					t.Fatalf("%s %s: %v", w.Method, id, err)
				}
				if w.Method == "DELETE" || !model[id] {
					touched[id] = true
				}
				switch w.Method {
				case "DELETE":
					delete(model, id)
				case "PUT":
					model[id] = true
				}
			}
			for range rapid.IntRange(0, 60).Draw(rt, "before") {
				change()
			}
			clear(touched)
			before := len(model)
			seen := map[string]int{}
			q := catalog.Query{Module: ocpi.ModuleTariffs, Limit: rapid.IntRange(1, 9).Draw(rt, "limit")}
			for first := true; ; first = false {
				ids, page := listed(t, c, q)
				if first && page.Total != before || page.Total != len(model) {
					t.Fatalf("total %d of %d", page.Total, len(model))
				}
				for _, id := range ids {
					seen[id]++
				}
				if q.After = page.Next; q.After == 0 {
					break
				}
				for range rapid.IntRange(0, 9).Draw(rt, "between") {
					change()
				}
			}
			for id := range model {
				if !touched[id] && seen[id] != 1 {
					t.Fatalf("%s stayed, and was listed %d times", id, seen[id])
				}
			}
			other, stopOther := replica(r)
			defer stopOther()
			synctest.Wait()
			all := catalog.Query{Module: ocpi.ModuleTariffs, Limit: 100}
			a, _ := listed(t, c, all)
			b, _ := listed(t, other, all)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("memory and record differ:\n%s", diff)
			}
		})
	})
}

// TestP1_AcrossChunks does the same with so many objects that chunks split and
// merge, and dictionaries follow each other.
func TestP1_AcrossChunks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		c, two := running(t, r), running(t, r)
		var want []string
		const n = 3000
		var pushes sync.WaitGroup
		push := func(w catalog.Write) {
			pushes.Go(func() {
				if _, err := c.Apply(context.Background(), w); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range n {
			push(tariff("PUT", fmt.Sprint(i), fmt.Sprintf(`{"last_updated":%d,"currency":"EUR","elements":[{"price_components":[{"type":"ENERGY","price":0.%d}]}]}`, i+1, i)))
		}
		pushes.Wait()
		// The other replica hears of the early ones last.
		for i := range n / 4 {
			push(tariff("PATCH", fmt.Sprint(i), fmt.Sprintf(`{"last_updated":%d,"vat":21}`, n+i)))
		}
		pushes.Wait()
		for i := range n {
			if i%7 > 1 {
				push(tariff("DELETE", fmt.Sprint(i), ""))
			} else {
				want = append(want, fmt.Sprint(i))
			}
		}
		pushes.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		slices.Sort(want)
		for _, c := range []*catalog.Catalog{c, two} {
			var got, byOffset []string
			for q := (catalog.Query{Module: ocpi.ModuleTariffs, Limit: 100}); ; {
				ids, page := listed(t, c, q)
				if page.Total != len(want) {
					t.Fatalf("total %d of %d", page.Total, len(want))
				}
				got = append(got, ids...)
				at, _ := listed(t, c, catalog.Query{Module: ocpi.ModuleTariffs, Limit: 100, Offset: len(byOffset)})
				byOffset = append(byOffset, at...)
				if q.After = page.Next; q.After == 0 {
					break
				}
			}
			if diff := cmp.Diff(got, byOffset); diff != "" {
				t.Error("by offset:", diff)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			for _, id := range want {
				doc, ok := c.Document(catalog.Key{Module: ocpi.ModuleTariffs, Owner: nlTNM, ID: id})
				if !ok || !bytes.Contains(doc, []byte(`"id":"`+id+`"`)) || !bytes.Equal(doc, r.rows[catalog.Key{Module: ocpi.ModuleTariffs, Owner: nlTNM, ID: id}].Document) {
					t.Fatalf("%s: %s", id, doc)
				}
			}
		}
	})
}

// TestReadersDoNotWait reads while pushes are committed; the race detector
// looks on.
func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	r := newRecord()
	c, stop := replica(r)
	defer stop()
	for !c.Loaded() {
		runtime.Gosched()
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				ids, page := listed(t, c, catalog.Query{Limit: 50, From: time.Unix(5, 0)})
				if page.Total < len(ids) {
					t.Errorf("%d of %d", len(ids), page.Total)
				}
				c.Document(key("7"))
				c.Owners(ocpi.ModuleLocations, "7")
				c.Counts()
			}
		})
	}
	for worker := range 4 {
		writers.Go(func() {
			for i := range 100 {
				w := location("PUT", nlTNM, fmt.Sprint(i%97), fmt.Sprintf(`{"last_updated":%d}`, worker*1000+i))
				if _, err := c.Apply(context.Background(), w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}
