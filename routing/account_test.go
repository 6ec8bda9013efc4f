package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"busbar/ocpi"
)

// account sums what a journal is told of legs.
type account struct {
	mu                            sync.Mutex
	total, ok, superseded, failed int
}

func (*account) Record(*Message) {}

func (a *account) RecordLegs(l *Legs) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total += l.Total
	a.ok, a.superseded, a.failed = a.ok+l.OK, a.superseded+l.Superseded, a.failed+len(l.Failed)
}

// accountant is a log with an entry for each push, worked by a replica until another
// one takes it over.
type accountant struct {
	entries   []*accountEntry
	delivered map[*Fanout]int
}

type accountEntry struct {
	*Broadcast
	// accept lets the catalog or the record have it.
	accept      func()
	taken, done atomic.Bool
}

// hand gives a replica what has not ended. It holds an entry until that is taken
// over, which is never, without taken.
func (a *accountant) hand(f *Fanout, tenure *Tenure, again bool) {
	for _, e := range a.entries {
		if e.done.Load() {
			continue
		}
		a.delivered[f]++
		b := *e.Broadcast
		if b.Repeated = again; !again {
			e.accept()
		}
		held := func() bool { return true }
		if !again {
			held = func() bool { return !e.taken.Load() }
		}
		f.Deliver(Handed{
			Broadcast: &b, Again: again, Newest: everything, Tenure: tenure, Held: held,
			Done: func() { e.done.Store(true) },
		})
	}
}

// counted are the legs of a Fanout's metrics, by outcome, and those that are told to
// be repeated.
func counted(f *Fanout) (all, repeated int, of map[Outcome]int) {
	of = make(map[Outcome]int)
	for _, counters := range f.metrics.modules {
		for outcome, counter := range counters.ended {
			n := int(testutil.ToFloat64(counter))
			all, of[outcome] = all+n, of[outcome]+n
			repeated += int(testutil.ToFloat64(counters.repeated[outcome]))
		}
	}
	return all, repeated, of
}

// TestS5_EveryLegIsCountedOnce: a storm fills the lane of a receiver that hangs,
// which owes objects their last state and drops Tokens; then another replica takes
// part of it over. In the journal each receiver of each push is counted once, as
// delivered, superseded or failed. In each replica's metrics each receiver of each
// push that was handed to it is, one that was left to another as that; without those
// that are told to be repeated, all metrics together have each of them once.
func TestS5_EveryLegIsCountedOnce(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *stage, slow *station, release func()){
		"and it answers in the end": func(_ *stage, _ *station, release func()) { release() },
		"and it goes offline": func(s *stage, slow *station, release func()) {
			s.goesOffline(slow)
			s.fanout.look()
			release()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			fast := s.station("fast", accepts, "DEAAA")
			slow, release := s.hanging("slow", "DEBBB")
			go drain(t, fast.got)
			go drain(t, slow.got)
			journal, documents, record := &account{}, newShelf(), &keptParcels{}
			log := &accountant{delivered: map[*Fanout]int{}}
			s.fanout.cfg.Present, s.fanout.cfg.Parcels, s.fanout.cfg.Journals = documents, record, []Journal{journal}
			cfg := s.fanout.cfg
			cfg.Logger = slog.New(slog.DiscardHandler)
			heir := NewFanout(cfg)
			t.Cleanup(func() { heir.Stop(ended(t)) })

			log.storm(t, documents, record)
			s.fanout.held.Add(maxHeldBytes + 1) // so no lane has room in which anything waits
			log.hand(s.fanout, new(Tenure), false)
			for s.fanout.Lanes()["fast"] > 0 {
				runtime.Gosched()
			}
			s.fanout.held.Add(-maxHeldBytes - 1)
			for i, e := range log.entries {
				e.taken.Store(i%3 > 0)
			}
			taken := &accountant{delivered: log.delivered}
			for _, e := range log.entries {
				if e.taken.Load() {
					taken.entries = append(taken.entries, e)
				}
			}
			end(s, slow, release)
			taken.hand(heir, new(Tenure), true)
			s.fanout.Stop(t.Context())
			heir.Stop(t.Context())

			const receivers = 2
			if want := receivers * len(log.entries); journal.total != want || journal.ok+journal.superseded+journal.failed != want {
				t.Errorf("the journal has %d legs: %d delivered, %d superseded, %d failed; want %d",
					journal.total, journal.ok, journal.superseded, journal.failed, want)
			}
			first := 0
			for f, n := range log.delivered {
				all, repeated, of := counted(f)
				if all != receivers*n {
					t.Errorf("the metrics have %d legs, want %d: %v", all, receivers*n, of)
				}
				first += all - repeated
			}
			if want := receivers * len(log.entries); first != want {
				t.Errorf("%d legs are not told to be repeated, want %d", first, want)
			}
			if journal.superseded == 0 || journal.failed == 0 || log.delivered[heir] == 0 {
				t.Error("the storm was none")
			}
			for i, e := range log.entries {
				if !e.done.Load() {
					t.Errorf("push %d has not ended", i)
				}
			}
		})
	}
}

