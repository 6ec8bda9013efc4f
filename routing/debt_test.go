package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
)

// shelf is a catalog of documents by id. It has what was set, up to a revision, and
// catches up when it is let.
type shelf struct {
	mu        sync.Mutex
	documents map[string]string
	revisions map[string]int64
	// caughtUp is called by CatchUp; nil succeeds.
	caughtUp func(ctx context.Context, revision int64) error
}

func newShelf() *shelf {
	return &shelf{documents: map[string]string{}, revisions: map[string]int64{}}
}

func (s *shelf) set(id, document string, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.documents[id], s.revisions[id] = document, revision
}

func (s *shelf) Stored(k catalog.Key) ([]byte, int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	document, ok := s.documents[k.ID]
	return []byte(document), s.revisions[k.ID], ok
}

func (s *shelf) CatchUp(ctx context.Context, revision int64) error {
	if s.caughtUp == nil {
		return nil
	}
	return s.caughtUp(ctx, revision)
}

func (s *shelf) Reached() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var highest int64
	for _, revision := range s.revisions {
		highest = max(highest, revision)
	}
	return highest
}

// owing is a lane that is full of another object's legs, in front of a catalog
// that has everything up to revision 7.
func owing(t *testing.T) (*lane, *shelf) {
	s := newShelf()
	f := NewFanout(FanoutConfig{Present: s, Logger: slog.New(slog.DiscardHandler)})
	f.reached.Store(7)
	l := newLane(f, "p", false)
	filler := kept(t, "fill", "POST", 0, nil)
	filler.of.Body = make([]byte, maxQueuedBytes)
	if l.queue(filler) != nil {
		t.Fatal("an empty lane has no room")
	}
	return l, s
}

// kept is a leg of a push of a Tariff of NL/CPA. Its legs have ended but for the
// lane: so the log is told when the lane owes it no more.
func kept(t *testing.T, id, method string, revision int64, log *told) *leg {
	owner := party(t, "NLCPA")
	b := &Broadcast{
		Object: objectName(ocpi.ModuleTariffs, owner, id), Owner: owner, From: owner, Module: ocpi.ModuleTariffs,
		CorrelationID: fmt.Sprint("c-", revision), Method: method, Path: "/nl/CPA/" + id, Body: []byte(`{}`), Revision: revision,
	}
	r := &receipt{}
	if log != nil {
		r.done, r.held = func() { log.done = append(log.done, revision) }, log.held
	}
	return &leg{of: &delivery{Broadcast: b, receipt: r, counters: newLegMetrics(nil, nil).of(b.Module)}, to: party(t, "DEAAA")}
}

// told is a log that notes what it is told.
type told struct {
	done []int64
	held func() bool
}

func (g *told) want(t *testing.T, when string, done ...int64) {
	t.Helper()
	if !slices.Equal(g.done, done) {
		t.Errorf("%s the log was told of %v, want %v", when, g.done, done)
	}
}

// unlocks ends what was done under the lane's lock.
func (l *lane) unlocks() {
	l.mu.Lock()
	l.unlock()
}

func wantOutcome(t *testing.T, ended *leg, want Outcome) {
	t.Helper()
	if ended == nil || ended.next != nil || ended.outcome != want {
		t.Errorf("ended %+v, want one as %s", ended, want)
	}
}

// staffed puts all workers to work, so that the test is one of them.
func (l *lane) staffed() *worker {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range laneWidth {
		l.crew = append(l.crew, &worker{lane: l, place: i})
	}
	return l.crew[0]
}

