package hub_test

import (
	"database/sql"
	"fmt"
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
// hangs. The hub keeps no copy of them, but what it answered 1000 for arrives, in
// its order.
func TestP4_TokensSurviveKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, process := startCrashHub(t, dir)
	msp, cpo := h.Platform("msp", "DE/MSP:EMSP"), h.Platform("cpo", "NL/CPA:CPO")
	hung, release := hangsUntilKilled(t, cpo, "tokens")
	const tokens = 30 // more than are in flight at a time
	for i := range tokens {
		broadcast(t, msp, "PUT", fmt.Sprintf("tokens/DE/MSP/T%d", i), fmt.Sprintf(`{"uid":"T%d","valid":true}`, i))
	}
	broadcast(t, msp, "PATCH", "tokens/DE/MSP/T7", `{"valid":false,"last_updated":"2026-01-01T00:00:00Z"}`)
	<-hung
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	release()
	startCrashHub(t, dir)
	arrived := map[string]bool{}
	for _, body := range bodies(cpo, "tokens", tokens+1) {
		if strings.Contains(body, "false") && !arrived[`{"uid":"T7","valid":true}`] {
			t.Error("the PATCH came before the PUT")
		}
		arrived[body] = true
	}
	if len(arrived) != tokens+1 {
		t.Errorf("%d different pushes arrived, want %d", len(arrived), tokens+1)
	}
}

// TestP4_APushThatIsRepeatedSurvivesKill9: a repetition of what the record has
// makes the push before it pointless for a receiver that is behind. Killed then,
// the hub still sends it.
func TestP4_APushThatIsRepeatedSurvivesKill9(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, process := startCrashHub(t, dir)
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
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	release()
	startCrashHub(t, dir)
	msp.Await("the second state", func() bool {
		for _, r := range msp.Received() {
			if r.Body == second {
				return true
			}
		}
		return false
	})
}
