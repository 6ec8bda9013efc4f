package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// wire connects the feeds of replicas in a test.
type wire struct {
	mu        sync.Mutex
	reports   map[routing.ReplicaID][]byte
	listening map[routing.ReplicaID]func([]byte)
	cut       chan struct{} // closed while it is cut
	mended    chan struct{} // closed while it is not
	published int
	// slow holds Publish up until it is closed.
	slow chan struct{}
}

func newWire() *wire {
	w := &wire{
		reports: map[routing.ReplicaID][]byte{}, listening: map[routing.ReplicaID]func([]byte){},
		cut: make(chan struct{}), mended: make(chan struct{}),
	}
	close(w.mended)
	return w
}

func (w *wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.cut)
	w.mended = make(chan struct{})
}

func (w *wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = make(chan struct{})
	close(w.mended)
}

var errCut = errors.New("the wire is cut")

func (w *wire) down() error {
	select {
	case <-w.cut:
		return errCut
	default:
		return nil
	}
}

// end is the wire as one replica sees it.
type end struct {
	*wire
	id routing.ReplicaID
}

func (e end) Report(_ context.Context, figures []byte) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.down(); err != nil {
		return false, err
	}
	e.reports[e.id] = figures
	for id := range e.listening {
		if id != e.id {
			return true, nil
		}
	}
	return false, nil
}

func (e end) Reports(context.Context) (map[routing.ReplicaID][]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.reports), e.down()
}

func (e end) Publish(ctx context.Context, news []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if slow := e.slow; slow != nil {
		e.mu.Unlock()
		select {
		case <-slow:
		case <-ctx.Done():
		}
		e.mu.Lock()
	}
	if err := errors.Join(e.down(), ctx.Err()); err != nil {
		return err
	}
	e.published++
	for id, hear := range e.listening {
		if id != e.id {
			hear(news)
		}
	}
	return nil
}

func (e end) Listen(ctx context.Context, hearing func(bool), hear func([]byte)) {
	for ctx.Err() == nil {
		e.mu.Lock()
		cut, mended, err := e.cut, e.mended, e.down()
		if err == nil {
			e.listening[e.id] = hear
		}
		e.mu.Unlock()
		hearing(err == nil)
		wait := cut
		if err != nil {
			wait = mended
		}
		select {
		case <-ctx.Done():
		case <-wait:
		}
		e.mu.Lock()
		delete(e.listening, e.id)
		e.mu.Unlock()
	}
}

// replica runs one of several recorders on a wire and a store.
func (w *wire) replica(t *testing.T, id routing.ReplicaID, store Store) *Recorder {
	t.Helper()
	r, _ := run(t, Config{Store: store, Feed: end{w, id}, Replica: id})
	return r
}

// settle lets everything arrive: two ticks after one that may have begun.
func settle() {
	time.Sleep(3 * tickEvery)
	synctest.Wait()
}

func TestFeed_ReplicasAreHeardInTheOrderOfTimeEachOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		one := w.replica(t, "one", nil)
		time.Sleep(tickEvery / 2)
		two := w.replica(t, "two", nil)
		all, cdrs := two.Subscribe(t.Context(), Filter{}, 0), two.Subscribe(t.Context(), Filter{Module: ocpi.ModuleCDRs}, 0)
		time.Sleep(reportEvery + tickEvery/4)
		for i := range 3 {
			// One's tick comes in the middle of two's.
			for _, next := range []struct {
				r  *Recorder
				id string
			}{{one, "a"}, {two, "b"}, {one, "c"}} {
				m := passed(t, fmt.Sprint(next.id, i), "NLCPA", "DEMSP")
				m.Time = m.Time.Add(-m.Duration)
				next.r.Record(&m)
				time.Sleep(time.Millisecond)
			}
			settle()
		}
		one.RecordLegs(&routing.Legs{Time: time.Now(), CorrelationID: "l", Module: ocpi.ModuleLocations})
		settle()
		if got := all.heard(); got != " a0 b0 c0 a1 b1 c1 a2 b2 c2 legs:l" {
			t.Errorf("heard%q", got)
		}
		if got := cdrs.heard(); got != "" || all.Lost() != 0 || all.Partial() {
			t.Errorf("heard %q, partial %v", got, all.Partial())
		}
	})
}

