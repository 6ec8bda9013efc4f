package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/routing"
)

// Broadcast is the nth broadcast of an object.
func Broadcast(object string, n int) *routing.Broadcast {
	return &routing.Broadcast{
		Object: object, CorrelationID: fmt.Sprintf("%s %d", object, n), Module: ocpi.ModuleLocations, Body: []byte(`{}`),
	}
}

// OpenLog opens an empty log. Each call of replica gives another replica's
// handle on it; of a log within a process it is always the same. patience is how
// long a Run that is to end waits for what does not end.
type OpenLog func(t *testing.T, patience time.Duration) (replica func() routing.BroadcastLog)

// patient is longer than any test waits, on a machine that others use too.
const patient = 2 * time.Minute

// TestBroadcasts runs the conformance suite of a routing.BroadcastLog.
func TestBroadcasts(t *testing.T, open OpenLog) {
	t.Helper()
	tests := map[string]func(t *testing.T, replica func() routing.BroadcastLog){
		"what is appended before a Run is delivered":       broadcastsBefore,
		"those of one object come in their order":          broadcastsInOrder,
		"at the end what was appended before is handed on": broadcastsAtTheEnd,
		"Run waits until all are done":                     broadcastsDone,
		"what comes after a Run waits for the next":        broadcastsAfter,
		"what is delivered may append":                     broadcastsAppend,
		"every field survives":                             broadcastFields,
		"ended is called once, when all is done":           broadcastsEnded,
		"two that run at once share the work":              broadcastsShared,
		"what is appended once one is taken comes behind":  broadcastsTaken,
		"what ends elsewhere has ended here":               broadcastsEndElsewhere,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, patient))
		})
	}
	t.Run("what is not done when a Run ends comes again", func(t *testing.T) {
		t.Parallel()
		broadcastsAgain(t, open(t, 100*time.Millisecond))
	})
}

func appendTo(log routing.BroadcastLog, object string, n int) { log.Append(Broadcast(object, n), nil) }

func broadcastsBefore(t *testing.T, replica func() routing.BroadcastLog) {
	log := replica()
	appendTo(log, "a", 0)
	appendTo(log, "b", 0)
	r := RunLog(t, log, Done)
	r.Wait(2)
	r.Stop()
	if handed := r.Handed(); len(handed) != 2 {
		t.Errorf("was handed %q", names(handed))
	}
}

// wantInOrder checks that each of the first n of every object came once and in
// its order.
func wantInOrder(t *testing.T, handed []routing.Handed, objects, each int) {
	t.Helper()
	next := make(map[string]int)
	for _, h := range handed {
		var n int
		if _, err := fmt.Sscan(h.CorrelationID, new(string), &n); err != nil || n != next[h.Object] || h.Again {
			t.Fatalf("%q came when %d was due", names([]routing.Handed{h}), next[h.Object])
		}
		next[h.Object]++
	}
	if len(handed) != objects*each {
		t.Errorf("%d were handed over, want %d", len(handed), objects*each)
	}
}

func broadcastsInOrder(t *testing.T, replica func() routing.BroadcastLog) {
	const each = 200
	log := replica()
	r := RunLog(t, log, Done)
	together(writers, func(i int) {
		for n := range each {
			appendTo(log, fmt.Sprint("object", i), n)
		}
	})
	r.Wait(writers * each)
	r.Stop()
	wantInOrder(t, r.Handed(), writers, each)
}

