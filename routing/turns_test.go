package routing

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"busbar/parties"
)

// takes waits for a turn of the platform, in the background if it must.
func takes(t *turns, ctx context.Context, id parties.PlatformID, got chan<- func()) {
	go func() {
		done, ok := t.wait(ctx, id, time.Now().Add(10*time.Second))
		if !ok {
			done = nil
		}
		got <- done
	}()
	synctest.Wait()
}

func TestTurns_NoPlatformTakesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all, ctx := newTurns(3, 2), t.Context()
		greedy, modest := make(chan func(), 9), make(chan func(), 9)
		for range 3 {
			takes(all, ctx, "greedy", greedy)
		}
		takes(all, ctx, "modest", modest)
		if len(greedy) != 2 || len(modest) != 1 {
			t.Fatalf("the greedy one has %d, the modest one %d", len(greedy), len(modest))
		}
		takes(all, ctx, "third", modest)
		if len(modest) != 1 {
			t.Fatal("a fourth goes on where there is room for three")
		}
		(<-modest)()
		synctest.Wait()
		if len(greedy) != 2 || len(modest) != 1 {
			t.Fatalf("with one place free, the greedy one has %d and the third %d", len(greedy), len(modest))
		}
		(<-greedy)()
		synctest.Wait()
		if len(greedy) != 2 {
			t.Fatal("who waits gets no place that became free")
		}
		for _, done := range []func(){<-greedy, <-greedy, <-modest} {
			done()
		}
		if len(all.lines) != 0 || len(all.free) != 0 {
			t.Error("something is held still")
		}
	})
}

func TestTurns_NobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(1, 1)
		first, late := make(chan func(), 1), make(chan func(), 2)
		takes(all, t.Context(), "a", first)
		ctx, leave := context.WithCancel(t.Context())
		takes(all, ctx, "b", late)
		leave()
		synctest.Wait()
		takes(all, t.Context(), "a", late)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(late) != 2 || <-late != nil || <-late != nil {
			t.Fatal("one who left or waited too long has a turn, or waits still")
		}
		(<-first)()
		if len(all.lines) != 0 || len(all.free) != 0 {
			t.Error("something is held still")
		}
	})
}

func TestTurns_WhoLeavesGivesItsPlaceInTheLineUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(1, 1)
		first, second, third := make(chan func(), 1), make(chan func(), 1), make(chan func(), 1)
		takes(all, t.Context(), "a", first)
		ctx, leave := context.WithCancel(t.Context())
		takes(all, ctx, "b", second)
		takes(all, t.Context(), "b", third)
		leave()
		synctest.Wait()
		(<-first)()
		synctest.Wait()
		if len(second) != 1 || len(third) != 1 {
			t.Fatal("the next of the platform does not go on")
		}
		if done := <-third; <-second != nil || done == nil {
			t.Error("the wrong one has a turn")
		} else {
			done()
		}
	})
}

func TestAsk_OneThatFindsNoTurnIsTold(t *testing.T) {
	t.Parallel()
	n := newInquiryNet(t, 50*time.Millisecond, map[string]http.HandlerFunc{"NLAAA": approves()})
	for range mostAsksOfOne {
		done, _ := n.asks.wait(t.Context(), "chargers", time.Now().Add(time.Second))
		defer done()
	}
	reply, _ := n.authorize(t, t.Context())
	n.mu.Lock()
	defer n.mu.Unlock()
	if reply.Status != 4000 || len(n.calls) != 0 {
		t.Errorf("got %d after %d calls", reply.Status, len(n.calls))
	}
	if m := n.journal.messages[0]; m.Outcome != OutcomeRefused {
		t.Errorf("the journal says %+v", m)
	}
}

func TestGather_CallsOfAllGathersAreBounded(t *testing.T) {
	t.Parallel()
	var listers []*lister
	for i := range 5 {
		listers = append(listers, &lister{party: fmt.Sprintf("AA%03d", i), objects: 1})
	}
	h := newGatherHub(t, listers...)
	h.router.listCalls = make(chan struct{}, 1)
	if pages, total := h.walk("cdrs", "limit=10"); total != "5" || len(pages) != 5 {
		t.Errorf("with room for one call, %s objects in all and %d pages", total, len(pages))
	}
	if len(h.router.listCalls) != 0 || len(h.router.gathers.lines) != 0 {
		t.Error("something is held still")
	}
}