func TestFeed_OwnAndOthersAreMergedWithinATurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		r := w.replica(t, "r", nil)
		l := r.Subscribe(t.Context(), Filter{}, 0)
		settle()
		messages := make([]routing.Message, 6)
		for i := range messages {
			messages[i] = passed(t, fmt.Sprint(i), "NLCPA", "DEMSP")
			messages[i].Duration = time.Duration(10*i) * time.Millisecond
		}
		other := newNewsWriter(ocpi.PartyKey{})
		late, _ := other.pack(news{messages: []routing.Message{messages[5], messages[2]}}, 0)
		early, _ := other.pack(news{messages: []routing.Message{messages[0], messages[3]}}, 0)
		r.exchange.hear(late)
		r.exchange.hear(early)
		r.Record(&messages[1])
		r.Record(&messages[4])
		settle()
		if got := l.heard(); got != " 0 1 2 3 4 5" {
			t.Errorf("heard%q", got)
		}
	})
}

func TestFeed_NothingIsToldWhileNobodyListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		one, two := w.replica(t, "one", nil), w.replica(t, "two", nil)
		published := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.published }
		record(t, one, "a", "b")
		time.Sleep(3*reportEvery + tickEvery/4)
		if n := published(); n != 0 {
			t.Errorf("told %d times before", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		l := two.Subscribe(ctx, Filter{}, 0)
		// Before one has learned of the listener.
		record(t, one, "c")
		one.RecordLegs(&routing.Legs{Time: time.Now(), CorrelationID: "l"})
		time.Sleep(reportEvery + tickEvery)
		settle()
		record(t, two, "own")
		settle()
		if got := l.heard(); got != " legs:l c own" {
			t.Errorf("heard%q", got)
		}
		if n := published(); n != 1 {
			t.Errorf("told %d times, of them two's own", n)
		}
		cancel()
		time.Sleep(reportEvery + tickEvery)
		record(t, one, "d")
		settle()
		if n := published(); n != 1 {
			t.Errorf("told %d times after the end", n)
		}
	})
}

func TestFeed_RedisGoneIsSaidAndOwnMessagesGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		one, two := w.replica(t, "one", nil), w.replica(t, "two", nil)
		l := two.Subscribe(t.Context(), Filter{}, 0)
		time.Sleep(reportEvery + tickEvery/4)
		w.Cut()
		record(t, one, "lost")
		record(t, two, "own")
		settle()
		if e := <-l.Events; e != (Event{}) || !l.Partial() {
			t.Errorf("event %+v, partial %v", e, l.Partial())
		}
		if got := l.heard(); got != " own" {
			t.Errorf("heard%q", got)
		}
		if late := two.Subscribe(t.Context(), Filter{}, 0); !late.Partial() {
			t.Error("a new listener is not told")
		}
		w.Mend()
		time.Sleep(reportEvery + tickEvery)
		if e := <-l.Events; e != (Event{}) || l.Partial() {
			t.Errorf("event %+v, partial %v", e, l.Partial())
		}
		record(t, one, "back")
		settle()
		for e := range l.Events {
			if e.Message != nil {
				if e.Message.CorrelationID != "back" {
					t.Errorf("heard %s", e.Message.CorrelationID)
				}
				break
			}
		}
		if n := l.Lost(); n != 1 {
			t.Errorf("%d lost, want the one", n)
		}
	})
}

