package journal

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// heard are the ids of the events that wait; "!" is one that only wakes the
// listener, to ask what it lost and whether it hears all.
func (l *Listener) heard() (ids string) {
	for {
		select {
		case e, ok := <-l.Events:
			switch {
			case !ok:
				return ids + " end"
			case e == (Event{}):
				ids += " !"
			case e.Message != nil:
				ids += " " + e.Message.CorrelationID
			default:
				ids += " legs:" + e.Legs.CorrelationID
			}
		default:
			return ids
		}
	}
}

func TestSubscribe_HearsWhatItAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, end := run(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		everything := r.Subscribe(ctx, Filter{}, 0)
		cdrs := r.Subscribe(t.Context(), Filter{Module: ocpi.ModuleCDRs}, 0)
		record(t, r, "a")
		m := passed(t, "b", "NLCPA", "DEMSP")
		m.Module = ocpi.ModuleCDRs
		r.Record(&m)
		r.RecordLegs(&routing.Legs{Time: time.Now(), CorrelationID: "c", Module: ocpi.ModuleLocations})
		time.Sleep(tickEvery)
		synctest.Wait()
		if a, b := everything.heard(), cdrs.heard(); a != " a b legs:c" || b != " b" {
			t.Errorf("heard %q and %q", a, b)
		}
		cancel()
		synctest.Wait()
		record(t, r, "d")
		recent := r.Subscribe(t.Context(), Filter{}, 2)
		time.Sleep(time.Second)
		if a, b := everything.heard(), recent.heard(); a != " end" || b != " a b d" {
			t.Errorf("heard %q and %q", a, b)
		}
		end()
		if a, late := cdrs.heard(), r.Subscribe(t.Context(), Filter{}, 1).heard(); a != " end" || late != " d end" {
			t.Errorf("at the end: heard %q and %q", a, late)
		}
	})
}

func TestSubscribe_ASlowListenerIsToldWhatItLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := run(t, Config{})
		slow := r.Subscribe(t.Context(), Filter{}, 0)
		for i := range listenerBuffer + 5 {
			m := passed(t, fmt.Sprint(i), "NLCPA", "DEMSP")
			r.Record(&m)
		}
		time.Sleep(time.Second)
		if len(slow.Events) != listenerBuffer || slow.Lost() != 5 || slow.Lost() != 0 {
			t.Errorf("%d wait, not told of 5 lost", len(slow.Events))
		}
	})
}

func TestLastMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := run(t, Config{})
		for second := range 3 {
			for i := range 100 {
				m := passed(t, fmt.Sprint(second, i), "NLCPA", "DEMSP")
				m.Duration, m.Peer = 21*time.Millisecond, 20*time.Millisecond
				if i < 3 {
					m.Duration, m.Outcome = time.Second+20*time.Millisecond, routing.OutcomeServerError
				}
				m.Time = time.Now().Add(-m.Duration)
				r.Record(&m)
			}
			r.RecordLegs(&routing.Legs{
				Time: time.Now().Add(-2 * time.Second), Duration: 2 * time.Second,
				Failed: []routing.FailedLeg{{To: party(t, "FRXXX"), Outcome: routing.OutcomeOffline}},
			})
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		m := r.LastMinute()
		if len(m.Seconds) != 60 || m.Total.Messages != 300 || m.Total.Failed != 9 {
			t.Fatalf("%d seconds, total %+v", len(m.Seconds), m.Total)
		}
		if busy := m.Seconds[57]; busy.Messages != 100 || busy.Failed != 3 || m.Seconds[50].Messages != 0 {
			t.Errorf("second %+v", busy)
		}
		near := func(name string, got, want time.Duration) {
			if got < want*9/10 || got > want*11/10 {
				t.Errorf("%s %v, want about %v", name, got, want)
			}
		}
		near("hub p50", m.Total.Hub.P50, time.Millisecond)
		near("hub p99", m.Total.Hub.P99, time.Second)
		near("peer p50", m.Total.Peer.P50, 20*time.Millisecond)
		near("lag p99", m.Total.Lag.P99, 2*time.Second)
		if len(m.Failing) != 2 || m.Failing[0].Party.String() != "DEMSP" || m.Failing[0].Failed != 9 || m.Failing[1].Last != routing.OutcomeOffline {
			t.Errorf("failing %v", m.Failing)
		}
		time.Sleep(2 * time.Minute)
		if m := r.LastMinute(); m.Total.Messages != 0 || len(m.Failing) != 0 {
			t.Errorf("later %+v", m.Total)
		}
	})
}
