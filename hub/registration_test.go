package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// get is a GET of a hub URL with a token.
func get(h *hubtest.Hub, t *testing.T, path, token string) *hubtest.Response {
	t.Helper()
	return h.Send(t, hubtest.Request{Method: "GET", Path: path, Token: token})
}

func wantHTTP(t *testing.T, what string, got *hubtest.Response, http, ocpi int) {
	t.Helper()
	if got.Status != http || got.OCPI() != ocpi {
		t.Errorf("%s: got HTTP %d OCPI %d (%s), want HTTP %d OCPI %d", what, got.Status, got.OCPI(), got.Message(), http, ocpi)
	}
}

func wantMessage(t *testing.T, got *hubtest.Response, part string) {
	t.Helper()
	if !strings.Contains(got.Message(), part) {
		t.Errorf("status_message %q does not say %q", got.Message(), part)
	}
}

func TestV1_TokenAOpensConfigurationOnly(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	for _, path := range []string{"/ocpi/versions", "/ocpi/versions/", "/ocpi/2.2.1", "/ocpi/2.2", "/ocpi/2.2.1/credentials"} {
		wantHTTP(t, path+" with A", get(h, t, path, p.TokenA), 200, 1000)
	}
	for _, path := range []string{"/ocpi/2.2.1/sender/locations", "/ocpi/2.2.1/hubclientinfo", "/ocpi/2.2.1/receiver/tokens/NL/CPA/1"} {
		wantHTTP(t, path+" with A", get(h, t, path, p.TokenA), 401, 2000)
	}
	wantHTTP(t, "another method with A", h.Send(t, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/hubclientinfo", Token: p.TokenA, Body: "{}"}), 401, 2000)
	for _, token := range []string{"", "wrong", strings.Repeat("x", 5000)} {
		wantHTTP(t, "versions with a wrong token", get(h, t, "/ocpi/versions", token), 401, 2000)
	}
}

func TestV2_DetailsListBothInterfaces(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	var answer struct {
		Data struct {
			Version   string
			Endpoints []struct{ Identifier, Role, URL string }
		}
	}
	body := get(h, t, "/ocpi/2.2.1", p.TokenA).Body
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range answer.Data.Endpoints {
		got[e.Identifier+" "+e.Role] = e.URL
	}
	want := map[string]string{
		"credentials SENDER":   "http://hub.test/ocpi/2.2.1/credentials",
		"hubclientinfo SENDER": "http://hub.test/ocpi/2.2.1/hubclientinfo",
	}
	for _, m := range []string{"locations", "sessions", "cdrs", "tariffs", "tokens", "commands", "chargingprofiles"} {
		want[m+" SENDER"] = "http://hub.test/ocpi/2.2.1/sender/" + m
		want[m+" RECEIVER"] = "http://hub.test/ocpi/2.2.1/receiver/" + m
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || answer.Data.Version != "2.2.1" {
		t.Errorf("details:\n got %v\nwant %v", got, want)
	}
}

func TestC2_RegistrationUsesAUpAndGivesC(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	resp := p.Credentials("POST", p.TokenA, nil)
	wantHTTP(t, "POST credentials", resp, 200, 1000)
	c := resp.Token()
	if c == "" || c == p.TokenA || len(c) > 64 || !strings.Contains(c, "-") {
		t.Errorf("token C is %q", c)
	}
	for _, part := range []string{`"role":"HUB"`, `"party_id":"BUS"`, `"country_code":"EU"`, `"name":"Test hub"`, `"url":"http://hub.test/ocpi/versions"`} {
		if !strings.Contains(resp.Body, part) {
			t.Errorf("the hub's credentials lack %s: %s", part, resp.Body)
		}
	}
	wantHTTP(t, "versions with the used-up A", get(h, t, "/ocpi/versions", p.TokenA), 401, 2000)
	wantHTTP(t, "versions with C", get(h, t, "/ocpi/versions", c), 200, 1000)
	own := get(h, t, "/ocpi/2.2.1/credentials", c)
	wantHTTP(t, "GET credentials", own, 200, 1000)
	if own.Token() != c {
		t.Errorf("GET credentials does not echo the presented token")
	}
}

func TestC1_PlainAndBase64TokensAreBothUnderstood(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	for _, plain := range []bool{false, true} {
		p := h.NewPlatform(fmt.Sprintf("platform %v", plain), fmt.Sprintf("NL/C%d:CPO", map[bool]int{false: 1, true: 2}[plain]))
		p.Plain = plain
		p.Register()
		other := h.Platform(fmt.Sprintf("other %v", plain), fmt.Sprintf("DE/M%d:EMSP", map[bool]int{false: 1, true: 2}[plain]))
		to := p.Roles[0].CountryCode + "/" + p.Roles[0].PartyID
		// The platform refuses the other form, so 1000 says the hub has learned.
		got := other.List("locations", to)
		wantHTTP(t, "to a platform that reads one form", got, 200, 1000)
		_, shown := h.Admin("GET", "/api/v1/platforms/"+p.ID, nil)
		if want := map[bool]string{false: "base64", true: "plain"}[plain]; shown["quirks"].(map[string]any)["token_form"] != want {
			t.Errorf("quirks %v, want token_form %s", shown["quirks"], want)
		}
	}
}

func TestC3_FailuresOfTheCallback(t *testing.T) {
	t.Parallel()
	envelope := func(data string) string {
		return `{"data":` + data + `,"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`
	}
	for name, test := range map[string]struct {
		versions, details string
		status            int
		ocpi              int
		says              string
	}{
		"versions answers HTTP 500":      {versions: "oops", status: 500, ocpi: 3001, says: "HTTP 500"},
		"versions answers HTML":          {versions: "<html>", status: 200, ocpi: 3001, says: "not an OCPI response"},
		"versions answers an OCPI error": {versions: `{"status_code":3000}`, status: 200, ocpi: 3001, says: "3000"},
		"versions redirects":             {versions: "", status: 302, ocpi: 3001, says: "redirect"},
		"versions refuses the token":     {versions: "", status: 401, ocpi: 3001, says: "refused"},
		"the version is not listed":      {versions: envelope(`[{"version":"2.1.1","url":"http://x.test/2.1.1"}]`), status: 200, ocpi: 3002, says: "2.1.1"},
		"nothing to route":               {details: envelope(`{"version":"2.2.1","endpoints":[{"identifier":"credentials","role":"SENDER","url":"http://x.test/c"}]}`), status: 200, ocpi: 3003, says: "no endpoint"},
		"an endpoint without a URL":      {details: envelope(`{"version":"2.2.1","endpoints":[{"identifier":"locations","role":"SENDER"}]}`), status: 200, ocpi: 3001, says: "endpoints[0].url"},
		"versions without end": {versions: envelope(`[{"version":"1.9","url":"http://x.test"}` + strings.Repeat(`,{"version":"9.9","url":"http://x.test"}`, 100_000) + `]`), status: 200, ocpi: 3002,
			says: "lists 1.9, 9.9, 9.9, 9.9, 9.9, 9.9, 9.9, 9.9, 9.9, 9.9, …, not 2.2.1"},
		"endpoints without end": {details: envelope(`{"version":"2.2.1","endpoints":[{"identifier":"locations","role":"SENDER","url":"http://x.test/l"}` +
			strings.Repeat(`,{"identifier":"locations","role":"SENDER","url":"http://x.test/l"}`, 500) + `]}`), status: 200, ocpi: 3001, says: "at most 500 entries, has 501"},
		"an endpoint with a wrong role": {details: envelope(`{"version":"2.2.1","endpoints":[{"identifier":"locations","role":"BOTH","url":"http://x.test/l"}]}`), status: 200, ocpi: 3003, says: "nothing to route; passed over: endpoints[0].role (locations)"},
		"a needed endpoint with a bad URL beside a good one": {details: envelope(`{"version":"2.2.1","endpoints":[{"identifier":"tariffs","role":"SENDER","url":"http://x.test/t"},{"identifier":"locations","role":"SENDER","url":"ftp://x.test/l"}]}`),
			status: 200, ocpi: 3001, says: "version details: field endpoints[1].url (locations): "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t)
			p := h.NewPlatform("cpo", "NL/CPA:CPO")
			broken := true
			p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
				body := test.versions
				if test.details != "" {
					body = test.details
				}
				if !broken || test.details != "" && r.URL.Path == "/ocpi/versions" {
					return false
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				fmt.Fprint(w, body)
				return true
			})
			got := p.Credentials("POST", p.TokenA, nil)
			wantHTTP(t, "POST credentials", got, 200, test.ocpi)
			wantMessage(t, got, test.says)
			// The platform is as it was, and A is still good for another try.
			if _, shown := h.Admin("GET", "/api/v1/platforms/"+p.ID, nil); shown["status"] != "PLANNED" || shown["registered"] != false {
				t.Errorf("after the failure: %v", shown)
			}
			broken = false
			wantHTTP(t, "second try with A", p.Credentials("POST", p.TokenA, nil), 200, 1000)
		})
	}
}

