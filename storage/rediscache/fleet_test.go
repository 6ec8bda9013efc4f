package rediscache

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"busbar/routing"
)

// watched is a fleet that "self" has watched since 0; times are in seconds.
type watched struct {
	t *testing.T
	*Fleet
}

func watch(t *testing.T) watched {
	var pace Pace
	pace.setDefaults()
	return watched{t, newFleet("self", pace)}
}

func (w watched) at(seconds int, beats map[string]string) {
	w.observe(time.Duration(seconds)*time.Second, beats, false)
}

func (w watched) gone(want ...routing.ReplicaID) {
	w.t.Helper()
	if got := w.Gone([]routing.ReplicaID{"self", "a", "b"}); !slices.Equal(got, want) {
		w.t.Errorf("gone are %q, want %q", got, want)
	}
}

func TestAReplicaIsGoneWhenItStoodStillWhileRedisAnswered(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.gone() // nothing is known
	w.at(100, map[string]string{"self": "1 1", "a": "5 1"})
	w.gone()
	w.at(104, map[string]string{"self": "1 1", "a": "6 1"})
	w.at(107, map[string]string{"self": "1 1", "a": "6 1"})
	w.gone()
	w.at(108, map[string]string{"self": "1 1", "a": "6 1"})
	w.gone("b") // never seen in 8 seconds
	w.at(112, map[string]string{"self": "1 1", "a": "6 1"})
	w.gone("a", "b")
	w.at(113, map[string]string{"self": "1 1", "a": "7 1", "b": "1 1"})
	w.gone() // they were only away
	w.at(114, map[string]string{"self": "1 1", "a": "8 1"})
	w.gone() // b has left, just now
	w.at(121, map[string]string{"self": "1 1", "a": "9 1"})
	w.gone("b")
}

func TestNobodyIsGoneAfterRedisWasAwayOrEmptied(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(w watched){
		"away":    func(w watched) { w.unheard() },
		"emptied": func(w watched) { w.observe(101*time.Second, nil, true) },
	} {
		w := watch(t)
		w.at(80, map[string]string{"a": "5 1"})
		w.at(100, map[string]string{"a": "5 1"})
		w.gone("a", "b")
		lose(w)
		w.gone()
		w.at(102, map[string]string{"a": "5 1"})
		w.at(108, map[string]string{"a": "5 1"})
		w.gone()
		w.at(111, map[string]string{"a": "5 1"})
		if w.gone("a", "b"); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestWhatOneIsEnoughForIsMadeByOne(t *testing.T) {
	t.Parallel()
	w := watch(t)
	if !w.Mine("k") {
		t.Error("without Redis it is not everyone's")
	}
	all := map[string]string{"self": "1 1", "a": "1 1", "b": "1 1", "stopping": "7 -", "newer": "1 2"}
	w.at(0, all)
	if got := w.workers(); !slices.Equal(got, []routing.ReplicaID{"a", "b", "self"}) {
		t.Errorf("workers are %q", got)
	}
	const keys = 3000
	had := make(map[string]routing.ReplicaID)
	count := make(map[routing.ReplicaID]int)
	for i := range keys {
		key := fmt.Sprint(i)
		had[key] = chosen(w.workers(), key)
		count[had[key]]++
		if w.Mine(key) != (had[key] == "self") {
			t.Fatalf("key %s falls to %s", key, had[key])
		}
	}
	for id, n := range count {
		if n < keys/4 {
			t.Errorf("%s has %d of %d", id, n, keys)
		}
	}
	w.at(9, map[string]string{"self": "1 1", "a": "1 1", "b": "2 1"}) // a is dead
	for key, id := range had {
		if now := chosen(w.workers(), key); id != "a" && now != id || now == "a" {
			t.Fatalf("key %s moved from %s to %s", key, id, now)
		}
	}
	w.unheard()
	if !w.Mine("0") || !w.Mine("1") || !w.Mine("2") {
		t.Error("without Redis it is not everyone's")
	}
}

func TestPartitionsAreSpread(t *testing.T) {
	t.Parallel()
	var count [partitions]int
	for i := range 3200 {
		count[partitionOf(fmt.Sprintf("locations/NLCPA/loc%d", i))]++
	}
	for p, n := range count {
		if n < 50 {
			t.Errorf("partition %d has %d of 3200 objects", p, n)
		}
	}
}

func TestATermThatIsOverStaysOver(t *testing.T) {
	t.Parallel()
	h := &heart{began: time.Now()}
	h.term.Store(&term{})
	first := h.term.Load()
	if h.held(first) {
		t.Error("held before the first beat")
	}
	h.extend(h.clock() + time.Hour)
	second := h.term.Load()
	if h.held(first) || !h.held(second) {
		t.Error("the first term came back, or the second did not begin")
	}
	h.extend(h.clock() + 2*time.Hour)
	if h.term.Load() != second {
		t.Error("a term that is not over was replaced")
	}
	second.until.Store(0)
	if h.held(second) {
		t.Error("held after the end")
	}
	second.until.Store(int64(h.clock() + time.Hour)) // a beat that was answered just then
	if h.held(second) {
		t.Error("held again, after somebody was told no")
	}
}
