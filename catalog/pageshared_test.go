package catalog_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"busbar/catalog"
	"busbar/ocpi"
)

// list is the page of a query as the record has it.
func (r *record) list(q catalog.Query) (documents []byte, page catalog.Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := int64(0)
	for _, row := range slices.SortedFunc(maps.Values(r.rows), func(a, b catalog.Row) int { return cmp.Compare(a.Seq, b.Seq) }) {
		if row.Deleted || row.Key.Module != q.Module || !q.Owners(row.Key.Owner) ||
			row.LastUpdated.Before(q.From) || !q.To.IsZero() && !row.LastUpdated.Before(q.To) {
			continue
		}
		page.Total++
		switch {
		case row.Seq <= q.After:
		case q.Offset > 0:
			q.Offset--
		case page.Objects < q.Limit:
			if page.Objects++; page.Objects > 1 {
				documents = append(documents, ',')
			}
			documents, last = append(documents, row.Document...), row.Seq
		case q.Limit > 0:
			page.Next = last
		}
	}
	return documents, page
}

// fat is a Location large enough that a page of some is kept.
func fat(method string, owner ocpi.PartyKey, id string, updated int) catalog.Write {
	body := ""
	if method != "DELETE" {
		body = fmt.Sprintf(`{"last_updated":%d,"name":"%d","pad":"%s"}`, updated, updated, strings.Repeat("x", 3000))
	}
	return location(method, owner, id, body)
}

// TestP1_PagesAreAsTheRecordHasThem asks for pages several times between random
// pushes, by which they come to lie ready and to be replaced.
func TestP1_PagesAreAsTheRecordHasThem(t *testing.T) {
	t.Parallel()
	owners := []ocpi.PartyKey{nlTNM, nlNDW, party("DEABC")}
	shared := 0
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRecord()
			c, stop := replica(r, func(cfg *catalog.Config) { cfg.PageCache = 400 << 10 })
			defer stop()
			synctest.Wait()
			push := func() {
				w := fat(rapid.SampledFrom([]string{"PUT", "PUT", "PUT", "PATCH", "DELETE"}).Draw(rt, "method"),
					rapid.SampledFrom(owners).Draw(rt, "owner"), fmt.Sprint(rapid.IntRange(0, 20).Draw(rt, "id")), rapid.IntRange(1, 1000).Draw(rt, "at"))
				_, _ = c.Apply(t.Context(), w) // what is not there is refused
			}
			for range rapid.IntRange(0, 90).Draw(rt, "before") {
				push()
			}
			cursors := []int64{0}
			for range rapid.IntRange(1, 20).Draw(rt, "steps") {
				who := rapid.IntRange(1, 7).Draw(rt, "who")
				q := catalog.Query{
					Module: ocpi.ModuleLocations, Limit: rapid.IntRange(0, 15).Draw(rt, "limit"), Offset: rapid.IntRange(0, 3).Draw(rt, "offset"),
					After:  rapid.SampledFrom(cursors).Draw(rt, "after"),
					Owners: func(k ocpi.PartyKey) bool { return who>>slices.Index(owners, k)&1 == 1 },
				}
				if rapid.Bool().Draw(rt, "dated") {
					q.From, q.To = time.Unix(rapid.Int64Range(0, 500).Draw(rt, "from"), 0), time.Unix(rapid.Int64Range(500, 1001).Draw(rt, "to"), 0)
				}
				if rapid.Bool().Draw(rt, "known") {
					q.Reader = who
				}
				for again := range 5 {
					if again == 3 {
						push()
					}
					want, wanted := r.list(q)
					got, page, err := c.AppendPage(nil, q)
					if page.Shared != nil {
						shared++
					}
					got = append(got, page.Shared...)
					if err != nil || !bytes.Equal(got, want) || page.Objects != wanted.Objects || page.Total != wanted.Total || page.Next != wanted.Next {
						t.Fatalf("%+v: %d of %d, next %d, want %d of %d, next %d; %v\n%s\n%s", q, page.Objects, page.Total, page.Next,
							wanted.Objects, wanted.Total, wanted.Next, err, got, want)
					}
					cursors = append(cursors, page.Next)
				}
			}
		})
	})
	if shared == 0 {
		t.Error("no page was shared")
	}
}

