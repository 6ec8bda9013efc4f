package routing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"busbar/ocpi"
)

// handed is a broadcast of NL/CPA that a log hands over, and what was sent for it.
func handed(t *testing.T, module ocpi.ModuleID, method, path string, revision int64) *Broadcast {
	owner := party(t, "NLCPA")
	return &Broadcast{
		Object: objectName(module, owner, "x1"), Owner: owner, From: owner, Module: module, Method: method,
		Path: path, Query: "q=1", Body: []byte("original"), Revision: revision,
	}
}

// catching is a Fanout without receivers, that notes what it would send them. What
// is left out has no Method.
func catching(t *testing.T, s *shelf) (f *Fanout, sent func() string) {
	st := newStage(t)
	var last *Broadcast
	st.fanout.cfg.Receivers = func(b *Broadcast) []Leg {
		if b.Method != "" {
			last = b
		}
		return nil
	}
	if s != nil {
		st.fanout.cfg.Present = s
	}
	return st.fanout, func() string {
		if last == nil {
			return "nothing"
		}
		return fmt.Sprint(last.Method, " ", last.Path, " ", last.Query, " ", string(last.Body))
	}
}

func TestP4_WhatComesAgainIsNeverOlder(t *testing.T) {
	t.Parallel()
	const (
		locations, tariffs = ocpi.ModuleLocations, ocpi.ModuleTariffs
		top, evse          = "/NL/CPA/X1", "/NL/CPA/X1/E1"
		asItWas, nothing   = "original", "nothing"
	)
	for _, test := range []struct {
		name    string
		b       *Broadcast
		has     int64 // the revision that wrote the object in the catalog; 0: it is not there
		present bool
		fresh   bool
		want    string // what is sent; "original" for the broadcast as it was
	}{
		{"fresh", handed(t, locations, "PATCH", evse, 5), 9, false, true, asItWas},
		{"the newest", handed(t, locations, "PUT", top, 5), 5, false, false, asItWas},
		{"the newest, of a part", handed(t, locations, "PATCH", evse, 5), 5, false, false, asItWas},
		{"one that changed nothing", handed(t, locations, "PUT", top, 7), 5, false, false, asItWas},
		{"an older one", handed(t, locations, "PUT", top, 5), 6, false, false, "PUT /NL/CPA/X1  state"},
		{"an older one, of a part", handed(t, locations, "PATCH", evse, 5), 6, false, false, "PUT /NL/CPA/X1  state"},
		{"the newest, whose body is given up", handed(t, locations, "PATCH", evse, 5), 5, true, false, "PUT /NL/CPA/X1  state"},
		{"the same, fresh", handed(t, locations, "PATCH", evse, 5), 5, true, true, "PUT /NL/CPA/X1  state"},
		{"a deletion", handed(t, tariffs, "DELETE", top, 5), 0, false, false, asItWas},
		{"an older deletion", handed(t, tariffs, "DELETE", top, 5), 6, false, false, "PUT /NL/CPA/X1  state"},
		{"one that was deleted since", handed(t, tariffs, "PUT", top, 5), 0, false, false, "DELETE /NL/CPA/X1  "},
		{"a deletion, whose body is given up", handed(t, tariffs, "DELETE", top, 5), 0, true, false, "DELETE /NL/CPA/X1  "},
		{"a Location that is gone", handed(t, locations, "PUT", top, 5), 0, false, false, nothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			if test.has != 0 {
				s.set("x1", "state", test.has)
			}
			f, sent := catching(t, s)
			b, ended := test.b, 0
			if b.Present = test.present; test.present {
				b.Body = nil
			}
			want := test.want
			if want == asItWas {
				want = fmt.Sprint(b.Method, " ", b.Path, " q=1 original")
			}
			f.Deliver(Handed{Broadcast: b, Again: !test.fresh, Newest: 20, Done: func() { ended++ }})
			if got := sent(); got != want || ended != 1 {
				t.Errorf("sent %q, want %q; it ended %d times", got, want, ended)
			}
		})
	}
}

// asking is a question that fails at first.
type asking struct {
	fails     int
	revisions []int64
	meanwhile func(n int)
}

func (a *asking) answer(_ context.Context, revision int64) error {
	a.revisions = append(a.revisions, revision)
	if a.meanwhile != nil {
		a.meanwhile(len(a.revisions))
	}
	if len(a.revisions) <= a.fails {
		return errors.New("the record is away")
	}
	return nil
}

