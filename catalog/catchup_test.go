package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/catalog"
)

// TestReplicaCatchesUpAtOnce does not wait for its next look, and asks the record
// once for all who wait.
func TestReplicaCatchesUpAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		apply(t, one, location("PUT", nlTNM, "A", `{"n":1}`))
		synctest.Wait()
		began, asked := time.Now(), r.questions()
		var waiting sync.WaitGroup
		for range 50 {
			waiting.Go(func() {
				if err := two.CatchUp(t.Context(), 1); err != nil {
					t.Error(err)
				}
				if document, revision, ok := two.Stored(key("a")); !ok || revision != 1 || !strings.Contains(string(document), `"n":1`) {
					t.Errorf("%s at %d", document, revision)
				}
			})
		}
		waiting.Wait()
		synctest.Wait() // whoever still follows
		if waited, more := time.Since(began), r.questions()-asked; waited != 0 || more > 2 {
			t.Errorf("it took %s and %d questions", waited, more)
		}
		asked = r.questions()
		for range 50 {
			if err := two.CatchUp(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if r.questions() != asked {
			t.Error("the record was asked for what is there")
		}
		// What the record does not have either.
		if err := two.CatchUp(t.Context(), 99); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoCatchesUpHearsOfAFailure of a follow that began after the question, or
// waits no longer than it wants to.
func TestWhoCatchesUpHearsOfAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		apply(t, one, location("PUT", nlTNM, "A", `{}`))
		r.set(func(r *record) { r.fail = errDown })
		if err := two.CatchUp(t.Context(), 1); !errors.Is(err, errDown) {
			t.Errorf("the record is down: %v", err)
		}
		r.set(func(r *record) { r.fail, r.hangs = nil, true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := two.CatchUp(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the record hangs: %v", err)
		}
		r.set(func(r *record) { r.hangs = false })
		// A follow that began before, and hangs still, does not answer.
		if err := two.CatchUp(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if _, revision, _ := two.Stored(key("a")); revision != 1 {
			t.Errorf("revision %d", revision)
		}
	})
}

// TestCatchUpWaitsForTheLoad, and for no catalog that has ended.
func TestCatchUpWaitsForTheLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		apply(t, running(t, r), location("PUT", nlTNM, "A", `{}`))
		r.set(func(r *record) { r.fail = errDown })
		c, stop := replica(r)
		answered := make(chan error, 3)
		for _, revision := range []int64{0, 1, 99} {
			go func() { answered <- c.CatchUp(t.Context(), revision) }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(answered) > 0 {
			t.Errorf("it is not loaded, and answers %v", <-answered)
		}
		r.set(func(r *record) { r.fail = nil })
		for range 3 {
			if err := <-answered; err != nil || !c.Loaded() {
				t.Errorf("loaded %t, %v", c.Loaded(), err)
			}
		}
		go func() { answered <- c.CatchUp(t.Context(), 100) }()
		stop()
		<-answered // it may have been in time
		if err := c.CatchUp(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if err := c.CatchUp(t.Context(), 2); err == nil {
			t.Error("what has ended caught up")
		}
	})
}

// TestStoredTellsTheLastWrite of each object: its own, another replica's, a
// loaded one, and behind a dictionary and split chunks.
func TestStoredTellsTheLastWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRecord()
		one, two := running(t, r), running(t, r)
		want := make(map[catalog.Key]int64)
		write := func(c *catalog.Catalog, w catalog.Write) {
			t.Helper()
			a := apply(t, c, w)
			want[a.Key] = a.Revision
		}
		for i := range 1300 { // chunks of 512, written by turns
			write([]*catalog.Catalog{one, two}[i%2], location("PUT", nlTNM, fmt.Sprint("L", i), `{"n":1}`))
		}
		for i := 0; i < 1300; i += 3 {
			write(two, location("PATCH", nlTNM, fmt.Sprint("L", i), `{"n":2,"last_updated":"2026-06-08T12:00:00Z"}`))
		}
		write(one, tariff("PUT", "T", `{}`))
		write(one, tariff("PUT", "U", `{}`))
		apply(t, one, tariff("DELETE", "T", ``))
		write(two, tariff("PUT", "T", `{}`))
		apply(t, two, tariff("DELETE", "U", ``))
		gone := tariff("DELETE", "U", ``)
		delete(want, catalog.Key{Module: gone.Module, Owner: gone.Owner, ID: "u"})
		time.Sleep(time.Second)
		synctest.Wait()
		for name, c := range map[string]*catalog.Catalog{"one": one, "two": two, "loaded": running(t, r)} {
			wrong := 0
			for k, revision := range want {
				if document, got, ok := c.Stored(k); !ok || got != revision || len(document) == 0 {
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%s: %d of %d objects have another revision", name, wrong, len(want))
			}
			if _, _, ok := c.Stored(catalog.Key{Module: gone.Module, Owner: gone.Owner, ID: "u"}); ok {
				t.Errorf("%s has what was deleted", name)
			}
			if _, _, ok := c.Stored(catalog.Key{Module: "tokens", Owner: nlTNM, ID: "u"}); ok {
				t.Errorf("%s has what is not kept", name)
			}
		}
	})
}
