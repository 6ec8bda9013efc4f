package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

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
		if got := l.heard(); got != " ! own" || !l.Partial() {
			t.Errorf("heard%q, partial %v", got, l.Partial())
		}
		if late := two.Subscribe(t.Context(), Filter{}, 0); !late.Partial() {
			t.Error("a new listener is not told")
		}
		w.Mend()
		time.Sleep(reportEvery + tickEvery)
		settle()
		// Once for hearing all again, once for what it lost.
		if got := l.heard(); got != " ! !" || l.Partial() {
			t.Errorf("heard%q, partial %v", got, l.Partial())
		}
		record(t, one, "back")
		settle()
		if got := l.heard(); got != " back" {
			t.Errorf("heard%q", got)
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
		heard, lost := len(strings.Fields(strings.ReplaceAll(l.heard(), "!", ""))), l.Lost()
		if lost == 0 || int64(heard)+lost != turns || one.exchange.dropped.Load() != lost {
			t.Errorf("%d heard, %d lost, %d dropped, of %d", heard, lost, one.exchange.dropped.Load(), turns)
		}
	})
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