// TestR3_NothingIsQueuedBehindAStateThatWasOwed: the catalog may be ahead of what
// the log has handed over.
func TestR3_NothingIsQueuedBehindAStateThatWasOwed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		again bool // another replica worked this part of the log in between
		next  []int64
		sent  []int64
	}{
		"what the state has is not sent, what is newer is": {false, []int64{6, 7, 8}, []int64{8}},
		"what is newer comes at once":                      {false, []int64{9}, []int64{9}},
		"what is handed over again is":                     {true, []int64{7}, []int64{7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, s := owing(t)
			tenure := new(Tenure)
			s.set("t1", `{"id":"T1","v":7}`, 7)
			leg := func(revision int64) *leg {
				g := kept(t, "T1", "PATCH", revision, nil)
				g.of.receipt.tenure = tenure
				return g
			}
			wantOutcome(t, l.queue(leg(5)), owedLater)
			l.next() // there is room
			l.settle()
			if test.again {
				tenure = new(Tenure)
			}
			var sent []int64
			for _, revision := range test.next {
				if l.queue(leg(revision)) == nil {
					sent = append(sent, revision)
				}
			}
			if !slices.Equal(sent, test.sent) {
				t.Errorf("queued %v, want %v", sent, test.sent)
			}
		})
	}
}

func TestP4_AFullLaneOwesTheLastStateOfAnObject(t *testing.T) {
	t.Parallel()
	l, s := owing(t)
	log := &told{}
	s.set("t1", `{"id":"T1","v":1}`, 5)
	wantOutcome(t, l.queue(kept(t, "T1", "PATCH", 5, log)), owedLater)
	wantOutcome(t, l.queue(kept(t, "T1", "PATCH", 6, log)), owedLater)
	wantOutcome(t, l.queue(kept(t, "GONE", "DELETE", 7, log)), owedLater)
	l.unlocks()
	log.want(t, "while two objects are owed", 5) // 6 stands for it
	if l.fanout.Queued() != 2 || l.length() != 3 || l.retire() {
		t.Errorf("%d are owed, %d in the lane", l.fanout.Queued(), l.length())
	}
	if l.settle(); l.queued != 1 {
		t.Error("the lane is full, and more is queued")
	}
	flying := l.next() // the lane is empty now
	if !l.overflowing {
		t.Error("the episode ends while something is owed")
	}
	s.set("t1", `{"id":"T1","v":2}`, 6)
	w := l.staffed()
	var got []string
	for g := l.turn(w, flying); g != nil; g = l.turn(w, g) {
		got = append(got, fmt.Sprintf("%s %s %s %s to %s", g.of.Method, g.of.Path, g.of.Body, g.of.CorrelationID, g.to))
		g.of.end(OutcomeOK, nil)
	}
	if diff := cmp.Diff([]string{`PUT /nl/CPA/T1 {"id":"T1","v":2} c-6 to DEAAA`, `DELETE /nl/CPA/GONE  c-7 to DEAAA`}, got); diff != "" {
		t.Error(diff)
	}
	log.want(t, "when all was sent", 5, 6, 7)
	if l.fanout.Queued() != 0 || l.fanout.owed.Load() != 0 || l.overflowing {
		t.Errorf("%d are left", l.fanout.Queued())
	}
	if l.queue(kept(t, "T1", "PATCH", 8, nil)) != nil {
		t.Error("what was owed once is not queued any more")
	}
}

func TestP4_WhatIsOwedWaitsForTheCatalog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := owing(t)
		log := &told{}
		s.set("t1", `{"v":1}`, 5)
		var asked []int64
		s.caughtUp = func(_ context.Context, revision int64) error {
			if asked = append(asked, revision); len(asked) < 3 {
				return errors.New("the record is away")
			}
			s.set("t1", `{"v":8}`, 8)
			return nil
		}
		l.queue(kept(t, "T1", "PATCH", 8, log)) // another replica's, which the catalog has not seen
		l.queue(kept(t, "T1", "PATCH", 6, log)) // a late one
		flying := l.next()
		l.staffed()
		w := l.staffed() // more than one goes home: or the pursuit would send it
		if g := l.turn(w, flying); g != nil {
			t.Errorf("%s %s is sent", g.of.Method, g.of.Body)
		}
		if l.length() == 0 || l.retire() {
			t.Error("the lane is done")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if g := l.next(); g == nil || string(g.of.Body) != `{"v":8}` {
			t.Errorf("%+v is sent", g)
		} else {
			g.of.end(OutcomeOK, nil)
		}
		if !slices.Equal(asked, []int64{8, 8, 8}) {
			t.Errorf("asked for %v", asked)
		}
		log.want(t, "in the end", 8, 6)
	})
}

