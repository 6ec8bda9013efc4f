package routing

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
)

// shelf is a catalog of documents by id.
type shelf struct {
	mu        sync.Mutex
	documents map[string]string
}

func (s *shelf) set(id, document string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.documents[id] = document
}

func (s *shelf) document(k catalog.Key) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	document, ok := s.documents[k.ID]
	return []byte(document), ok
}

// owing is a lane that is full of another object's legs, in front of a catalog.
func owing(t *testing.T) (*lane, *shelf) {
	s := &shelf{documents: map[string]string{}}
	f := NewFanout(FanoutConfig{Marks: &Marks{}, Present: s.document})
	l := newLane(f, "p", false)
	filler := kept(t, "fill", "POST", 0)
	filler.of.Body = make([]byte, maxQueuedBytes)
	if l.queue(filler) != nil {
		t.Fatal("an empty lane has no room")
	}
	return l, s
}

// kept is a leg of a push of a Tariff of NL/CPA; ended by its own name.
func kept(t *testing.T, id, method string, revision int64) *leg {
	owner := party(t, "NLCPA")
	b := &Broadcast{
		Object: objectName(ocpi.ModuleTariffs, owner, id), Owner: owner, From: owner, Module: ocpi.ModuleTariffs,
		CorrelationID: fmt.Sprint("c-", revision), Method: method, Path: "/nl/CPA/" + id, Body: []byte(`{}`), Revision: revision,
	}
	return &leg{of: &delivery{Broadcast: b, counters: newLegMetrics(nil, nil).of(b.Module)}, to: party(t, "DEAAA")}
}

func wantOutcome(t *testing.T, ended *leg, want Outcome) {
	t.Helper()
	if ended == nil || ended.next != nil || ended.outcome != want {
		t.Errorf("ended %+v, want one as %s", ended, want)
	}
}

func TestP4_AFullLaneOwesTheLastStateOfAnObject(t *testing.T) {
	t.Parallel()
	l, s := owing(t)
	s.set("t1", `{"id":"T1","v":1}`)
	wantOutcome(t, l.queue(kept(t, "T1", "PATCH", 5)), OutcomeSuperseded)
	wantOutcome(t, l.queue(kept(t, "T1", "PATCH", 6)), OutcomeSuperseded)
	wantOutcome(t, l.queue(kept(t, "GONE", "DELETE", 7)), OutcomeSuperseded)
	l.fanout.cfg.Marks.Settled(7)
	if l.fanout.Queued() != 2 || l.length() != 3 || l.retire() || l.fanout.cfg.Marks.mark() != 4 {
		t.Errorf("%d are owed, %d in the lane, the mark is %d", l.fanout.Queued(), l.length(), l.fanout.cfg.Marks.mark())
	}
	if l.settle(); l.queued != 1 {
		t.Error("the lane is full, and more is queued")
	}
	flying := l.next() // the lane is empty now
	if !l.overflowing {
		t.Error("the episode ends while something is owed")
	}
	s.set("t1", `{"id":"T1","v":2}`)
	for i := range laneWidth { // all are at work: this test is one of them
		l.crew = append(l.crew, &worker{lane: l, place: i})
	}
	var got []string
	for g := l.turn(l.crew[0], flying); g != nil; g = l.turn(l.crew[0], g) {
		got = append(got, fmt.Sprintf("%s %s %s %s to %s", g.of.Method, g.of.Path, g.of.Body, g.of.CorrelationID, g.to))
		g.of.end(OutcomeOK, nil)
	}
	if diff := cmp.Diff([]string{`PUT /nl/CPA/T1 {"id":"T1","v":2} c-6 to DEAAA`, `DELETE /nl/CPA/GONE  c-7 to DEAAA`}, got); diff != "" {
		t.Error(diff)
	}
	if l.fanout.Queued() != 0 || l.fanout.owed.Load() != 0 || l.fanout.cfg.Marks.mark() != 7 || l.overflowing {
		t.Errorf("%d are left, the mark is %d", l.fanout.Queued(), l.fanout.cfg.Marks.mark())
	}
	if l.queue(kept(t, "T1", "PATCH", 8)) != nil {
		t.Error("what was owed once is not queued any more")
	}
}

// TestWhatIsOwedIsSentWhileOthersHoldTooMuch: one after the other then.
func TestWhatIsOwedIsSentWhileOthersHoldTooMuch(t *testing.T) {
	t.Parallel()
	l, s := owing(t)
	for _, id := range []string{"t1", "t2"} {
		s.set(id, `{}`)
		wantOutcome(t, l.queue(kept(t, id, "PUT", 0)), OutcomeSuperseded)
	}
	l.fanout.held.Store(maxHeldBytes + 1)
	l.next() // the lane is empty now
	for left := 1; left >= 0; left-- {
		if l.settle(); l.queued != 1 || len(l.debts.of) != left {
			t.Errorf("%d wait, %d are owed, want 1 and %d", l.queued, len(l.debts.of), left)
		}
		l.next()
	}
}

