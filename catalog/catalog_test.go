package catalog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"busbar/catalog"
	"busbar/ocpi"
)

var (
	nlTNM = party("NLTNM")
	nlNDW = party("NLNDW")
)

func party(s string) ocpi.PartyKey {
	k, err := ocpi.ParseParty(s)
	if err != nil {
		panic(err)
	}
	return k
}

// replica runs a catalog on the record; stop ends it and waits.
func replica(r *record, also ...func(*catalog.Config)) (c *catalog.Catalog, stop func()) {
	cfg := catalog.Config{Store: &seat{r}}
	for _, change := range also {
		change(&cfg)
	}
	c = catalog.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	return c, func() { cancel(); <-done }
}

// running is replica once it is loaded, in a synctest bubble.
func running(t *testing.T, r *record, also ...func(*catalog.Config)) *catalog.Catalog {
	c, stop := replica(r, also...)
	t.Cleanup(stop)
	synctest.Wait()
	if !c.Loaded() {
		t.Fatal("the catalog is not loaded")
	}
	return c
}

func location(method string, owner ocpi.PartyKey, id, body string) catalog.Write {
	return catalog.Write{Method: method, Module: ocpi.ModuleLocations, Owner: owner, ID: id, Body: identified(method, id, body),
		Received: time.Date(2026, 6, 7, 12, 0, 0, 0, time.UTC)}
}

func tariff(method, id, body string) catalog.Write {
	w := location(method, nlTNM, id, body)
	w.Module = ocpi.ModuleTariffs
	return w
}

// identified is the body with an id, which a PUT must have, at the end.
func identified(method, id, body string) []byte {
	if method == "PUT" && strings.HasPrefix(body, "{") && !strings.Contains(body, `"id"`) {
		head, comma := strings.TrimSuffix(body, "}"), ","
		if head == "{" {
			comma = ""
		}
		body = head + comma + fmt.Sprintf(`"id":%q}`, id)
	}
	return []byte(body)
}

func key(id string) catalog.Key {
	return catalog.Key{Module: ocpi.ModuleLocations, Owner: nlTNM, ID: id}
}

func apply(t *testing.T, c *catalog.Catalog, w catalog.Write) catalog.Applied {
	t.Helper()
	a, err := c.Apply(t.Context(), w)
	if err != nil {
		t.Fatalf("%s %s: %v", w.Method, w.ID, err)
	}
	return a
}

func refused(t *testing.T, err error, status ocpi.StatusCode, text string) {
	t.Helper()
	e, ok := ocpi.AsError(err)
	if !ok || e.Status != status || !strings.Contains(e.Message, text) {
		t.Errorf("%v, want %d %q", err, status, text)
	}
}

// listed are the ids in a page.
func listed(t *testing.T, c *catalog.Catalog, q catalog.Query) ([]string, catalog.Page) {
	t.Helper()
	if q.Module == "" {
		q.Module = ocpi.ModuleLocations
	}
	buf, page, err := c.AppendPage([]byte("["), q)
	if err != nil {
		t.Fatal(err)
	}
	buf = append(buf, page.Shared...)
	var objects []struct{ ID string }
	if err := json.Unmarshal(append(buf, ']'), &objects); err != nil {
		t.Fatalf("%s: %v", buf, err)
	}
	ids := make([]string, len(objects))
	for i, o := range objects {
		ids[i] = o.ID
	}
	if len(ids) != page.Objects {
		t.Errorf("%d objects, the page says %d", len(ids), page.Objects)
	}
	return ids, page
}

func bubble(t *testing.T, test func(t *testing.T)) { t.Helper(); t.Parallel(); synctest.Test(t, test) }

