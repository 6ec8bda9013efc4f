package routing

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/ocpi"
)

func TestALaneThatIsFullTakesNoMore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	st, _ := s.hanging("slow", "DEAAA")
	objects := numbered("L%d", laneWidth+maxQueued+3)
	for _, location := range objects[:laneWidth] {
		s.deliver(patch(location, "1", `{}`))
	}
	for range laneWidth {
		receive(t, st.got)
	}
	for _, location := range objects[laneWidth : laneWidth+maxQueued] {
		s.deliver(patch(location, "1", `{}`))
	}
	for _, location := range objects[laneWidth+maxQueued:] {
		receive(t, s.deliver(patch(location, "1", `{}`)))
		if legs := receive(t, s.ended.legs); legs.Failed[0].Outcome != OutcomeOverflow {
			t.Errorf("got %+v", legs)
		}
	}
	if got := s.fanout.Lanes()[st.platform.ID]; got != laneWidth+maxQueued || s.fanout.Queued() != got {
		t.Errorf("%d in the lane, %d in all", got, s.fanout.Queued())
	}
	if lines := s.logged.all(); len(lines) != 1 || !strings.Contains(lines[0], "platform=slow") {
		t.Errorf("logged %q", lines)
	}
	s.fanout.Stop(ended(t)) // here, while what hangs is not let go
	for range laneWidth + maxQueued {
		if legs := receive(t, s.ended.legs); legs.Failed[0].Outcome != OutcomeCancelled {
			t.Fatalf("got %+v", legs)
		}
	}
	if n := s.fanout.Queued(); n != 0 {
		t.Errorf("%d left", n)
	}
}

func TestStopLetsTheLanesRunEmpty(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	st, release := s.hanging("slow", "DEAAA")
	var done []chan struct{}
	for _, evse := range numbered("%d", 50) {
		done = append(done, s.deliver(patch("L", evse, `{}`)))
	}
	receive(t, st.got)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.fanout.Stop(t.Context())
	}()
	nothingIn(t, stopped)
	release()
	receive(t, stopped)
	for _, d := range done {
		receive(t, d)
		if legs := receive(t, s.ended.legs); legs.OK != 1 {
			t.Fatalf("got %+v", legs)
		}
	}
	receive(t, s.deliver(patch("L", "1", `{}`)))
	if legs := receive(t, s.ended.legs); legs.Failed[0].Outcome != OutcomeCancelled {
		t.Errorf("after Stop: %+v", legs)
	}
}

// A worker is the context of its calls: dialling derives others from it.
func TestStopEndsTheContextsOfAWorker(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	w := &worker{fanout: s.fanout}
	first, cancelFirst := context.WithTimeout(w, time.Hour)
	second, cancelSecond := context.WithTimeout(w, time.Hour)
	third, cancelThird := context.WithTimeout(w, time.Hour)
	defer cancelSecond()
	defer cancelThird()
	cancelFirst()
	fourth, cancelFourth := context.WithTimeout(w, time.Hour)
	defer cancelFourth()
	s.fanout.cancel()
	w.cutOff()
	late, cancelLate := context.WithTimeout(w, time.Hour)
	defer cancelLate()
	for i, ctx := range []context.Context{first, second, third, fourth, late} {
		receive(t, ctx.Done())
		if ctx.Err() != context.Canceled {
			t.Errorf("%d: %v", i, ctx.Err())
		}
	}
}

func TestTheLaneOfAPlatformThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	st := s.station("gone", accepts, "DEAAA")
	receive(t, s.deliver(patch("L", "1", `{}`)))
	s.directory.Remove(st.platform.ID, 99)
	for len(s.fanout.lanes) > 0 { // the worker may be on its way home
		runtime.Gosched()
		s.fanout.look()
	}
	receive(t, s.deliver(patch("L", "1", `{}`))) // a late one opens another
	receive(t, s.ended.legs)
	if legs := receive(t, s.ended.legs); legs.Failed[0].Outcome != OutcomeOffline {
		t.Errorf("got %+v", legs)
	}
}

// Whatever happens to the platforms meanwhile, every broadcast ends, once, with
// all its legs accounted for.
func TestEveryBroadcastEndsOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	stations := []*station{
		s.station("a", accepts, "DEAAA", "DEAAB"), s.station("b", accepts, "DEBBB"), s.station("c", nil, "DECCC"),
		s.station("d", func(push) string {
			if rand.IntN(20) == 0 {
				return "" // hangs up
			}
			return accepted
		}, "DEDDD"),
	}
	const senders, each = 8, 250
	var ends atomic.Int32
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for i := range each {
				b := patch([]string{"L0", "L1", "L2"}[rand.IntN(3)], []string{"1", "2"}[rand.IntN(2)], `{"status":"CHARGING"}`)
				var once atomic.Bool
				s.fanout.Deliver(Handed{Broadcast: b, Done: func() {
					if once.Swap(true) {
						t.Error("ended twice")
					}
					ends.Add(1)
				}})
				if i%10 == 0 {
					s.fanout.PushClientInfo(s.legs[rand.IntN(len(s.legs))].Receiver, ocpi.ClientInfo{
						CountryCode: "NL", PartyID: "CPA", Role: []ocpi.Role{ocpi.RoleCPO, ocpi.RoleEMSP}[rand.IntN(2)],
					})
				}
			}
		})
	}
	sending.Go(func() {
		for i := range 50 {
			st := stations[i%2]
			s.goesOffline(st)
			runtime.Gosched()
			s.fanout.look()
			st.platform.Status = ocpi.Connected
			s.put(st)
		}
	})
	sending.Wait()
	s.fanout.Stop(t.Context())
	if ends.Load() != senders*each || s.fanout.Queued() != 0 || len(s.fanout.Lanes()) != 0 {
		t.Errorf("%d ended, %d left in %v", ends.Load(), s.fanout.Queued(), s.fanout.Lanes())
	}
	for range senders * each {
		if l := receive(t, s.ended.legs); l.Total != 5 || l.OK+l.Superseded+len(l.Failed) != 5 {
			t.Fatalf("got %+v", l)
		}
	}
	for _, l := range s.fanout.lanes {
		if len(l.objects) != 0 || len(l.gates) != 0 || l.queued != 0 || l.bytes != 0 || len(l.crew) != 0 {
			t.Errorf("lane %s holds %d objects, %d gates, %d legs of %d bytes", l.id, len(l.objects), len(l.gates), l.queued, l.bytes)
		}
	}
}
