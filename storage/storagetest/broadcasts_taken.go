package storagetest

import (
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// AwaitTaken waits until a log has a broadcast, as what Append returned tells, or is
// not to be waited for.
func AwaitTaken(t *testing.T, taken <-chan struct{}) {
	t.Helper()
	if taken == nil {
		return
	}
	select {
	case <-taken:
	case <-time.After(patient): // only a failing test waits so long
		t.Error("a broadcast is not taken")
	}
}

// awaitedServer makes the server silent, then refuse connections: the first that
// append wait for a bounded time, the next not at all, and again when it is back.
func awaitedServer(t *testing.T, s SharedLog) {
	log, line := s.Replica(true)
	r := RunLog(t, log, Done)
	n := 0
	add := func() <-chan struct{} {
		n++
		return log.Append(Broadcast("a", n-1), nil)
	}
	waits := func() bool {
		taken := add()
		AwaitTaken(t, taken)
		return taken != nil
	}
	for name, fails := range map[string]func(){"silent": line.Silence, "cut": line.Cut} {
		Eventually(t, "who appends waits", waits)
		fails()
		first := []<-chan struct{}{add(), add(), add()}
		for _, taken := range first {
			AwaitTaken(t, taken)
		}
		if add() != nil {
			t.Errorf("one waits though the server is %s", name)
		}
		line.Mend()
	}
	Eventually(t, "who appends waits", waits)
	wantNeverBack(t, r.Wait(n))
}

// TestAnotherReplicaIsBehind has one of two replicas with a slow line to the server:
// what is appended at the other, once what was appended at this one is taken, comes
// behind it.
func TestAnotherReplicaIsBehind(t *testing.T, slow, fast routing.BroadcastLog, module ocpi.ModuleID) {
	t.Helper()
	nth := func(object string, n int) *routing.Broadcast {
		b := Broadcast(object, n)
		b.Module = module
		return b
	}
	r := RunLog(t, fast, Done)
	list := objects()
	together(len(list), func(i int) {
		taken := slow.Append(nth(list[i], 0), nil)
		if taken == nil {
			t.Error("a slow server is not waited for")
		}
		AwaitTaken(t, taken)
		fast.Append(nth(list[i], 1), nil)
	})
	wantInOrder(t, r.Wait(2*len(list)), len(list), 2)
}