func TestR5_PushesAreKeptAndListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		reg := prometheus.NewRegistry()
		c := running(t, r, func(cfg *catalog.Config) { cfg.Metrics = reg })
		a := apply(t, c, location("PUT", nlTNM, "LOC1", `{"last_updated":"2026-01-01T00:00:00Z"}`))
		if want := (catalog.Applied{Key: key("loc1"), Revision: 1, Created: true, Changed: true}); a != want {
			t.Errorf("%+v", a)
		}
		a = apply(t, c, location("PATCH", nlTNM, "loc1", `{"last_updated":"2026-01-02T00:00:00Z"}`))
		if want := (catalog.Applied{Key: key("loc1"), Revision: 2}); a != want {
			t.Errorf("%+v", a)
		}
		apply(t, c, location("PUT", nlNDW, "LOC1", `{}`))
		apply(t, c, tariff("PUT", "T1", `{}`))
		doc, ok := c.Document(key("loc1"))
		if want := `{"last_updated":"2026-01-02T00:00:00Z","id":"LOC1","country_code":"NL","party_id":"TNM"}`; !ok || string(doc) != want {
			t.Errorf("%s", doc)
		}
		if _, ok := c.Document(key("loc2")); ok {
			t.Error("an unknown object has a document")
		}
		if diff := cmp.Diff([]ocpi.PartyKey{nlNDW, nlTNM}, c.Owners(ocpi.ModuleLocations, "Loc1")); diff != "" {
			t.Error(diff)
		}
		if c.Owners(ocpi.ModuleTariffs, "LOC1") != nil || c.Owners("cdrs", "1") != nil {
			t.Error("owners of what is not there")
		}
		ids, page := listed(t, c, catalog.Query{Limit: 10})
		if diff := cmp.Diff([]string{"LOC1", "LOC1"}, ids); diff != "" || !reflect.DeepEqual(page, catalog.Page{Objects: 2, Total: 2}) {
			t.Error(diff, page)
		}
		wantCounts := []catalog.Count{
			{nlNDW, "locations", 1, time.Date(2026, 6, 7, 12, 0, 0, 0, time.UTC), time.Now().UTC()},
			{nlTNM, "locations", 1, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), time.Now().UTC()},
			{nlTNM, "tariffs", 1, time.Date(2026, 6, 7, 12, 0, 0, 0, time.UTC), time.Now().UTC()},
		}
		if diff := cmp.Diff(wantCounts, c.Counts(), cmp.Transformer("utc", time.Time.UTC)); diff != "" {
			t.Error(diff)
		}
		apply(t, c, tariff("DELETE", "t1", ""))
		_, err := c.Apply(t.Context(), tariff("DELETE", "t1", ""))
		refused(t, err, 2001, "no tariff")
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP busbar_catalog_objects Objects that the hub holds, by module.
# TYPE busbar_catalog_objects gauge
busbar_catalog_objects{module="locations"} 2
busbar_catalog_objects{module="tariffs"} 0
# HELP busbar_catalog_commits_total Batches of pushes by outcome: ok, failed, or empty when they changed nothing.
# TYPE busbar_catalog_commits_total counter
busbar_catalog_commits_total{outcome="empty"} 1
busbar_catalog_commits_total{outcome="failed"} 0
busbar_catalog_commits_total{outcome="ok"} 5
`), "busbar_catalog_objects", "busbar_catalog_commits_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestO2_WhatIsOlderThanTheStoredObjectIsNotTakenIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := running(t, newRecord())
		state := func(at, name string) string { return `{"id":"L1","name":"` + name + `","last_updated":"` + at + `"}` }
		for _, step := range []struct {
			at, name string
			older    bool
			want     string
		}{
			{"2026-01-01T12:00:00Z", "created", false, "created"},
			{"2026-01-01T11:59:59.999Z", "before", true, "created"},
			{"2026-01-01 12:00:00", "same time", false, "same time"},
			{"2026-01-02T00:00:00Z", "later", false, "later"},
		} {
			w := location("PUT", nlTNM, "L1", state(step.at, step.name))
			w.IfNotOlder = true
			a := apply(t, c, w)
			document, _ := c.Document(key("l1"))
			if a.Older != step.older || a.Older && (a.Changed || a.Created) || !bytes.Contains(document, []byte(step.want)) {
				t.Errorf("%s: %+v, and %s is kept", step.name, a, document)
			}
		}
		if a := apply(t, c, location("PUT", nlTNM, "L1", state("2026-01-01T00:00:00Z", "pushed"))); a.Older || !a.Changed {
			t.Errorf("a push is judged by its time: %+v", a)
		}
	})
}

func TestP4_NothingBeforeTheLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		r.fail = errDown
		var log bytes.Buffer
		c, stop := replica(r, func(cfg *catalog.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		defer stop()
		synctest.Wait()
		_, err := c.Apply(t.Context(), location("PUT", nlTNM, "LOC1", `{}`))
		refused(t, err, 4003, "the hub's catalog is still loading")
		_, _, err = c.AppendPage(nil, catalog.Query{Module: "locations", Limit: 1})
		refused(t, err, 4003, "the hub's catalog is still loading")
		_, _, err = c.AppendPage(nil, catalog.Query{Module: "cdrs", Limit: 1})
		refused(t, err, 2001, "cdrs")
		if c.Loaded() {
			t.Error("loaded from a record that is down")
		}
		r.set(func(r *record) { r.fail = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if !c.Loaded() || !strings.Contains(log.String(), "the record is down") {
			t.Errorf("loaded: %v, log: %s", c.Loaded(), &log)
		}
	})
}

// TestS5_PushesAreCommittedTogether holds the record while pushes gather.
func TestS5_PushesAreCommittedTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c := running(t, r)
		gate := make(chan struct{})
		r.set(func(r *record) { r.gate = gate })
		var mu sync.Mutex
		var order []string
		then := func(step string) func(catalog.Applied) {
			return func(catalog.Applied) { mu.Lock(); defer mu.Unlock(); order = append(order, step) }
		}
		var pushes sync.WaitGroup
		push := func(step string, w catalog.Write, check func(catalog.Applied, error)) {
			w.Then = then(step)
			pushes.Go(func() { check(c.Apply(context.Background(), w)) })
			synctest.Wait() // in this order
		}
		ok := func(created, changed bool) func(catalog.Applied, error) {
			return func(a catalog.Applied, err error) {
				if err != nil || a.Created != created || a.Changed != changed {
					t.Errorf("%+v, %v", a, err)
				}
			}
		}
		const at = `"last_updated":"2026-01-02T00:00:00Z"`
		push("first", location("PUT", nlTNM, "A", `{`+at+`}`), ok(true, true))
		// These wait while the first is committed.
		push("put", location("PUT", nlTNM, "B", `{`+at+`}`), ok(true, true))
		push("patch", location("PATCH", nlTNM, "B", `{"name":"x",`+at+`}`), ok(false, true))
		push("bad", location("PATCH", nlTNM, "C", `{`+at+`}`), func(_ catalog.Applied, err error) { refused(t, err, 2003, "PUT the whole") })
		push("brief", tariff("PUT", "T", `{`+at+`}`), ok(true, true))
		push("gone", tariff("DELETE", "T", ``), ok(false, true))
		ctx, cancel := context.WithCancel(context.Background())
		pushes.Go(func() {
			_, err := c.Apply(ctx, location("PUT", nlTNM, "D", `{}`))
			refused(t, err, 4000, "the request ended")
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		gate <- struct{}{}
		gate <- struct{}{}
		pushes.Wait()
		if diff := cmp.Diff([]string{"first", "put", "patch", "brief", "gone"}, order); diff != "" {
			t.Error(diff)
		}
		if len(r.rows) != 3 || !r.rows[catalog.Key{Module: ocpi.ModuleTariffs, Owner: nlTNM, ID: "t"}].Deleted || r.commits != 2 {
			t.Errorf("%d commits, rows %v", r.commits, r.rows)
		}
		if doc, _ := c.Document(key("b")); !strings.Contains(string(doc), `"name":"x"`) {
			t.Errorf("%s", doc)
		}
		r.set(func(r *record) { r.gate = nil })
	})
}

func TestS5_NothingIsKeptWhenTheRecordFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		var log bytes.Buffer
		c := running(t, r, func(cfg *catalog.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		r.set(func(r *record) { r.fail = errDown })
		w := location("PUT", nlTNM, "A", `{}`)
		w.Then = func(catalog.Applied) { t.Error("Then was called") }
		var err error
		for range 3 {
			_, err = c.Apply(t.Context(), w)
			refused(t, err, 4000, "so nothing was sent")
		}
		if _, ok := c.Document(key("a")); ok {
			t.Error("it is in memory")
		}
		if strings.Count(log.String(), "cannot be kept") != 1 {
			t.Errorf("log: %s", &log)
		}
		// The commit went through, but the record is not there to tell.
		r.set(func(r *record) { r.fail, r.failAfter, r.downAfter = nil, errDown, true })
		w.Then = nil
		_, err = c.Apply(t.Context(), w)
		refused(t, err, 4000, "send it again")
		r.set(func(r *record) { r.fail, r.failAfter, r.downAfter = nil, nil, false })
		a := apply(t, c, location("PUT", nlTNM, "A", `{"last_updated":"2026-06-07T12:00:00.000Z"}`))
		if a.Created {
			t.Error("memory missed what the record has")
		}
		if strings.Count(log.String(), "are kept again") != 1 {
			t.Errorf("log: %s", &log)
		}
	})
}

func TestReplicasSeeEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		apply(t, one, location("PUT", nlTNM, "A", `{"n":1,"last_updated":"2026-01-01T00:00:00Z"}`))
		// Within its own commit, at once: nothing of the other's is lost.
		if a := apply(t, two, location("PATCH", nlTNM, "A", `{"m":2,"last_updated":"2026-01-01T00:00:00Z"}`)); a.Created {
			t.Error("the second did not see the first's")
		}
		apply(t, one, tariff("PUT", "T", `{}`))
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range []*catalog.Catalog{one, two} {
			if doc, _ := c.Document(key("a")); !strings.HasPrefix(string(doc), `{"n":1,"last_updated":"2026-01-01T00:00:00Z","id":"A","country_code":"NL","party_id":"TNM","m":2}`) {
				t.Errorf("%s", doc)
			}
			if got := c.Owners(ocpi.ModuleTariffs, "T"); len(got) != 1 {
				t.Errorf("tariff of %v", got)
			}
		}
		apply(t, two, tariff("DELETE", "T", ``))
		// A new life has a new place in the order, on both.
		apply(t, one, tariff("PUT", "U", `{}`))
		apply(t, one, tariff("PUT", "T", `{}`))
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range []*catalog.Catalog{one, two} {
			ids, _ := listed(t, c, catalog.Query{Module: ocpi.ModuleTariffs, Limit: 9})
			if diff := cmp.Diff([]string{"U", "T"}, ids); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// TestRestoredRecordIsLoadedAnew: an operator restored a backup.
func TestRestoredRecordIsLoadedAnew(t *testing.T) {
	for _, how := range []string{"follow", "commit"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRecord()
				c := running(t, r)
				apply(t, c, location("PUT", nlTNM, "A", `{"last_updated":1}`))
				backup := r.rows[key("a")]
				apply(t, c, location("PUT", nlTNM, "A", `{"x":1,"last_updated":2}`))
				apply(t, c, location("PUT", nlTNM, "B", `{}`))
				r.set(func(r *record) {
					r.rows, r.revision, r.lastSeq = map[catalog.Key]catalog.Row{backup.Key: backup}, 1, 1
					r.written = []catalog.Key{backup.Key}
				})
				if how == "follow" {
					time.Sleep(time.Second)
					synctest.Wait()
				} else {
					apply(t, c, location("PUT", nlTNM, "C", `{}`))
				}
				if doc, _ := c.Document(key("a")); strings.Contains(string(doc), "x") {
					t.Errorf("%s", doc)
				}
				if _, ok := c.Document(key("b")); ok {
					t.Error("B is still there")
				}
			})
		})
	}
}

func TestDeletedObjectsAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c, idle := running(t, r), running(t, r)
		apply(t, c, tariff("PUT", "T", `{}`))
		time.Sleep(time.Second)
		r.set(func(r *record) { r.hangs = true }) // the second hears no more
		time.Sleep(time.Second)
		row := r.rows[catalog.Key{Module: "tariffs", Owner: nlTNM, ID: "t"}]
		r.set(func(r *record) {
			r.revision++
			row.Deleted, row.Document, row.Revision, row.ChangedAt = true, nil, r.revision, time.Now()
			r.rows[row.Key] = row
			r.written = append(r.written, row.Key)
		})
		time.Sleep(26 * time.Hour)
		r.set(func(r *record) {
			r.hangs = false
			if len(r.rows) != 0 {
				t.Errorf("rows %v", r.rows)
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := idle.Owners(ocpi.ModuleTariffs, "T"); got != nil {
			t.Errorf("a deleted tariff of %v came back", got)
		}
	})
}

func TestStopAnswersWhatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c, stop := replica(r)
		synctest.Wait()
		gate := make(chan struct{})
		r.set(func(r *record) { r.gate = gate })
		var pushes sync.WaitGroup
		for i := range 1200 {
			pushes.Go(func() {
				if _, err := c.Apply(context.Background(), location("PUT", nlTNM, fmt.Sprint(i), `{}`)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		go func() { time.Sleep(time.Second); close(gate) }() // while it stops
		stop()
		pushes.Wait()
		_, err := c.Apply(context.Background(), location("PUT", nlTNM, "x", `{}`))
		refused(t, err, 4003, "the hub is stopping")
		if len(r.rows) != 1200 {
			t.Errorf("%d rows", len(r.rows))
		}
	})
}

func TestStopWhileTheRecordHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		c, stop := replica(r)
		synctest.Wait()
		r.set(func(r *record) { r.gate = make(chan struct{}) })
		var pushes sync.WaitGroup
		for i := range 1200 {
			pushes.Go(func() {
				_, err := c.Apply(context.Background(), location("PUT", nlTNM, fmt.Sprint(i), `{}`))
				refused(t, err, 4000, "nothing was sent")
			})
		}
		synctest.Wait()
		began := time.Now()
		stop()
		pushes.Wait()
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestMaxDocument(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := running(t, newRecord(), func(cfg *catalog.Config) { cfg.MaxDocument = 200 })
		apply(t, c, location("PUT", nlTNM, "A", `{}`))
		_, err := c.Apply(t.Context(), location("PATCH", nlTNM, "A", `{"name":"`+strings.Repeat("x", 200)+`","last_updated":1}`))
		refused(t, err, 2001, "at most 200")
	})
}
