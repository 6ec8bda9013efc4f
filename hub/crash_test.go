package hub_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

func TestMain(m *testing.M) { os.Exit(hubtest.Main(m)) }

// crashHub runs a hub in a process of its own. It does not give up on a receiver that
// hangs until the hub is killed.
func crashHub(t *testing.T, dir string) *hubtest.Process {
	t.Helper()
	return hubtest.StartProcess(t, hub.Settings{DataDir: dir, LogLevel: "warn", ForwardTimeout: "10m"})
}

// pushUntilKilled has eight connections push objects of a CPO to the hub until it
// is killed; wait for them then. accepted hears of each push that was answered 1000,
// from all eight.
func pushUntilKilled(h *hubtest.Process, cpo *hubtest.Platform, module string, next func(worker, n int) (id, body string), accepted func(id string)) *sync.WaitGroup {
	var pushing sync.WaitGroup
	for worker := range 8 {
		pushing.Go(func() {
			for n := 0; ; n++ {
				id, body := next(worker, n)
				resp, err := h.TrySend(hubtest.Request{
					Method: "PUT", Path: "/ocpi/2.2.1/receiver/" + module + "/NL/CPA/" + id, Token: cpo.TokenC, To: "EU/BUS", Body: body,
				})
				if err != nil || resp.OCPI() != 1000 {
					return // the hub was killed
				}
				accepted(id)
			}
		})
	}
	return &pushing
}

// TestP4_WhatWasAcceptedSurvivesKill9 kills the hub's process while eight
// connections push, and finds every push that was answered 1000.
func TestP4_WhatWasAcceptedSurvivesKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := crashHub(t, dir)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	var mu sync.Mutex
	accepted := map[string]bool{}
	enough := make(chan struct{})
	pushing := pushUntilKilled(h, cpo, "locations", func(worker, n int) (id, body string) {
		id = fmt.Sprintf("W%dN%d", worker, n)
		return id, location(id, newYear, "")
	}, func(id string) {
		mu.Lock()
		defer mu.Unlock()
		if accepted["CPA/"+id] = true; len(accepted) == 300 {
			close(enough)
		}
	})
	<-enough
	h.Kill()
	pushing.Wait()

	second := crashHub(t, dir)
	msp.MoveTo(second.Hub)
	kept := getAll(t, msp, "locations")
	for id := range accepted {
		if kept[id] == "" {
			t.Errorf("%s was accepted and is lost", id)
		}
	}
}

// TestP4_AReceiverThatWasBehindLearnsEverythingAfterKill9 kills the hub while
// legs wait for a slow receiver. In the end it has what the catalog has, though
// nobody pushes again and it asks for nothing.
func TestP4_AReceiverThatWasBehindLearnsEverythingAfterKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := crashHub(t, dir)
	cpo, slow := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("slow", "DE/SLO:EMSP")
	var taken atomic.Int32
	killed := make(chan struct{})
	release := sync.OnceFunc(func() { close(killed) })
	t.Cleanup(release)
	slow.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/receiver/tariffs") {
			if taken.Add(1) > 500 {
				<-killed // it must be behind by then
			}
			<-time.After(20 * time.Millisecond) // a receiver far away
		}
		return false
	})
	var accepted atomic.Int32
	enough := make(chan struct{})
	pushing := pushUntilKilled(h, cpo, "tariffs", func(worker, n int) (id, body string) {
		id = fmt.Sprintf("W%dN%d", worker, n%400)
		return id, location(id, newYear, fmt.Sprintf(`,"n":%d`, n))
	}, func(string) {
		if accepted.Add(1) == 2000 {
			close(enough)
		}
	})
	<-enough
	h.Kill()
	release()
	pushing.Wait()
	arrived := lastStates{bodies: map[string]string{}}
	before := maps.Clone(arrived.of(slow))

	second := crashHub(t, dir)
	slow.MoveTo(second.Hub)
	want := getAll(t, slow, "tariffs")
	if len(want) == 0 || maps.Equal(want, before) {
		t.Fatalf("the receiver was not behind: this shows nothing")
	}
	slow.Await("the catalog's state", func() bool { return maps.Equal(want, arrived.of(slow)) })
}

// lastStates are the last bodies of every object that a platform received.
type lastStates struct {
	read   int
	bodies map[string]string
}

func (s *lastStates) of(p *hubtest.Platform) map[string]string {
	received := p.Received()
	for _, r := range received[s.read:] {
		s.bodies["CPA/"+path.Base(r.URI)] = r.Body
	}
	s.read = len(received)
	return s.bodies
}
