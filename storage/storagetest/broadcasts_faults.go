package storagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"busbar/routing"
)

// SharedLog is a routing.BroadcastLog on a server that several replicas share and
// that can fail.
type SharedLog struct {
	// Replica opens one, with the line that it reaches the server by. A hasty one
	// is taken for dead within seconds; the others while no test runs so long.
	Replica func(hasty bool) (routing.BroadcastLog, *Line)
	// Empty makes the server lose everything; LoseTail what was appended last, of
	// which it keeps the first n.
	Empty    func()
	LoseTail func(n int)
}

// TestSharedBroadcasts runs the part of the suite that is about replicas that die,
// freeze, come and go, and about a server that does.
func TestSharedBroadcasts(t *testing.T, open func(*testing.T) SharedLog) {
	t.Helper()
	tests := map[string]func(*testing.T, SharedLog){
		"a dead replica's work is taken over in order":           deadReplica,
		"one that was away holds nothing, and takes nothing":     fencedReplica,
		"one that joins gets its part":                           joiningReplica,
		"one that stops leaves the rest to the others":           stoppingReplica,
		"what is appended without the server comes in order":     appendedWithout,
		"what an emptied server had is appended again":           emptiedServer,
		"what is under way when the server is cut ends once":     cutWhileUnderWay,
		"a tail that a fail-over lost is appended again":         lostTail,
		"what comes behind a newer revision says so":             lateRevision,
		"one that stops with nobody there finishes what is left": lastReplica,
		"whatever fails, all ends and nothing goes back":         anythingFails,
		"many append while the line is cut":                      concurrentAppends,
		"who appends waits while the server answers":             awaitedServer,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// objects are some that are in different partitions, mostly.
func objects() []string {
	list := make([]string, 20)
	for i := range list {
		list[i] = fmt.Sprint("object", i)
	}
	return list
}

// Revised is the nth broadcast of an object, of a revision.
func Revised(object string, n int, revision int64) *routing.Broadcast {
	b := Broadcast(object, n)
	b.Revision = revision
	return b
}

// wantNeverBack checks that of no object an older one comes after a newer,
// unless it says so.
func wantNeverBack(t *testing.T, handed []routing.Handed) {
	t.Helper()
	newest := make(map[string]int)
	for _, h := range handed {
		var n int
		_, _ = fmt.Sscan(h.CorrelationID, new(string), &n)
		if n < newest[h.Object] && !h.Again {
			t.Errorf("%s came after %d and does not say that it may be old", h.CorrelationID, newest[h.Object])
		}
		newest[h.Object] = max(newest[h.Object], n)
	}
}

// different is how many there are from a revision on, each counted once.
func different(handed []routing.Handed, revision int64) int {
	seen := make(map[string]bool)
	for _, h := range handed {
		if h.Revision >= revision {
			seen[h.CorrelationID] = true
		}
	}
	return len(seen)
}

func deadReplica(t *testing.T, s SharedLog) {
	dying, line := s.Replica(true)
	var ended Count
	r := RunLog(t, dying, nil)
	for n := range 3 {
		dying.Append(Revised("a", n, int64(n+1)), ended.Add)
	}
	handed := r.Wait(3)
	handed[0].Done()
	Eventually(t, "the first has ended", ended.Is(1))
	line.Cut()
	Eventually(t, "it holds nothing", func() bool { return !handed[1].Held() })

	heir, _ := s.Replica(true)
	r2 := RunLog(t, heir, Done)
	handed = r2.Wait(2)
	WantNames(t, handed, "a 1 again", "a 2 again")
	for _, h := range handed {
		if h.Newest < 3 {
			t.Errorf("%s comes again with newest revision %d", h.CorrelationID, h.Newest)
		}
	}
	heir.Append(Revised("a", 3, 4), nil)
	WantNames(t, r2.Wait(3)[2:], "a 3")
}

func fencedReplica(t *testing.T, s SharedLog) {
	frozen, line := s.Replica(true)
	r := RunLog(t, frozen, nil)
	for i, object := range objects() {
		frozen.Append(Revised(object, 0, int64(i+1)), nil)
	}
	old := r.Wait(len(objects()))
	line.Cut()
	heir, _ := s.Replica(true)
	r2 := RunLog(t, heir, Done)
	r2.Wait(len(objects()))
	for _, h := range old {
		if h.Held() {
			t.Fatalf("%s is held by two", h.CorrelationID)
		}
	}
	line.Mend()
	for i, object := range objects() {
		heir.Append(Revised(object, 1, int64(100+i)), nil)
	}
	// Both are there now, and the one that was away ends nothing that it takes:
	// what was done meanwhile is not among it.
	Eventually(t, "all of the second round is handed over", func() bool {
		return different(append(r.Handed()[len(old):], r2.Handed()...), 100) == len(objects())
	})
	for _, h := range r.Handed()[len(old):] {
		if h.Revision < 100 {
			t.Errorf("%s was done by the other one", h.CorrelationID)
		}
	}
	for _, h := range old {
		if h.Held() {
			t.Errorf("%s is held again", h.CorrelationID)
		}
	}
}

func joiningReplica(t *testing.T, s SharedLog) {
	var logs []routing.BroadcastLog
	all := &Running{t: t, more: make(chan struct{}), each: Done}
	var ended Count
	var runs []*Running
	for range 3 {
		log, _ := s.Replica(false)
		logs = append(logs, log)
		runs = append(runs, RunLog(t, log, all.take))
	}
	n := 0
	Eventually(t, "each gets something", func() bool {
		for _, object := range objects() {
			logs[n%3].Append(Broadcast(object, n), ended.Add)
		}
		n++
		Eventually(t, "the round has ended", ended.Is(n*len(objects())))
		return !slices.ContainsFunc(runs, func(r *Running) bool { return len(r.Handed()) == 0 })
	})
	// Nobody died, so each came once and in its order.
	wantInOrder(t, all.Handed(), len(objects()), n)
}

func stoppingReplica(t *testing.T, s SharedLog) {
	stopping, _ := s.Replica(false)
	staying, _ := s.Replica(false)
	all := &Running{t: t, more: make(chan struct{}), each: Done}
	first, second := RunLog(t, stopping, all.take), RunLog(t, staying, all.take)
	var ended Count
	const each = 50
	for n := range each {
		for _, object := range objects() {
			stopping.Append(Broadcast(object, n), ended.Add)
		}
		if n == each/2 {
			first.End()
		}
	}
	first.Stop()
	// It learns of what the other one ends.
	Eventually(t, "all have ended", ended.Is(each*len(objects())))
	second.Stop()
	wantInOrder(t, all.Handed(), len(objects()), each)
}

func appendedWithout(t *testing.T, s SharedLog) {
	log, line := s.Replica(false)
	r := RunLog(t, log, Done)
	var ended Count
	log.Append(Broadcast("a", 0), ended.Add)
	r.Wait(1)
	line.Cut()
	const more = 500
	for n := range more {
		log.Append(Broadcast("a", n+1), ended.Add)
	}
	line.Mend()
	Eventually(t, "all have ended", ended.Is(more+1))
	wantNeverBack(t, r.Handed())
}

func emptiedServer(t *testing.T, s SharedLog) {
	a, _ := s.Replica(true)
	b, _ := s.Replica(true)
	var ended Count
	hands := func(h routing.Handed) {
		if h.Again || h.Revision == 1000 {
			h.Done()
		}
	}
	all := &Running{t: t, more: make(chan struct{}), each: hands}
	RunLog(t, a, all.take)
	RunLog(t, b, all.take)
	for i, object := range objects() {
		a.Append(Revised(object, 0, int64(2*i+1)), ended.Add)
		b.Append(Revised(object+"b", 0, int64(2*i+2)), ended.Add)
	}
	n := 2 * len(objects())
	all.Until("each once", func(handed []routing.Handed) bool { return different(handed, 0) == n })
	s.Empty()
	Eventually(t, "all have ended", ended.Is(n))
	a.Append(Revised("object0", 1, 1000), ended.Add)
	Eventually(t, "all have ended", ended.Is(n+1))
	wantNeverBack(t, all.Handed())
}

func cutWhileUnderWay(t *testing.T, s SharedLog) {
	log, line := s.Replica(false)
	r := RunLog(t, log, nil)
	var ended Count
	for _, object := range objects() {
		log.Append(Broadcast(object, 0), ended.Add)
	}
	handed := r.Wait(len(objects()))
	line.Cut()
	for _, h := range handed {
		if !h.Held() {
			t.Errorf("%s is not held, though nobody can have taken over yet", h.CorrelationID)
		}
		h.Done()
	}
	line.Mend()
	Eventually(t, "all have ended", ended.Is(len(objects())))
	r.Stop()
	wantInOrder(t, r.Handed(), len(objects()), 1)
}

func lostTail(t *testing.T, s SharedLog) {
	log, _ := s.Replica(false)
	var ended Count
	// One after the other, so that each has a call of its own.
	var tail Count
	r := RunLog(t, log, func(h routing.Handed) {
		tail.Add()
		if h.Again {
			h.Done()
		}
	})
	for n := range 5 {
		log.Append(Revised("a", n, int64(n+1)), ended.Add)
		Eventually(t, "it is handed over", tail.Is(n+1))
	}
	s.LoseTail(2)
	handed := r.Wait(8)
	WantNames(t, handed[5:], "a 2 again", "a 3 again", "a 4 again")
	Eventually(t, "they have ended", ended.Is(3))
	for _, h := range handed[:5] {
		h.Done() // of the last three once more
	}
	Eventually(t, "all have ended", ended.Is(5))
}

func lateRevision(t *testing.T, s SharedLog) {
	a, _ := s.Replica(false)
	b, _ := s.Replica(false)
	r := RunLog(t, a, Done)
	a.Append(Revised("o", 0, 10), nil)
	r.Wait(1)
	b.Append(Revised("o", 1, 9), nil)
	r.Wait(2)
	b.Append(Revised("o", 2, 11), nil)
	handed := r.Wait(3)
	WantNames(t, handed, "o 0", "o 1 late", "o 2")
	if handed[1].Newest != 10 {
		t.Errorf("Newest is %d, want 10", handed[1].Newest)
	}
}

func lastReplica(t *testing.T, s SharedLog) {
	log, _ := s.Replica(false)
	var ended Count
	for n := range 300 {
		log.Append(Broadcast(fmt.Sprint("object", n), 0), ended.Add)
	}
	var slow Count
	r := RunLog(t, log, func(h routing.Handed) {
		slow.Add()
		time.AfterFunc(time.Millisecond, h.Done)
	})
	r.Stop()
	if slow.Get() != 300 {
		t.Errorf("%d were handed over", slow.Get())
	}
	Eventually(t, "all have ended", ended.Is(300))
}
