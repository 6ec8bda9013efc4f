package hub_test

import (
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"busbar/hub/hubtest"
)

// hangsUntilKilled makes a platform take what the prefix names, without an answer,
// until release; what hung did not arrive. first is closed when it begins.
func hangsUntilKilled(t *testing.T, p *hubtest.Platform, prefix string) (first <-chan struct{}, release func()) {
	began, killed := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) })
	release = sync.OnceFunc(func() { close(killed) })
	t.Cleanup(release)
	p.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/receiver/"+prefix) {
			return false
		}
		select {
		case <-killed:
			return false
		default:
		}
		begin()
		<-killed
		return true
	})
	return began, release
}

// bodies waits until a platform has received as many pushes of a module, and tells
// their bodies.
func bodies(p *hubtest.Platform, module string, n int) []string {
	var got []string
	p.Await(fmt.Sprint(n, " pushes of ", module), func() bool {
		got = nil
		for _, r := range p.Received() {
			if strings.HasPrefix(r.URI, "/receiver/"+module) {
				got = append(got, r.Body)
			}
		}
		return len(got) >= n
	})
	return got
}

// awaitOpen waits until the record has so many commits of the catalog whose
// broadcasts have not ended.
func awaitOpen(t *testing.T, dir string, want int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "busbar.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for open := -1; open != want; <-time.After(20 * time.Millisecond) {
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM outbox_commits").Scan(&open); err != nil && t.Context().Err() != nil {
			t.Fatalf("%d are open, want %d: %v", open, want, err)
		}
	}
}

// TestP4_TokensSurviveKill9 kills the hub while Tokens wait for a CPO that
// hangs. The hub keeps no copy of them, but what it answered 1000 for arrives: of
// one Token in one.
func TestP4_TokensSurviveKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := crashHub(t, dir)
	msp, cpo := h.Platform("msp", "DE/MSP:EMSP"), h.Platform("cpo", "NL/CPA:CPO")
	hung, release := hangsUntilKilled(t, cpo, "tokens")
	const tokens = 30 // more than are in flight at a time
	for i := range tokens {
		broadcast(t, msp, "PUT", fmt.Sprintf("tokens/DE/MSP/T%d", i), fmt.Sprintf(`{"uid":"T%d","valid":true}`, i))
	}
	broadcast(t, msp, "PATCH", "tokens/DE/MSP/T7", `{"valid":false,"last_updated":"2026-01-01T00:00:00Z"}`)
	<-hung
	h.Kill()
	release()
	crashHub(t, dir)
	arrived := map[string]bool{}
	for _, body := range bodies(cpo, "tokens", tokens) {
		arrived[body] = true
	}
	if len(arrived) != tokens || !arrived[`{"uid":"T7","valid":false,"last_updated":"2026-01-01T00:00:00Z"}`] {
		t.Errorf("%d different pushes arrived, want %d, one of them with the PATCH in its PUT: %v", len(arrived), tokens, arrived)
	}
}

// TestP4_APushThatIsRepeatedSurvivesKill9: a repetition of what the record has
// makes the push before it pointless for a receiver that is behind. Killed then,
// the hub still sends it.
func TestP4_APushThatIsRepeatedSurvivesKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := crashHub(t, dir)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	hung, release := hangsUntilKilled(t, msp, "tariffs/NL/CPA/T1")
	first, second := location("T1", newYear, `,"v":1`), location("T1", newYear, `,"v":2`)
	broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T1", first)
	<-hung
	broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T1", second)
	broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T2", location("T2", newYear, ""))
	bodies(msp, "tariffs", 1) // T2 has arrived
	broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T1", second)
	awaitOpen(t, dir, 2) // of T1; that of T2 has ended
	h.Kill()
	release()
	crashHub(t, dir)
	msp.Await("the second state", func() bool {
		for _, r := range msp.Received() {
			if r.Body == second {
				return true
			}
		}
		return false
	})
}

// TestReplicas_WhatOneAcceptedArrivesThoughItStops pushes at one replica after the
// other while each stops in its turn, and another has come before it.
func TestReplicas_WhatOneAcceptedArrivesThoughItStops(t *testing.T) {
	t.Parallel()
	all := shared(t)
	one := hubtest.Start(t, all)
	cpo, msp := one.Platform("cpo", "NL/CPA:CPO"), one.Platform("msp", "DE/MSP:EMSP")
	sent := map[string]bool{}
	push := func(h *hubtest.Hub, n int) {
		for range n {
			id := fmt.Sprint("T", len(sent))
			resp := h.Send(t, hubtest.Request{
				Method: "PUT", Path: "/ocpi/2.2.1/receiver/tariffs/NL/CPA/" + id, Token: cpo.TokenC, To: "EU/BUS",
				Body: location(id, newYear, ""),
			})
			wantHTTP(t, "a push", resp, 200, 1000)
			sent["/receiver/tariffs/NL/CPA/"+id] = true
		}
	}
	push(one, 50)
	for range 3 {
		next := hubtest.Start(t, all)
		push(one, 25)
		push(next, 25)
		one.Stop()
		push(next, 25)
		one = next
	}
	msp.Await("every push", func() bool {
		missing := maps.Clone(sent)
		for _, r := range msp.Received() {
			delete(missing, r.URI)
		}
		return len(missing) == 0
	})
}

// TestReplicas_OneDeliversInOrderWhatBothAccept: whichever replica took a push in,
// a receiver never goes back to an older state.
func TestReplicas_OneDeliversInOrderWhatBothAccept(t *testing.T) {
	t.Parallel()
	all := shared(t)
	both := []*hubtest.Hub{hubtest.Start(t, all), hubtest.Start(t, all)}
	cpo, msp := both[0].Platform("cpo", "NL/CPA:CPO"), both[0].Platform("msp", "DE/MSP:EMSP")
	eventually(t, "the registration", func() *hubtest.Response { return get(both[1], t, "/ocpi/versions", cpo.TokenC) }, 200, 1000)
	const pushes = 60
	var last string
	for n := range pushes { // of one object, each at the other replica than the one before
		last = location("T1", newYear.Add(time.Duration(n)*time.Second), fmt.Sprintf(`,"n":%d`, n))
		resp := both[n%2].Send(t, hubtest.Request{
			Method: "PUT", Path: "/ocpi/2.2.1/receiver/tariffs/NL/CPA/T1", Token: cpo.TokenC, To: "EU/BUS", Body: last,
		})
		wantHTTP(t, "a push", resp, 200, 1000)
	}
	msp.Await("the last state", func() bool {
		received := msp.Received()
		return len(received) > 0 && received[len(received)-1].Body == last
	})
	before := -1
	for _, r := range msp.Received() {
		var n int
		if _, rest, ok := strings.Cut(r.Body, `"n":`); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
		if n < before {
			t.Errorf("state %d came behind %d", n, before)
		}
		before = n
	}
}
