package hub_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// shows waits until the platform is shown a part of the others' ClientInfo. It
// ends with the test's deadline otherwise.
func shows(t *testing.T, h *hubtest.Hub, to *hubtest.Platform, part string) {
	t.Helper()
	for {
		infos := get(h, t, "/ocpi/2.2.1/hubclientinfo", to.TokenC)
		if strings.Contains(infos.Body, part) {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("ClientInfo is still %s", infos.Body)
		}
	}
}

func TestO3_APlatformThatDoesNotAnswerIsOfflineUntilItCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	every := func(interval time.Duration) func(*hub.Config) {
		return func(c *hub.Config) { c.AliveInterval, c.DataDir = interval, dir }
	}
	h := hubtest.Start(t, every(100*time.Millisecond))
	var dead atomic.Bool
	cpo := h.NewPlatform("cpo", "NL/CPA:CPO")
	cpo.Intercepts(func(w http.ResponseWriter, _ *http.Request) bool {
		if dead.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		return dead.Load()
	})
	cpo.Register()
	msp := h.Platform("msp", "DE/MSP:EMSP")
	shows(t, h, msp, `"role":"CPO","status":"CONNECTED"`)
	dead.Store(true)
	shows(t, h, msp, `"role":"CPO","status":"OFFLINE"`)
	h.Stop()

	// Nobody checks within an hour: only its call can make it CONNECTED.
	again := hubtest.Start(t, every(time.Hour))
	shows(t, again, msp, `"role":"CPO","status":"OFFLINE"`)
	wantHTTP(t, "its call", get(again, t, "/ocpi/versions", cpo.TokenC), 200, 1000)
	shows(t, again, msp, `"role":"CPO","status":"CONNECTED"`)
}