func TestP4_WhatComesAgainWaitsForTheCatalog(t *testing.T) {
	t.Parallel()
	const tariffs, tokens = ocpi.ModuleTariffs, ocpi.ModuleTokens
	for name, test := range map[string]struct {
		module  ocpi.ModuleID
		h       Handed
		fails   int
		reached int64
		asked   []int64
	}{
		"up to the newest that may have been delivered": {tariffs, Handed{Again: true, Newest: 9}, 0, 0, []int64{9}},
		"up to its own revision":                        {tariffs, Handed{Again: true, Newest: 2}, 0, 0, []int64{5}},
		"though the record is away for a while":         {tariffs, Handed{Again: true, Newest: 9}, 3, 0, []int64{9, 9, 9, 9}},
		"unless it is known to be there":                {tariffs, Handed{Again: true, Newest: 9}, 0, 9, nil},
		"not when it is fresh":                          {tariffs, Handed{}, 0, 0, nil},
		"a Token does not":                              {tokens, Handed{Again: true}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &asking{fails: test.fails}
				s := newShelf()
				s.caughtUp = a.answer
				s.set("x1", "state", 5)
				f, sent := catching(t, s)
				f.reached.Store(test.reached)
				done := false
				test.h.Broadcast, test.h.Done = handed(t, test.module, "PUT", "/NL/CPA/X1", 5), func() { done = true }
				f.Deliver(test.h)
				if !slices.Equal(a.revisions, test.asked) || !done || sent() != "PUT /NL/CPA/X1 q=1 original" {
					t.Errorf("asked for %v, sent %q, done %t", a.revisions, sent(), done)
				}
			})
		})
	}
}

func TestP4_WhoWaitsForTheCatalogGivesUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		shared bool
		at     func(f *Fanout, held *atomic.Bool)
		done   bool
	}{
		"when another replica has it":      {true, func(_ *Fanout, held *atomic.Bool) { held.Store(false) }, false},
		"when the hub stops":               {true, func(f *Fanout, _ *atomic.Bool) { f.cancel() }, false},
		"when the hub stops that is alone": {false, func(f *Fanout, _ *atomic.Bool) { f.cancel() }, true},
	} {
		for _, module := range []ocpi.ModuleID{ocpi.ModuleTariffs, ocpi.ModuleTokens} {
			t.Run(fmt.Sprint(name, ", ", module), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newShelf()
					f, sent := catching(t, s)
					var held atomic.Bool
					held.Store(true)
					a := &asking{fails: 1000, meanwhile: func(n int) {
						if n == 3 {
							test.at(f, &held)
						}
					}}
					s.caughtUp = a.answer
					f.cfg.Parcels = parcelsOf(func(ctx context.Context) error { return a.answer(ctx, 0) })
					done := false
					h := Handed{Broadcast: handed(t, module, "PUT", "/NL/CPA/X1", 5), Again: true, Done: func() { done = true }}
					if test.shared {
						h.Held = held.Load
					}
					if module == ocpi.ModuleTokens {
						h.Parcel = 1
					}
					f.Deliver(h)
					if len(a.revisions) != 3 || sent() != "nothing" || done != test.done {
						t.Errorf("asked %d times, sent %q, done %t", len(a.revisions), sent(), done)
					}
				})
			})
		}
	}
}

// What another replica took over is not sent any more, wherever it waits, and
// nobody hears of its end: neither the log nor the journal.
func TestP4_WhatIsTakenOverIsNotSent(t *testing.T) {
	t.Parallel()
	lost := func() bool { return false }
	t.Run("when it is delivered", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		st := s.station("a", accepts, "DEAAA", "DEBBB")
		s.fanout.Deliver(Handed{Broadcast: patch("L1", "E1", `{}`), Held: lost, Done: func() { t.Error("done") }})
		s.fanout.Stop(t.Context())
		nothingIn(t, st.got)
		nothingIn(t, s.ended.legs)
	})
	t.Run("while it waits in a lane", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		st, release := s.hanging("a", "DEAAA")
		first := s.deliver(patch("L1", "E1", `{"n":1}`))
		receive(t, st.got)
		var held atomic.Bool
		held.Store(true)
		for _, evse := range numbered("E%d", 5) {
			s.fanout.Deliver(Handed{Broadcast: patch("L1", evse, `{}`), Held: held.Load, Done: func() { t.Error("done") }})
		}
		last := s.deliver(patch("L1", "E9", `{"n":9}`))
		held.Store(false)
		release()
		receive(t, first)
		receive(t, last)
		if got := receive(t, st.got); got.body != `{"n":9}` {
			t.Errorf("got %s %s", got.line, got.body)
		}
		s.fanout.Stop(t.Context())
		nothingIn(t, st.got)
		if len(s.ended.legs) != 2 {
			t.Errorf("%d in the journal", len(s.ended.legs))
		}
		if n := testutil.ToFloat64(s.fanout.metrics.of(ocpi.ModuleLocations).ended[handedOver]); n != 5 {
			t.Errorf("%v are counted as handed over", n)
		}
	})
	t.Run("while its call is under way", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		st, release := s.hanging("a", "DEAAA")
		var held atomic.Bool
		held.Store(true)
		s.fanout.Deliver(Handed{Broadcast: patch("L1", "E1", `{}`), Held: held.Load, Done: func() { t.Error("done") }})
		receive(t, st.got)
		held.Store(false)
		release()
		s.fanout.Stop(t.Context())
		nothingIn(t, s.ended.legs)
	})
	t.Run("when the hub stops", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		st, _ := s.hanging("a", "DEAAA")
		cut := false
		s.fanout.cfg.CutOff = func() { cut = true }
		for _, evse := range numbered("E%d", 3) {
			s.fanout.Deliver(Handed{Broadcast: patch("L1", evse, `{}`), Held: func() bool { return true }, Done: func() { t.Error("done") }})
		}
		receive(t, st.got)
		s.fanout.Stop(ended(t))
		nothingIn(t, s.ended.legs)
		if n := s.fanout.Queued(); n != 0 || !cut {
			t.Errorf("%d are left, told of the cut: %t", n, cut)
		}
	})
	t.Run("behind a gate", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		st, release := s.hanging("a", "DEAAA")
		s.fanout.PushClientInfo(s.legs[0].Receiver, ocpi.ClientInfo{CountryCode: "NL", PartyID: "CPA", Role: ocpi.RoleCPO})
		receive(t, st.got)
		s.fanout.Deliver(Handed{Broadcast: patch("L1", "E1", `{}`), Held: lost, Done: func() { t.Error("done") }})
		last := s.deliver(patch("L1", "E2", `{}`))
		release()
		receive(t, last)
		receive(t, st.got)
		s.fanout.Stop(t.Context())
		nothingIn(t, st.got)
		for _, l := range s.fanout.lanes {
			if len(l.gates)+len(l.objects)+l.queued+l.bytes != 0 {
				t.Errorf("the lane holds %d gates, %d objects, %d legs", len(l.gates), len(l.objects), l.queued)
			}
		}
	})
}