func TestFeed_ASlowRedisHoldsNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		one, two := w.replica(t, "one", nil), w.replica(t, "two", nil)
		l, own := two.Subscribe(t.Context(), Filter{}, 0), one.Subscribe(t.Context(), Filter{}, 0)
		time.Sleep(reportEvery + tickEvery/4)
		w.mu.Lock()
		w.slow = make(chan struct{})
		w.mu.Unlock()
		const turns = 5 * outgoingMost
		for i := range turns {
			m := passed(t, fmt.Sprint(i), "NLCPA", "DEMSP")
			one.Record(&m)
			time.Sleep(tickEvery)
		}
		settle()
		if n := len(own.Events); n != turns {
			t.Errorf("%d of its own messages were shown, want %d", n, turns)
		}
		w.mu.Lock()
		close(w.slow)
		w.slow = nil
		w.mu.Unlock()
		time.Sleep(2 * reportEvery)
		heard, lost := len(strings.Fields(l.heard2())), l.Lost()
		if lost == 0 || int64(heard)+lost != turns || one.exchange.dropped.Load() != lost {
			t.Errorf("%d heard, %d lost, %d dropped, of %d", heard, lost, one.exchange.dropped.Load(), turns)
		}
	})
}

// heard2 is heard without the events that have nothing in them.
func (l *Listener) heard2() (ids string) {
	for len(l.Events) > 0 {
		if e := <-l.Events; e.Message != nil {
			ids += " " + e.Message.CorrelationID
		}
	}
	return ids
}

// What another replica has stored comes first, and not a second time.
func TestFeed_TheNewestOfAllReplicasComeFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, store := newWire(), &memoryStore{}
		one, two := w.replica(t, "one", store), w.replica(t, "two", store)
		record(t, one, "a", "b")
		record(t, two, "c")
		time.Sleep(batchAge - tickEvery)
		record(t, one, "d")
		time.Sleep(2 * tickEvery)
		record(t, two, "e") // neither stored nor shown
		l, sparse := two.Subscribe(t.Context(), Filter{}, 4), two.Subscribe(t.Context(), Filter{CorrelationID: "a"}, 3)
		time.Sleep(2 * reportEvery)
		record(t, one, "f")
		settle()
		if got := l.heard(); got != " b c d e f" {
			t.Errorf("heard%q", got)
		}
		if got := sparse.heard(); got != " a" {
			t.Errorf("heard%q", got)
		}
		store.fail(errors.New("the store is gone"))
		if got := two.Subscribe(t.Context(), Filter{}, 2).heard(); got != " e f" {
			t.Errorf("without the store: heard%q", got)
		}
	})
}

func TestFeed_ListenersComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		r := w.replica(t, "r", nil)
		listening := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.listening) }
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			r.Subscribe(ctx, Filter{}, 0)
			began := time.Now()
			r.Subscribe(ctx, Filter{}, 0)
			if time.Since(began) > 0 || listening() != 1 {
				t.Errorf("%d listen; it took %v", listening(), time.Since(began))
			}
			cancel()
			synctest.Wait()
			if n := listening(); n != 0 {
				t.Errorf("%d listen at the end", n)
			}
		}
	})
}

func TestNews_AreBounded(t *testing.T) {
	t.Parallel()
	writer := newNewsWriter(ocpi.PartyKey{})
	many := samples(10_000)
	packed, left := writer.pack(news{messages: many}, 5)
	events, lost, err := readNews(packed)
	if err != nil || left == 0 || len(events)+left != len(many) || lost != int64(left)+5 {
		t.Errorf("%d events, %d left, %d lost, %v", len(events), left, lost, err)
	}
	if got, want := *events[7].Message, many[7]; !got.Time.Equal(want.Time) || got.CorrelationID != want.CorrelationID || got.Peer != want.Peer {
		t.Errorf("message %+v, want %+v", got, want)
	}
	t.Logf("%d messages in %d bytes", len(events), len(packed))

	r := New(Config{Feed: end{newWire(), "r"}})
	for range 8 {
		r.exchange.hear(packed)
	}
	r.exchange.hear([]byte("no news"))
	events, lost = r.exchange.take()
	if len(events) != inboxMost || lost < 8*5 {
		t.Errorf("%d events wait, %d lost", len(events), lost)
	}
}

