package hub_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// receiver makes a platform answer the hub's own registration: the hub reads
// its versions with token A, posts its credentials, and is given gives.
type receiver struct {
	*hubtest.Platform
	// gives is the token that the hub is given; empty answers with no body.
	gives string
	// offered is the token that the hub posted or put.
	offered string
	// during runs while the hub's call is open.
	during func()
	status int
}

func newReceiver(h *hubtest.Hub, name string, roles ...string) *receiver {
	r := &receiver{Platform: h.NewPlatform(name, roles...), gives: "hub-must-use-this", status: 200}
	r.Intercepts(func(w http.ResponseWriter, req *http.Request) bool {
		if req.URL.Path != "/ocpi/credentials" {
			return false
		}
		raw, _ := io.ReadAll(req.Body)
		var creds struct{ Token string }
		_ = json.Unmarshal(raw, &creds)
		r.offered = creds.Token
		if r.during != nil {
			r.during()
		}
		w.WriteHeader(r.status)
		if r.gives != "" {
			r.Change(func() { r.TokenB = r.gives })
			fmt.Fprintf(w, `{"data":%s,"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`, r.CredentialsBody(nil))
		}
		return true
	})
	return r
}

// newConnected is a receiver that the hub has registered at.
func newConnected(t *testing.T, h *hubtest.Hub, name string, roles ...string) *receiver {
	t.Helper()
	r := newReceiver(h, name, roles...)
	if status, answer := r.connect(h); status != 200 {
		t.Fatalf("connect: HTTP %d %v", status, answer)
	}
	return r
}

// connect asks the operator's API to connect to the platform.
func (r *receiver) connect(h *hubtest.Hub) (int, map[string]any) {
	return h.Admin("POST", "/api/v1/platforms/"+r.ID+"/connect", map[string]string{"versions_url": r.VersionsURL(), "token_a": r.TokenB})
}

// rotate asks the operator's API to renew the tokens; it is answered with want.
func (r *receiver) rotate(t *testing.T, h *hubtest.Hub, want int) {
	t.Helper()
	if status, answer := h.Admin("POST", "/api/v1/platforms/"+r.ID+"/rotate", nil); status != want {
		t.Fatalf("rotate: HTTP %d %v, want %d", status, answer, want)
	}
}

func TestConnect_TheHubIsTheSender(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := newReceiver(h, "cpo", "NL/CPA:CPO")
	// Peers call back while the hub's POST is open, with the token just offered.
	var during *hubtest.Response
	p.during = func() { during = get(h, t, "/ocpi/2.2.1", p.offered) }
	status, answer := p.connect(h)
	if status != 200 || answer["status"] != "CONNECTED" || answer["version"] != "2.2.1" {
		t.Fatalf("connect: HTTP %d %v", status, answer)
	}
	wantHTTP(t, "details during the POST", during, 200, 1000)

	p.TokenC = p.offered
	msp := h.Platform("msp", "DE/MSP:EMSP")
	wantHTTP(t, "to the platform", msp.List("locations", "NL/CPA"), 200, 1000)
	wantHTTP(t, "from the platform", p.List("tokens", "DE/MSP"), 200, 1000)
}

func TestConnect_PeerPostsBackAndAnswersWithNothing(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := newReceiver(h, "cpo", "NL/CPA:CPO")
	p.status, p.gives = 201, ""
	p.during = func() {
		p.Change(func() { p.TokenB = "posted-back" })
		wantHTTP(t, "POST with the offered token", p.Credentials("POST", p.offered, nil), 200, 1000)
	}
	if status, answer := p.connect(h); status != 200 || answer["status"] != "CONNECTED" {
		t.Fatalf("connect: HTTP %d %v", status, answer)
	}
	// It goes on using the token that the hub offered.
	p.TokenC = p.offered
	msp := h.Platform("msp", "DE/MSP:EMSP")
	wantHTTP(t, "from the platform", p.List("tokens", "DE/MSP"), 200, 1000)
	wantHTTP(t, "to the platform", msp.List("locations", "NL/CPA"), 200, 1000)
}