func TestC4_MethodsFollowTheStateOfTheRegistration(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	wantHTTP(t, "PUT before", p.Credentials("PUT", p.TokenA, nil), 405, 2000)
	wantHTTP(t, "DELETE before", p.Credentials("DELETE", p.TokenA, nil), 405, 2000)
	if allow := p.Credentials("PUT", p.TokenA, nil).Header.Get("Allow"); allow != "GET, POST" {
		t.Errorf("Allow: %s", allow)
	}
	p.Register()
	wantHTTP(t, "POST again", p.Credentials("POST", p.TokenC, nil), 405, 2000)
	wantHTTP(t, "PATCH", h.Send(t, hubtest.Request{Method: "PATCH", Path: "/ocpi/2.2.1/credentials", Token: p.TokenC, Body: "{}"}), 405, 2000)
	wantHTTP(t, "DELETE", p.Credentials("DELETE", p.TokenC, nil), 200, 1000)
	wantHTTP(t, "C after DELETE", get(h, t, "/ocpi/versions", p.TokenC), 401, 2000)
}

func TestC4_OfTwoRegistrationsAtOnceOneWins(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	// Both have called back before either is saved.
	var both sync.WaitGroup
	both.Add(2)
	p.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/ocpi/2.2.1" {
			both.Done()
			both.Wait()
		}
		return false
	})
	results := make(chan *hubtest.Response, 2)
	for range 2 {
		go func() { results <- p.Credentials("POST", p.TokenA, nil) }()
	}
	codes := map[int]int{}
	for range 2 {
		codes[(<-results).Status]++
	}
	if codes[200] != 1 || codes[405] != 1 {
		t.Errorf("got %v, want one 200 and one 405", codes)
	}
}