func TestATokenThatFindsNoRoomIsNotSent(t *testing.T) {
	t.Parallel()
	l, _ := owing(t)
	g := kept(t, "T1", "PUT", 0)
	g.of.Module = ocpi.ModuleTokens
	wantOutcome(t, l.queue(g), OutcomeOverflow)
	if l.fanout.Queued() != 0 {
		t.Error("it is owed")
	}
}

func TestWhatLanesOweIsBounded(t *testing.T) {
	t.Parallel()
	l, _ := owing(t)
	l.fanout.owed.Store(mostOwed - 1)
	wantOutcome(t, l.queue(kept(t, "T1", "PUT", 1)), OutcomeSuperseded)
	wantOutcome(t, l.queue(kept(t, "T2", "PUT", 1)), OutcomeOverflow)
	wantOutcome(t, l.queue(kept(t, "T1", "PUT", 2)), OutcomeSuperseded)
	if l.fanout.owed.Load() != mostOwed {
		t.Errorf("%d are owed", l.fanout.owed.Load())
	}
}

func TestO1_APlatformThatIsAwayIsOwedNothing(t *testing.T) {
	t.Parallel()
	l, _ := owing(t)
	l.queue(kept(t, "T1", "PUT", 5))
	l.fanout.cfg.Marks.Settled(5)
	wantOutcome(t, l.empty(OutcomeOffline), OutcomeOffline) // the filler
	if l.fanout.Queued() != 0 || l.fanout.owed.Load() != 0 || l.fanout.cfg.Marks.mark() != 5 || !l.retire() {
		t.Errorf("%d are left, the mark is %d", l.fanout.Queued(), l.fanout.cfg.Marks.mark())
	}
}

// A thousand objects more than the lane has room for are pushed three times to a
// platform that answers nothing; when it does, it learns the last state of all.
func TestP4_AReceiverThatWasTooSlowLearnsTheLastStateOfEverything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	documents := &shelf{documents: map[string]string{}}
	s.fanout.cfg.Present, s.fanout.cfg.Marks, s.fanout.cfg.Journals = documents.document, &Marks{}, nil
	held := make(chan struct{})
	var mu sync.Mutex
	last := map[string]string{}
	s.station("slow", func(p push) string {
		<-held
		mu.Lock()
		defer mu.Unlock()
		last[p.path()] = p.body
		return accepted
	}, "DEAAA")
	objects := numbered("l%d", maxQueued+1000)
	var done []chan struct{}
	want := map[string]string{}
	for round := range 3 {
		for i, id := range objects {
			body := fmt.Sprintf(`{"id":%q,"round":%d}`, id, round)
			b := patch(id, "", body)
			b.Method, b.Path, b.Revision = "PUT", "/NL/CPA/"+id, int64(round*len(objects)+i+1)
			documents.set(id, body)
			want["/locations/NL/CPA/"+id] = body
			s.fanout.cfg.Marks.begin(b.Revision)
			done = append(done, s.deliver(b))
		}
	}
	s.fanout.cfg.Marks.Settled(int64(len(done)))
	close(held)
	for _, d := range done {
		receive(t, d)
	}
	s.fanout.Stop(t.Context())
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(want, last) {
		t.Errorf("%d objects arrived, want %d; or an older state did", len(last), len(want))
	}
	if mark := s.fanout.cfg.Marks.mark(); mark != int64(len(done)) {
		t.Errorf("the mark is %d, want %d", mark, len(done))
	}
}

func TestP4_WhatIsSentAgainIsWhatTheCatalogHasByThen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	documents := &shelf{documents: map[string]string{"l1": `{"v":2}`}}
	s.fanout.cfg.Present = documents.document
	st := s.station("a", accepts, "DEAAA")
	for _, test := range []struct{ module, id, method, body string }{
		{"locations", "l1", "PUT", `{"v":2}`},
		{"tariffs", "gone", "", ""}, // this one has no endpoint here, so it fails below
		{"locations", "gone", "", ""},
	} {
		owner := party(t, "NLCPA")
		b := &Broadcast{
			Object: objectName(ocpi.ModuleID(test.module), owner, test.id), Owner: owner, From: owner,
			Module: ocpi.ModuleID(test.module), Method: "PUT", Path: "/NL/CPA/" + test.id, Present: true,
		}
		receive(t, s.deliver(b))
		legs := receive(t, s.ended.legs)
		if test.method != "" {
			if got := receive(t, st.got); got.line != test.method+" /locations/NL/CPA/l1 HTTP/1.1" || got.body != test.body {
				t.Errorf("got %q %s", got.line, got.body)
			}
		} else if test.module == "tariffs" && legs.Method != "DELETE" || test.module == "locations" && legs.Total != 0 {
			t.Errorf("%s %s: %+v", test.module, test.id, legs)
		}
	}
	nothingIn(t, st.got)
}