func drain(t *testing.T, got <-chan push) {
	for {
		select {
		case <-got:
		case <-t.Context().Done():
			return
		}
	}
}

// storm is of Locations and Tokens, three rounds of them.
func (a *accountant) storm(t *testing.T, documents *shelf, record *keptParcels) {
	owner := party(t, "NLCPA")
	for revision := range int64(120) {
		id := fmt.Sprint("l", revision%40)
		b := &Broadcast{
			Object: objectName(ocpi.ModuleLocations, owner, id), Owner: owner, From: owner, Module: ocpi.ModuleLocations,
			Method: []string{"PUT", "PATCH"}[revision%2], Path: "/NL/CPA/" + id, Body: []byte(`{}`), Revision: revision + 1,
		}
		tk := token(revision+1, []string{"PUT", "PATCH"}[revision/3%2], "a")
		tk.Object, tk.Path = fmt.Sprint("tokens/NLCPA/t", revision%10), fmt.Sprint("/NL/CPA/T", revision%10)
		tk.Owner, tk.From = owner, owner
		a.entries = append(a.entries,
			&accountEntry{Broadcast: b, accept: func() { documents.set(id, `{"last":"state"}`, revision+1) }},
			&accountEntry{Broadcast: tk, accept: func() { record.accepted = append(record.accepted, tk) }})
	}
}

// TestS5_ATokenPushThatALaterOneHasIsCounted: of pushes that went out in one with
// another, or need not go out since a later PUT did, each leg is counted as well.
func TestS5_ATokenPushThatALaterOneHasIsCounted(t *testing.T) {
	t.Parallel()
	put, patch, later := token(1, "PUT"), token(2, "PATCH", "a"), token(3, "PUT")
	for name, test := range map[string]struct {
		ended  []int64 // in the record
		handed []Handed
		sent   int
	}{
		"sent with an earlier one":         {nil, []Handed{{Broadcast: put, Again: true}, {Broadcast: patch, Again: true}, {Broadcast: later}}, 1},
		"behind the later one, which went": {nil, []Handed{{Broadcast: later}, {Broadcast: put, Again: true}, {Broadcast: patch, Again: true}}, 2},
		"ended in the record":              {[]int64{1, 2}, []Handed{{Broadcast: later}, {Broadcast: put, Again: true}, {Broadcast: patch, Again: true}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			const receivers = 2
			for _, st := range []*station{s.station("a", accepts, "NLAAA"), s.station("b", accepts, "NLBBB")} {
				go drain(t, st.got)
			}
			journal, record := &account{}, &keptParcels{accepted: []*Broadcast{put, patch, later}, ended: map[int64]bool{}}
			for _, parcel := range test.ended {
				record.ended[parcel] = true
			}
			s.fanout.cfg.Parcels, s.fanout.cfg.Journals = record, []Journal{journal}
			for _, h := range test.handed {
				s.fanout.Deliver(h)
			}
			s.fanout.Stop(t.Context())
			want := receivers * len(test.handed)
			all, _, of := counted(s.fanout)
			if all != want || of[OutcomeOK] != receivers*test.sent || of[OutcomeOK]+of[OutcomeSuperseded] != want {
				t.Errorf("the metrics have %d legs, want %d: %v", all, want, of)
			}
			if journal.total != want || journal.ok != of[OutcomeOK] || journal.superseded != of[OutcomeSuperseded] {
				t.Errorf("the journal has %d delivered and %d superseded of %d, the metrics %v",
					journal.ok, journal.superseded, journal.total, of)
			}
		})
	}
}

// TestS5_WhatIsTakenOverBeforeItIsSentIsCountedAsThat: the replica asks what is newest,
// and has lost the broadcast when it hears.
func TestS5_WhatIsTakenOverBeforeItIsSentIsCountedAsThat(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const receivers = 2
	stations := []*station{s.station("a", accepts, "DEAAA"), s.station("b", accepts, "DEBBB")}
	journal, documents := &account{}, newShelf()
	var held atomic.Bool
	held.Store(true)
	documents.caughtUp = func(context.Context, int64) error {
		held.Store(false)
		return errors.New("the record is away")
	}
	s.fanout.cfg.Present, s.fanout.cfg.Journals = documents, []Journal{journal}
	b := handed(t, ocpi.ModuleTariffs, "PUT", "/NL/CPA/X1", 5)
	b.Repeated = true
	s.fanout.Deliver(Handed{Broadcast: b, Again: true, Newest: 9, Held: held.Load, Done: func() { t.Error("done") }})
	s.fanout.Stop(t.Context())
	if all, repeated, of := counted(s.fanout); all != receivers || of[handedOver] != receivers || repeated != receivers {
		t.Errorf("the metrics have %d legs, %d repeated, want %d of each: %v", all, repeated, receivers, of)
	}
	for _, st := range stations {
		nothingIn(t, st.got)
	}
	if journal.total != 0 {
		t.Errorf("the journal has %d legs", journal.total)
	}
}