func TestC5_RenewalOverlapsUntilTheNewTokenIsUsed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.Platform("cpo", "NL/CPA:CPO")
	fetched := 0
	p.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/ocpi/2.2.1" {
			fetched++
		}
		return false
	})
	old := p.TokenC
	p.Change(func() { p.TokenB = "b-renewed" })
	resp := p.Credentials("PUT", old, nil)
	wantHTTP(t, "PUT credentials", resp, 200, 1000)
	fresh := resp.Token()
	if fetched != 1 || fresh == old {
		t.Errorf("endpoints fetched %d times, token renewed: %v", fetched, fresh != old)
	}
	wantHTTP(t, "the old token, before the new one is used", get(h, t, "/ocpi/versions", old), 200, 1000)
	wantHTTP(t, "the new token", get(h, t, "/ocpi/versions", fresh), 200, 1000)
	wantHTTP(t, "the old token, afterwards", get(h, t, "/ocpi/versions", old), 401, 2000)

	// What the hub sends carries the new token B.
	msp := h.Platform("msp", "DE/MSP:EMSP")
	wantHTTP(t, "to the renewed platform", msp.List("locations", "NL/CPA"), 200, 1000)
}

func TestC5_AFailedRenewalChangesNothing(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	was := p.TokenB
	p.Change(func() { p.TokenB = "b-new" })
	p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/ocpi/2.2.1" {
			w.WriteHeader(500)
			return true
		}
		return false
	})
	wantHTTP(t, "PUT", p.Credentials("PUT", p.TokenC, nil), 200, 3001)
	p.Change(func() { p.TokenB = was })
	p.Intercepts(nil)
	wantHTTP(t, "the old token", get(h, t, "/ocpi/versions", p.TokenC), 200, 1000)
	wantHTTP(t, "to the platform", msp.List("locations", "NL/CPA"), 200, 1000)
}

func TestC6_DeleteStopsTraffic(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	_, fresh := h.Admin("POST", "/api/v1/platforms/"+p.ID+"/token", nil)
	p.Credentials("DELETE", p.TokenC, nil)
	wantHTTP(t, "a token A that was issued before", get(h, t, "/ocpi/versions", fresh["token_a"].(string)), 200, 1000)
	wantHTTP(t, "to the platform that left", msp.List("locations", "NL/CPA"), 200, 4003)
	infos := get(h, t, "/ocpi/2.2.1/hubclientinfo", msp.TokenC)
	if !strings.Contains(infos.Body, `"status":"SUSPENDED"`) {
		t.Errorf("ClientInfo: %s", infos.Body)
	}
	// A fresh token A lets it come back.
	_, answer := h.Admin("POST", "/api/v1/platforms/"+p.ID+"/token", nil)
	p.TokenA = answer["token_a"].(string)
	p.Register()
	wantHTTP(t, "to the platform that came back", msp.List("locations", "NL/CPA"), 200, 1000)
}