func TestConnect_FailureLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		break_ func(*receiver)
		says   string
	}{
		"an empty answer and no registration": {func(p *receiver) { p.gives = "" }, "no credentials object"},
		"HTTP 500":                            {func(p *receiver) { p.status, p.gives = 500, "" }, "HTTP 500"},
		"roles that are not approved":         {func(p *receiver) { p.Roles = []hubtest.Role{{CountryCode: "NL", PartyID: "XXX", Role: "CPO"}} }, "not approved"},
		"a wrong token A":                     {func(p *receiver) { p.Intercepts(refuse) }, "refused"},
		"no endpoints":                        {func(p *receiver) { p.Modules = nil }, "nothing to route"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t)
			p := newReceiver(h, "cpo", "NL/CPA:CPO")
			test.break_(p)
			status, answer := p.connect(h)
			if message, _ := answer["error"].(string); status != 422 || !strings.Contains(message, test.says) {
				t.Errorf("connect: HTTP %d %v, want 422 saying %q", status, answer, test.says)
			}
			if _, shown := h.Admin("GET", "/api/v1/platforms/"+p.ID, nil); shown["status"] != "PLANNED" || shown["registered"] != false {
				t.Errorf("after the failure: %v", shown)
			}
			if p.offered != "" {
				wantHTTP(t, "the offered token", get(h, t, "/ocpi/versions", p.offered), 401, 2000)
			}
			wantHTTP(t, "the hub's own token A", get(h, t, "/ocpi/versions", p.TokenA), 200, 1000)
		})
	}
}

func refuse(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func TestRotate_BothTokensWorkUntilTheNewOneIsUsed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := newConnected(t, h, "cpo", "NL/CPA:CPO")
	old := p.offered
	p.gives = "second-token-for-the-hub"
	p.rotate(t, h, 200)
	wantHTTP(t, "old token", get(h, t, "/ocpi/versions", old), 200, 1000)
	wantHTTP(t, "new token", get(h, t, "/ocpi/versions", p.offered), 200, 1000)
	wantHTTP(t, "old token, afterwards", get(h, t, "/ocpi/versions", old), 401, 2000)
	msp := h.Platform("msp", "DE/MSP:EMSP")
	wantHTTP(t, "to the platform", msp.List("locations", "NL/CPA"), 200, 1000)
}

func TestRotate_RefusedByThePeerChangesNothing(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := newConnected(t, h, "cpo", "NL/CPA:CPO")
	old := p.offered
	p.status, p.gives = 405, ""
	p.rotate(t, h, 422)
	wantHTTP(t, "the token that was refused", get(h, t, "/ocpi/versions", p.offered), 401, 2000)
	wantHTTP(t, "the old token", get(h, t, "/ocpi/versions", old), 200, 1000)
}

func TestDelete_ThePlatformIsTold(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.Platform("cpo", "NL/CPA:CPO")
	if status, _ := h.Admin("DELETE", "/api/v1/platforms/"+p.ID, nil); status != http.StatusNoContent {
		t.Fatalf("HTTP %d", status)
	}
	if got := p.Received(); len(got) != 1 || got[0].Method != "DELETE" || got[0].URI != "/ocpi/credentials" {
		t.Errorf("received %v, want DELETE credentials", got)
	}
	wantHTTP(t, "its token", get(h, t, "/ocpi/versions", p.TokenC), 401, 2000)
	// The party is free again.
	h.Platform("successor", "NL/CPA:CPO")
}

func TestRotate_RefusedAfterThePeersCallbackChangesNothing(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := newConnected(t, h, "cpo", "NL/CPA:CPO")
	old := p.offered
	p.status, p.gives = 500, ""
	p.during = func() {
		for range 2 {
			wantHTTP(t, "details during the PUT", get(h, t, "/ocpi/2.2.1", p.offered), 200, 1000)
		}
	}
	p.rotate(t, h, 422)
	wantHTTP(t, "the token that was refused", get(h, t, "/ocpi/versions", p.offered), 401, 2000)
	wantHTTP(t, "the old token", get(h, t, "/ocpi/versions", old), 200, 1000)
}

func TestRotate_AnAnswerThatWasLost(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := newConnected(t, h, "cpo", "NL/CPA:CPO")
	old := p.offered
	p.status, p.gives = 200, "" // no credentials: whether it took the token is not known
	p.rotate(t, h, 422)
	wantHTTP(t, "the old token", get(h, t, "/ocpi/versions", old), 200, 1000)
	wantHTTP(t, "the offered token, which it did take", get(h, t, "/ocpi/versions", p.offered), 200, 1000)
	// Its use is recorded in the 500 ms that a message waits for that, or at the next.
	eventually(t, "the old token, now that the other was used", func() *hubtest.Response {
		wantHTTP(t, "the offered token again", get(h, t, "/ocpi/versions", p.offered), 200, 1000)
		return get(h, t, "/ocpi/versions", old)
	}, 401, 2000)
}