func TestFigures_AreThoseOfAllReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		lanes := map[routing.ReplicaID]int{"one": 3, "two": 4}
		start := func(id routing.ReplicaID) *Recorder {
			r, _ := run(t, Config{Feed: end{w, id}, Replica: id, Lanes: func() map[parties.PlatformID]int {
				return map[parties.PlatformID]int{"p": lanes[id]}
			}})
			return r
		}
		one, two := start("one"), start("two")
		for i := range 100 {
			fast, slow := passed(t, fmt.Sprint("a", i), "NLCPA", "DEMSP"), passed(t, fmt.Sprint("b", i), "NLCPA", "FRXXX")
			fast.Duration, fast.Peer = 2*time.Millisecond, time.Millisecond
			slow.Duration, slow.Peer, slow.Outcome = 5*time.Second, 4*time.Second, routing.OutcomeTimeout
			slow.Time = slow.Time.Add(-slow.Duration)
			one.Record(&fast)
			if i < 40 {
				two.Record(&slow)
			}
		}
		time.Sleep(5 * time.Second)
		for _, r := range []*Recorder{one, two} {
			f := r.Figures(t.Context())
			if f.Partial || f.Total.Messages != 140 || f.Total.Failed != 40 || len(f.Seconds) != 60 {
				t.Fatalf("partial %v, total %+v", f.Partial, f.Total)
			}
			if hub := f.Total.Hub; hub.P50 > 2*time.Millisecond || hub.P99 < 900*time.Millisecond || f.Total.Peer.P99 < 3600*time.Millisecond {
				t.Errorf("hub %v, peer %v", hub, f.Total.Peer)
			}
			if len(f.Failing) != 1 || f.Failing[0] != (Failing{party(t, "FRXXX"), 40, routing.OutcomeTimeout}) {
				t.Errorf("failing %v", f.Failing)
			}
			if len(f.Replicas) != 2 || f.Replicas[0].ID != r.cfg.Replica {
				t.Fatalf("replicas %+v", f.Replicas)
			}
			for _, replica := range f.Replicas {
				want := map[routing.ReplicaID]int{"one": 100, "two": 40}[replica.ID]
				if replica.Own.Messages != want || replica.Lanes["p"] != lanes[replica.ID] || replica.Since.After(time.Now()) {
					t.Errorf("replica %+v", replica)
				}
			}
		}
		w.Cut()
		if f := one.Figures(t.Context()); !f.Partial || len(f.Replicas) != 1 || f.Total.Messages != 100 || f.Replicas[0].ID != "one" {
			t.Errorf("without Redis: %+v", f.Replicas)
		}
	})
}

func TestFigures_OfALoneReplica(t *testing.T) {
	t.Parallel()
	r := New(Config{Replica: "r"})
	if f := r.Figures(t.Context()); f.Partial || len(f.Replicas) != 1 || f.Replicas[0].ID != "r" || len(f.Seconds) != 60 {
		t.Errorf("figures %+v", f.Replicas)
	}
}

// Clocks of replicas differ, in the worst case by hours: the minute of each is
// the last one.
func TestFigures_OfAReplicaWhoseClockIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for name, wrong := range map[string]time.Duration{
		"right": 0, "an hour ahead": time.Hour, "an hour behind": -time.Hour, "a second": time.Second, "ten seconds": -10 * time.Second,
	} {
		theirs := now.Add(wrong)
		p := newPulse()
		for i := range 30 {
			m := passed(t, fmt.Sprint(i), "NLCPA", "DEMSP")
			at := theirs.Add(time.Duration(i-40) * time.Second)
			m.Time = at.Add(-m.Duration)
			p.message(&m, at)
		}
		made := report{at: theirs.Add(-time.Second)}
		made.beats, made.failing = p.beats(theirs)
		read, err := readReport(made.pack())
		if err != nil {
			t.Fatal(err)
		}
		all := newPulse()
		all.absorb(read, now)
		if got := all.minute(now.Add(-figuresLate)).Total; got.Messages != 30 || got.Hub.P50 != p.minute(theirs).Total.Hub.P50 {
			t.Errorf("%s: total %+v", name, got)
		}
	}
}

func TestReport_OfALaterVersionOrNone(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "x", "\xff\xff\xff\xff\x0f"} {
		if _, err := readReport([]byte(raw)); err == nil {
			t.Errorf("%q is read", raw)
		}
	}
	if h := (stepsRecord{3, 1, 500, 2, 7}).histogram(); h.count != 3 || h.steps[127] != 2 {
		t.Errorf("histogram %+v", h)
	}
}