func TestC8_PartiesAreApprovedAndUnique(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	h.Platform("first", "NL/CPA:CPO")
	role := func(s string) []hubtest.Role { return []hubtest.Role{hubtest.ParseRole(t, s)} }

	p := h.NewPlatform("second", "NL/CPB:CPO")
	got := p.Credentials("POST", p.TokenA, role("NL/CPC:CPO"))
	wantHTTP(t, "a party that is not approved", got, 200, 2001)
	wantMessage(t, got, "NLCPC (CPO) is not approved")
	wantHTTP(t, "an approved party in another role", p.Credentials("POST", p.TokenA, role("NL/CPB:EMSP")), 200, 2001)

	open := h.NewPlatform("open")
	got = open.Credentials("POST", open.TokenA, role("nl/cpa:cpo"))
	wantHTTP(t, "a party of another platform", got, 200, 2001)
	wantMessage(t, got, "already claimed")
	wantHTTP(t, "a party approved for another platform", open.Credentials("POST", open.TokenA, role("NL/CPB:CPO")), 200, 2001)
	wantHTTP(t, "the hub's own party", open.Credentials("POST", open.TokenA, role("EU/BUS:CPO")), 200, 2001)
	wantHTTP(t, "no roles", open.Credentials("POST", open.TokenA, []hubtest.Role{}), 200, 2001)
	wantHTTP(t, "one party in another role", open.Credentials("POST", open.TokenA, role("NL/CPA:EMSP")), 200, 1000)
}

func TestC1_FaultsOfTheCredentialsObjectNameTheField(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	for says, body := range map[string]string{
		"not valid JSON":          `{"token":`,
		"field token":             `{"token":"with space","url":"http://x.test/v","roles":[]}`,
		"at most 64":              `{"token":"` + strings.Repeat("x", 65) + `","url":"http://x.test/v","roles":[]}`,
		"field url":               `{"token":"t","url":"ftp://x","roles":[]}`,
		"field roles":             `{"token":"t","url":"http://x.test/v"}`,
		"field roles[0].role":     `{"token":"t","url":"http://x.test/v","roles":[{"role":"BOSS","party_id":"CPA","country_code":"NL"}]}`,
		"field roles[0]: country": `{"token":"t","url":"http://x.test/v","roles":[{"role":"CPO","party_id":"CPA","country_code":"NLD"}]}`,
		"field roles[0]: party":   `{"token":"t","url":"http://x.test/v","roles":[{"role":"CPO","country_code":"NL"}]}`,
		"twice":                   `{"token":"t","url":"http://x.test/v","roles":[{"role":"CPO","party_id":"CPA","country_code":"NL"},{"role":"cpo","party_id":"cpa","country_code":"nl"}]}`,
	} {
		got := h.Send(t, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/credentials", Token: p.TokenA, Body: body})
		want := 2001
		status := 200
		if says == "not valid JSON" {
			want, status = 2000, 400
		}
		wantHTTP(t, body, got, status, want)
		wantMessage(t, got, says)
	}
}

func TestC2_NoLockIsHeldWhileAPeerIsCalled(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	slow := h.NewPlatform("slow", "NL/CPA:CPO")
	called, release := make(chan struct{}), make(chan struct{})
	slow.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/ocpi/2.2.1" {
			close(called)
			<-release
		}
		return false
	})
	done := make(chan *hubtest.Response)
	go func() { done <- slow.Credentials("POST", slow.TokenA, nil) }()
	<-called
	// While that handshake hangs, others register, change and talk.
	one, two := h.Platform("one", "DE/CPO:CPO"), h.Platform("two", "DE/MSP:EMSP")
	wantHTTP(t, "a message meanwhile", two.List("locations", "DE/CPO"), 200, 1000)
	wantHTTP(t, "a renewal meanwhile", one.Credentials("PUT", one.TokenC, nil), 200, 1000)
	close(release)
	wantHTTP(t, "the slow handshake", <-done, 200, 1000)
}

func TestGuard_PrivatePeersAreRefused(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.AllowPrivatePeers = false })
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	got := p.Credentials("POST", p.TokenA, nil)
	wantHTTP(t, "a versions URL on loopback", got, 200, 3001)
	wantMessage(t, got, "public addresses only")
}
