package hub_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/storage/storagetest"
)

// TestBounds_APostgresThatIsSilent: whoever needs it is told so in its time, and
// nothing of theirs arrives; direct messages go on.
func TestBounds_APostgresThatIsSilent(t *testing.T) {
	t.Parallel()
	stores := behindLines(t)
	h := hubtest.Start(t, stores.config)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	stores.postgres.Silence()
	t.Cleanup(func() { cpo.WantNothing(); msp.WantNothing() })
	for name, test := range map[string]struct {
		by      *hubtest.Platform
		request hubtest.Request
		within  time.Duration
		said    string
	}{
		"a command": {msp, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/START_SESSION", To: "NL/CPA",
			Body: `{"response_url":"` + msp.Server.URL + `/results/1"}`}, 5 * time.Second, "nothing was sent"},
		"a Location": {cpo, hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/locations/NL/CPA/L1",
			Body: location("L1", newYear, "")}, 15 * time.Second, "the hub could not"},
		"a Token": {msp, hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/tokens/DE/MSP/T1",
			Body: `{"uid":"T1","last_updated":"2026-01-01T00:00:00Z"}`}, 15 * time.Second, "the hub could not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := h.Send(t, withToken(test.by, test.request))
			wantHTTP(t, name, got, 200, 4000)
			wantMessage(t, got, test.said)
			if took := time.Since(began); took > test.within+stopSlack {
				t.Errorf("told after %s", took)
			}
		})
	}
}

// withToken is a request of a platform, for another goroutine's test.
func withToken(p *hubtest.Platform, r hubtest.Request) hubtest.Request {
	r.Token = p.TokenC
	return r
}

// TestReplicas_OneThatLosesPostgresHearsOfSuspensions, and of agreements that end
// and of who is new, for as long as Redis is there.
func TestReplicas_OneThatLosesPostgresHearsOfSuspensions(t *testing.T) {
	t.Parallel()
	stores := behindLines(t)
	closed := func(c *hub.Config) { c.ClosedAgreements = true }
	a, b := hubtest.Start(t, stores.past, closed), hubtest.Start(t, stores.config, closed)
	agree := map[string]any{"parties": []string{"NLCPA", "DEMSP"}}
	a.Admin("PUT", "/api/v1/agreements", agree)
	cpo, msp := a.Platform("cpo", "NL/CPA:CPO"), a.Platform("msp", "DE/MSP:EMSP")
	at := func(h *hubtest.Hub, p *hubtest.Platform, to string) func() *hubtest.Response {
		return func() *hubtest.Response {
			return h.Send(t, hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/sessions/NL/CPA/S1", Token: p.TokenC, To: to, Body: `{}`})
		}
	}
	eventually(t, "at b", at(b, cpo, "DE/MSP"), 200, 1000)
	stores.postgres.Silence() // until the end
	a.Admin("DELETE", "/api/v1/agreements?parties=NLCPA,DEMSP", nil)
	eventually(t, "without an agreement", at(b, cpo, "DE/MSP"), 200, 4001)
	a.Admin("PUT", "/api/v1/agreements", agree)
	eventually(t, "with an agreement", at(b, cpo, "DE/MSP"), 200, 1000)
	a.Admin("POST", "/api/v1/platforms/"+msp.ID+"/suspend", nil)
	eventually(t, "by a suspended platform", at(b, msp, "NL/CPA"), 401, 2000)
	fresh := a.Platform("fresh", "FR/NEW:EMSP")
	eventually(t, "by a platform that is new", func() *hubtest.Response {
		return b.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/hubclientinfo", Token: fresh.TokenC})
	}, 200, 1000)
	storagetest.Eventually(t, "nobody takes b out", func() bool {
		status, answer := b.Admin("GET", "/readyz/routing", nil)
		degraded, _ := json.Marshal(answer["degraded"])
		return status == 200 && strings.Contains(string(degraded), "database")
	})
}