// Whatever is taken over meanwhile, what stays ends once, what is taken over
// never, and the lanes are empty in the end.
func TestP4_EveryBroadcastThatStaysEndsOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	documents := newShelf()
	s.fanout.cfg.Present = documents
	stations := []*station{s.station("a", accepts, "DEAAA", "DEAAB"), s.station("b", accepts, "DEBBB"), s.station("c", nil, "DECCC")}
	const senders, each = 8, 200
	var ends, lost atomic.Int32
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for range each {
				b := patch([]string{"L0", "L1", "L2"}[rand.IntN(3)], []string{"1", "2"}[rand.IntN(2)], `{"status":"CHARGING"}`)
				var once, gone atomic.Bool
				asked, until := atomic.Int32{}, rand.Int32N(12)
				s.fanout.Deliver(Handed{Broadcast: b, Again: rand.IntN(2) == 0, Held: func() bool {
					held := asked.Add(1) <= until || until > 8
					if !held && !gone.Swap(true) {
						lost.Add(1)
					}
					return held
				}, Done: func() {
					if once.Swap(true) || gone.Load() {
						t.Error("ended twice, or though it was taken over")
					}
					ends.Add(1)
				}})
			}
		})
	}
	sending.Go(func() {
		for range 50 {
			s.goesOffline(stations[0])
			s.fanout.look()
			stations[0].platform.Status = ocpi.Connected
			s.put(stations[0])
		}
	})
	sending.Wait()
	s.fanout.Stop(t.Context())
	if ends.Load()+lost.Load() != senders*each || s.fanout.Queued() != 0 {
		t.Errorf("%d ended, %d were taken over, %d are left", ends.Load(), lost.Load(), s.fanout.Queued())
	}
	if n := int32(len(s.ended.legs)); n < ends.Load() || n > ends.Load()+lost.Load() {
		t.Errorf("%d in the journal, %d ended", n, ends.Load())
	}
	for _, l := range s.fanout.lanes {
		if len(l.objects)+len(l.gates)+l.queued+l.bytes+len(l.crew) != 0 {
			t.Errorf("lane %s holds %d objects, %d gates, %d legs of %d bytes", l.id, len(l.objects), len(l.gates), l.queued, l.bytes)
		}
	}
}

// A pushed state supersedes what waits under its URL, as any PUT does.
func TestR5_AStateComesBehindWhatWaits(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	documents := newShelf()
	documents.set("l1", `{"state":8}`, 8)
	s.fanout.cfg.Present = documents
	st, release := s.hanging("a", "DEAAA")
	busy := s.deliver(patch("L1", "E0", `{}`))
	receive(t, st.got)
	put, part := patch("L1", "", `{"put":6}`), patch("L1", "E1", `{"part":7}`)
	put.Method, put.Path, put.Revision, part.Revision = "PUT", "/NL/CPA/L1", 6, 7
	for _, b := range []*Broadcast{put, part} {
		s.deliver(b)
	}
	late := patch("L1", "E2", `{"late":5}`)
	late.Revision = 5
	done := make(chan struct{})
	s.fanout.Deliver(Handed{Broadcast: late, Again: true, Newest: 8, Done: func() { close(done) }})
	release()
	receive(t, busy)
	receive(t, done)
	var got []string
	for range len(st.got) {
		got = append(got, receive(t, st.got).body)
	}
	// The PUT stays, since an EVSE behind it cannot arrive before its Location.
	if want := []string{`{"put":6}`, `{"part":7}`, `{"state":8}`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