func TestP4_WhatIsOwedAndTakenOverIsNotSentHere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		taken bool
		end   func(*lane)
		done  []int64
	}{
		"settled while it is held":          {end: sendsAll, done: []int64{5, 6}},
		"settled when it was taken over":    {taken: true, end: sendsAll},
		"away while it is held":             {end: func(l *lane) { l.empty(OutcomeOffline) }, done: []int64{5, 6}},
		"away when it was taken over":       {taken: true, end: func(l *lane) { l.empty(OutcomeOffline) }},
		"cut off, for others to send again": {end: func(l *lane) { l.empty(OutcomeCancelled) }, done: []int64{5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, s := owing(t)
			held := true
			log := &told{held: func() bool { return held }}
			s.set("t1", `{}`, 6)
			l.queue(kept(t, "T1", "PUT", 5, log))
			l.queue(kept(t, "T1", "PUT", 6, log))
			if held = !test.taken; held {
				l.unlocks()
			}
			test.end(l)
			l.unlocks()
			log.want(t, "at the end", test.done...)
			if l.fanout.Queued() != 0 || l.fanout.owed.Load() != 0 {
				t.Errorf("%d are left", l.fanout.Queued())
			}
		})
	}
}

// sendsAll sends what the lane has and owes.
func sendsAll(l *lane) {
	w, g := l.staffed(), l.next()
	l.fanout.waiting.Add(1) // the filler, which was not counted
	for ; g != nil; g = l.turn(w, g) {
		g.of.fanout = l.fanout
		if g.of.receipt.lost() {
			g.of.handOver()
		} else {
			g.of.end(OutcomeOK, nil)
		}
	}
}

// TestWhatIsOwedIsSentWhileOthersHoldTooMuch: one after the other then.
func TestWhatIsOwedIsSentWhileOthersHoldTooMuch(t *testing.T) {
	t.Parallel()
	l, s := owing(t)
	for _, id := range []string{"t1", "t2"} {
		s.set(id, `{}`, 5)
		wantOutcome(t, l.queue(kept(t, id, "PUT", 5, nil)), owedLater)
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
	g := kept(t, "T1", "PUT", 0, nil)
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
	wantOutcome(t, l.queue(kept(t, "T1", "PUT", 1, nil)), owedLater)
	wantOutcome(t, l.queue(kept(t, "T2", "PUT", 1, nil)), OutcomeOverflow)
	wantOutcome(t, l.queue(kept(t, "T1", "PUT", 2, nil)), owedLater)
	if l.fanout.owed.Load() != mostOwed {
		t.Errorf("%d are owed", l.fanout.owed.Load())
	}
}

func TestO1_APlatformThatIsAwayIsOwedNothing(t *testing.T) {
	t.Parallel()
	l, _ := owing(t)
	log := &told{}
	l.queue(kept(t, "T1", "PUT", 5, log))
	wantOutcome(t, l.empty(OutcomeOffline), OutcomeOffline) // the filler
	l.unlocks()
	log.want(t, "then", 5)
	if l.fanout.Queued() != 0 || l.fanout.owed.Load() != 0 || !l.retire() {
		t.Errorf("%d are left", l.fanout.Queued())
	}
}

// A thousand objects more than the lane has room for are pushed three times to a
// platform that answers nothing; when it does, it learns the last state of all.
func TestP4_AReceiverThatWasTooSlowLearnsTheLastStateOfEverything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	documents := newShelf()
	s.fanout.cfg.Present, s.fanout.cfg.Journals = documents, nil
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
			documents.set(id, body, b.Revision)
			want["/locations/NL/CPA/"+id] = body
			done = append(done, s.deliver(b))
		}
	}
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
}

func TestP4_WhatIsSentAgainIsWhatTheCatalogHasByThen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	documents := newShelf()
	documents.set("l1", `{"v":2}`, 2)
	s.fanout.cfg.Present = documents
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
		} else if test.module == "tariffs" && legs.Method != "DELETE" || test.module == "locations" && (legs.Total != 1 || legs.Superseded != 1) {
			t.Errorf("%s %s: %+v", test.module, test.id, legs)
		}
	}
	nothingIn(t, st.got)
}