func broadcastsAtTheEnd(t *testing.T, replica func() routing.BroadcastLog) {
	const all = 10
	log := replica()
	for n := range all {
		appendTo(log, "a", n)
	}
	r := &Running{t: t, each: Done, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log.Run(ctx, r.take)
	wantInOrder(t, r.Handed(), 1, all)
}

func broadcastsDone(t *testing.T, replica func() routing.BroadcastLog) {
	log := replica()
	appendTo(log, "a", 0)
	appendTo(log, "a", 1)
	r := RunLog(t, log, nil)
	handed := r.Wait(2)
	r.End()
	handed[0].Done()
	select {
	case <-r.ended:
		t.Error("Run returned while a broadcast was under way")
	default:
	}
	handed[1].Done()
	r.Stop()
}

func broadcastsAfter(t *testing.T, replica func() routing.BroadcastLog) {
	log := replica()
	for n := range 3 {
		appendTo(log, "a", n)
		r := RunLog(t, log, Done)
		r.Wait(1)
		r.Stop()
		WantNames(t, r.Handed(), fmt.Sprint("a ", n))
	}
}

func broadcastsAppend(t *testing.T, replica func() routing.BroadcastLog) {
	log := replica()
	r := RunLog(t, log, func(h routing.Handed) {
		if h.Object == "a" {
			appendTo(log, "b", 0)
		}
		h.Done()
	})
	appendTo(log, "a", 0)
	r.Wait(2)
	r.Stop()
}

func broadcastsEnded(t *testing.T, replica func() routing.BroadcastLog) {
	log := replica()
	var first, second Count
	log.Append(Broadcast("a", 0), first.Add)
	log.Append(Broadcast("b", 0), second.Add)
	r := RunLog(t, log, nil)
	for _, h := range r.Wait(2) {
		if h.Held != nil && !h.Held() {
			t.Errorf("%s is not held", h.CorrelationID)
		}
		if first.Get()+second.Get() > 0 && h.Object == "a" {
			t.Error("ended before it was done")
		}
		if h.Object == "a" {
			h.Done()
		}
	}
	Eventually(t, "ended is called", first.Is(1))
	if second.Get() != 0 {
		t.Error("ended is called of what is not done")
	}
	for _, h := range r.Handed() {
		if h.Object == "b" {
			h.Done()
		}
	}
	r.Stop()
	Eventually(t, "ended is called", second.Is(1))
	if first.Get() != 1 {
		t.Errorf("ended was called %d times", first.Get())
	}
}

func broadcastsShared(t *testing.T, replica func() routing.BroadcastLog) {
	const each = 100
	a, b := replica(), replica()
	var ended Count
	// One list for both, so that the order is known.
	r := RunLog(t, a, Done)
	other := RunLog(t, b, r.take)
	together(writers, func(i int) {
		log := []routing.BroadcastLog{a, b}[i%2]
		for n := range each {
			log.Append(Broadcast(fmt.Sprint("object", i), n), ended.Add)
		}
	})
	r.Wait(writers * each)
	Eventually(t, "all have ended", ended.Is(writers*each))
	other.Stop()
	r.Stop()
	wantInOrder(t, r.Handed(), writers, each)
}

// broadcastsTaken appends one after the other, each at the other replica than the
// one before.
func broadcastsTaken(t *testing.T, replica func() routing.BroadcastLog) {
	const each = 20
	a, b := replica(), replica()
	r := RunLog(t, a, Done)
	RunLog(t, b, r.take)
	together(writers, func(i int) {
		for n := range each {
			AwaitTaken(t, []routing.BroadcastLog{a, b}[n%2].Append(Broadcast(fmt.Sprint("object", i), n), nil))
		}
	})
	wantInOrder(t, r.Wait(writers*each), writers, each)
}

func broadcastsEndElsewhere(t *testing.T, replica func() routing.BroadcastLog) {
	a, b := replica(), replica()
	var ended Count
	for n := range 200 {
		a.Append(Broadcast(fmt.Sprint("object", n%50), n), ended.Add)
	}
	r := RunLog(t, b, func(h routing.Handed) {
		if h.CorrelationID != "object0 0" { // which holds up the first of its partition
			h.Done()
		}
	})
	handed := r.Wait(200)
	Eventually(t, "all have ended but one", ended.Is(199))
	for _, h := range handed {
		if h.CorrelationID == "object0 0" {
			h.Done()
		}
	}
	Eventually(t, "all have ended", ended.Is(200))
}

// broadcastsAgain leaves some undone, by one replica after the other.
func broadcastsAgain(t *testing.T, replica func() routing.BroadcastLog) {
	log := replica()
	var ended Count
	for n := range 4 {
		b := Broadcast("a", n)
		b.Revision = int64(n + 1)
		log.Append(b, ended.Add)
	}
	r := RunLog(t, log, func(h routing.Handed) {
		if h.Revision == 2 {
			h.Done()
		}
	})
	handed := r.Wait(4)
	r.Stop()
	WantNames(t, handed, "a 0", "a 1", "a 2", "a 3")
	for _, h := range handed {
		if h.Held == nil || h.Held() {
			t.Errorf("%s is held after Run", h.CorrelationID)
		}
	}
	handed[2].Done() // it has ended all the same
	Eventually(t, "what was done late has ended", ended.Is(2))

	log = replica()
	appendTo(log, "a", 4)
	r = RunLog(t, log, Done)
	handed = r.Wait(3)
	WantNames(t, handed, "a 0 again", "a 3 again", "a 4")
	for _, h := range handed[:2] {
		if h.Newest < 4 {
			t.Errorf("%s comes again with newest revision %d", h.CorrelationID, h.Newest)
		}
	}
	Eventually(t, "all have ended", ended.Is(4))
}

func broadcastFields(t *testing.T, replica func() routing.BroadcastLog) {
	full := FullBroadcast("locations/NLCPA/loc1", 7)
	token := FullBroadcast("tokens/NLCPA/uid", 0)
	token.Module, token.Parcel, token.Body = ocpi.ModuleTokens, 3, nil
	full.Overtaken, full.Repeated = true, true
	bare := &routing.Broadcast{Object: "x", Accepted: at(0), Module: ocpi.ModuleTariffs, Present: true}
	log := replica()
	for _, b := range []*routing.Broadcast{full, token, bare} {
		log.Append(b, nil)
	}
	r := RunLog(t, log, Done)
	for _, h := range r.Wait(3) {
		want := map[string]*routing.Broadcast{full.Object: full, token.Object: token, bare.Object: bare}[h.Object]
		if diff := cmp.Diff(want, h.Broadcast); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", h.Object, diff)
		}
	}
}

// FullBroadcast has all fields but those that stand for others; some are not
// UTF-8.
func FullBroadcast(object string, revision int64) *routing.Broadcast {
	return &routing.Broadcast{
		Object: object, Owner: claim("NLCPA CPO").Party, From: claim("DECPB CPO").Party, Platform: "sender",
		Accepted: at(5), CorrelationID: "c-1", Method: "PATCH", Version: ocpi.V22, Module: ocpi.ModuleLocations,
		Path: "/NL/CPA/loc1/%E2\xff<&>", Query: "type=a&b=\"\x80", Body: []byte("{\"a\":\"<&>\x00\xfe\"}"), Revision: revision,
	}
}
