package journal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// tokenMessage is one about a token, by its pseudonym's path.
func tokenMessage(t *testing.T, id, from, path string) routing.Message {
	t.Helper()
	m := passed(t, id, from, "NLCPA")
	m.Module, m.Path = ocpi.ModuleTokens, path
	return m
}

func erase(t *testing.T, r *Recorder, e Erasure, want int) {
	t.Helper()
	if n, err := r.Erase(t.Context(), e); n != want || err != nil {
		t.Errorf("Erase = %d, %v, want %d", n, err, want)
	}
}

func TestErase_TheMessagesOfATokenLeaveStoreAndMemory(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]Store{"with a store": &memoryStore{}, "in memory": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, _ := run(t, Config{Store: store})
				add := func(id, path string) {
					m := tokenMessage(t, id, "DEMSP", path)
					r.Record(&m)
					time.Sleep(time.Millisecond)
				}
				record(t, r, "a")
				add("b", "/DE/MSP/~aaaaaaaaaa")
				r.RecordLegs(&routing.Legs{Time: time.Now(), CorrelationID: "b", Module: ocpi.ModuleTokens})
				add("c", "/DE/MSP/~bbbbbbbbbb")
				time.Sleep(5 * time.Second) // a segment
				add("d", "/~aaaaaaaaaa/authorize")
				time.Sleep(5 * time.Second) // one of nothing else
				record(t, r, "e")
				add("f", "/DE/MSP/~aaaaaaaaaa") // still in memory
				erase(t, r, Erasure{Tokens: []string{"~zzzzzzzzzz", "~aaaaaaaaaa"}}, 3)
				if got := find(t, r, Query{}).ids(); got != "e c a" {
					t.Errorf("left are %q", got)
				}
				if got := find(t, r, Query{Filter: Filter{Tokens: []string{"~bbbbbbbbbb"}}}).ids(); got != "c" {
					t.Errorf("of the other token %q are left", got)
				}
				if got := r.Subscribe(t.Context(), Filter{}, 100).heard(); got != " a c e" {
					t.Errorf("a new listener hears %q", got)
				}
				erase(t, r, Erasure{Tokens: []string{"~aaaaaaaaaa"}}, 0)
				if store, ok := store.(*memoryStore); ok {
					// The segment with d alone is gone.
					if segments, records := store.count(); segments != 2 || records != 4 {
						t.Errorf("%d segments of %d records", segments, records)
					}
				}
			})
		})
	}
}

func TestErase_WithAnOwnerLeavesTheMessagesOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := run(t, Config{Store: &memoryStore{}})
		for i, m := range []struct{ from, to, path string }{
			{"DEMSP", "NLCPA", "/DE/MSP/~aaaaaaaaaa"}, {"NLMSP", "NLCPA", "/NL/MSP/~aaaaaaaaaa"},
			{"NLCPA", "DEMSP", "/~aaaaaaaaaa/authorize"}, {"NLCPA", "NLMSP", "/~aaaaaaaaaa/authorize"},
			{"NLSCS", "NLCPA", "/de/msp/~aaaaaaaaaa"},
		} {
			message := tokenMessage(t, fmt.Sprint("m", i), m.from, m.path)
			message.To = party(t, m.to)
			r.Record(&message)
			time.Sleep(time.Millisecond)
		}
		erase(t, r, Erasure{Tokens: []string{"~aaaaaaaaaa"}, Owner: party(t, "DEMSP")}, 3)
		if got := find(t, r, Query{}).ids(); got != "m3 m1" {
			t.Errorf("left are %q", got)
		}
	})
}

// Another replica stores what it has taken note of a second later.
func TestErase_WaitsForWhatOtherReplicasHaveInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		a, _ := run(t, Config{Store: store})
		b, _ := run(t, Config{Store: store})
		m := tokenMessage(t, "on b", "DEMSP", "/DE/MSP/~aaaaaaaaaa")
		b.Record(&m)
		erase(t, a, Erasure{Tokens: []string{"~aaaaaaaaaa"}, Wait: 2 * batchAge}, 1)
	})
}

func TestErase_AStoreThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		r, _ := run(t, Config{Store: store})
		m := tokenMessage(t, "m", "DEMSP", "/DE/MSP/~aaaaaaaaaa")
		r.Record(&m)
		store.fail(errors.New("the store is down"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := r.Erase(ctx, Erasure{Tokens: []string{"~aaaaaaaaaa"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("what is not stored: %v", err)
		}
		store.fail(nil)
		time.Sleep(time.Minute)
		store.fail(errors.New("the store is down"))
		if _, err := r.Erase(t.Context(), Erasure{Tokens: []string{"~aaaaaaaaaa"}}); err == nil {
			t.Error("what is stored: nothing was said")
		}
		store.fail(nil)
		erase(t, r, Erasure{Tokens: []string{"~aaaaaaaaaa"}}, 1)
	})
}