// TestP1_APushIsListedOnceItWasAnswered pushes and reads from many sides; each
// sender looks for its own pushes, in pages that all of them keep.
func TestP1_APushIsListedOnceItWasAnswered(t *testing.T) {
	t.Parallel()
	const senders, pushes = 8, 150
	c, stop := replica(newRecord())
	defer stop()
	for !c.Loaded() {
		runtime.Gosched()
	}
	for i := range senders {
		if _, err := c.Apply(context.Background(), fat("PUT", nlTNM, fmt.Sprint(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	for i := range senders {
		running.Go(func() {
			for n := 2; n < pushes; n++ {
				if _, err := c.Apply(context.Background(), fat("PATCH", nlTNM, fmt.Sprint(i), n*senders+i)); err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					own, page, err := c.AppendPage(nil, catalog.Query{Module: ocpi.ModuleLocations, Limit: senders})
					if name := fmt.Sprintf(`"name":"%d"`, n*senders+i); err != nil || !bytes.Contains(append(own, page.Shared...), []byte(name)) {
						t.Errorf("%s is not listed, %v", name, err)
						return
					}
				}
			}
		})
	}
	running.Wait()
}

// TestAReaderIsAskedForOnce, and again when there is a new owner.
func TestAReaderIsAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := running(t, newRecord())
		asked := 0
		total := func(reader any, allowed bool) int {
			_, page := listed(t, c, catalog.Query{Limit: 1, Reader: reader, Owners: func(ocpi.PartyKey) bool { asked++; return allowed }})
			return page.Total
		}
		apply(t, c, fat("PUT", nlTNM, "1", 1))
		if total("A", true) != 1 || total("B", false) != 0 || total("A", true) != 1 || total("B", false) != 0 || asked != 2 {
			t.Errorf("asked %d times for one owner and two readers", asked)
		}
		apply(t, c, fat("PUT", nlNDW, "1", 1))
		if first, again := total("A", true), total("A", true); first != 2 || again != 2 || asked != 4 {
			t.Errorf("asked %d times for one owner, then for two", asked)
		}
		for i := range 1000 {
			total(i, true)
		}
		if asked = 0; total("B", false) != 0 || asked != 2 {
			t.Error("a reader of long ago is remembered")
		}
	})
}

// TestAPageIsSharedFromTheSecondTime, and is the same bytes for everybody, until
// something in it changes.
func TestAPageIsSharedFromTheSecondTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := running(t, newRecord())
		for i := range 20 {
			apply(t, c, fat("PUT", nlTNM, fmt.Sprint(i), i+1))
		}
		first := func(q catalog.Query) *byte {
			q.Module = ocpi.ModuleLocations
			_, page, err := c.AppendPage(nil, q)
			if err != nil || page.Shared == nil {
				return nil
			}
			return &page.Shared[0]
		}
		tens := catalog.Query{Limit: 10}
		if first(tens) != nil {
			t.Error("a page is kept at once")
		}
		kept := first(tens)
		mine := catalog.Query{Limit: 10, Owners: func(ocpi.PartyKey) bool { return true }, To: time.Unix(11, 0)}
		if kept == nil || first(tens) != kept || first(mine) != kept {
			t.Error("a page that was asked for before is made anew")
		}
		apply(t, c, fat("PUT", nlTNM, "15", 99))
		if first(tens) != kept {
			t.Error("a push into another page drops this one")
		}
		apply(t, c, fat("PUT", nlTNM, "5", 99))
		if again := first(tens); again == kept || again == nil || first(tens) != again {
			t.Error("a page that is in use is not kept again after a push")
		}
		for range 3 {
			if first(catalog.Query{Limit: 2}) != nil {
				t.Error("a small page is kept")
			}
		}
	})
}
