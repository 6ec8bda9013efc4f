package hub_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// sameFolder starts a hub on the files of one that was stopped.
func sameFolder(h *hubtest.Hub) func(*hub.Config) {
	return func(c *hub.Config) { c.DataDir = h.DataDir }
}

// quirk sets what a platform needs beyond the letter.
func quirk(t *testing.T, h *hubtest.Hub, p *hubtest.Platform, quirks map[string]any) {
	t.Helper()
	status, answer := h.Admin("PATCH", "/api/v1/platforms/"+p.ID, map[string]any{"quirks": quirks})
	if status != 200 {
		t.Fatalf("PATCH: HTTP %d %v", status, answer)
	}
}

func TestQuirk_ExtraRoleAndStatusOfTheAnswer(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	quirk(t, h, p, map[string]any{"extra_role": "EMSP", "register_status": 201})
	got := p.Credentials("POST", p.TokenA, nil)
	wantHTTP(t, "POST", got, 201, 1000)
	if strings.Count(got.Body, `"party_id":"BUS"`) != 2 || !strings.Contains(got.Body, `"role":"EMSP"`) {
		t.Errorf("the hub's credentials: %s", got.Body)
	}
}

func TestQuirk_TheSpentTokenGoesOnReadingVersions(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	quirk(t, h, p, map[string]any{"spent_token_reads": true})
	p.Register()
	wantHTTP(t, "versions with the spent A", get(h, t, "/ocpi/versions", p.TokenA), 200, 1000)
	wantHTTP(t, "details with the spent A", get(h, t, "/ocpi/2.2.1", p.TokenA), 200, 1000)
	wantHTTP(t, "credentials with the spent A", get(h, t, "/ocpi/2.2.1/credentials", p.TokenA), 401, 2000)
	wantHTTP(t, "POST with the spent A", p.Credentials("POST", p.TokenA, nil), 401, 2000)
	wantHTTP(t, "a module with the spent A", get(h, t, "/ocpi/2.2.1/sender/tokens", p.TokenA), 401, 2000)
}

func TestQuirk_TheOtherTokenFormIsTriedOnceAfterA401(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	// It reads everything with either form, but commands with the plain one only.
	var asked atomic.Int32
	p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/receiver/hubclientinfo") {
			// They come when they come. Refused, one would teach the other form.
			fmt.Fprint(w, `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`)
			return true
		}
		if !strings.Contains(r.URL.Path, "/commands") {
			return false
		}
		asked.Add(1)
		if r.Header.Get("Authorization") != "Token "+p.TokenB {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		fmt.Fprint(w, `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`)
		return true
	})
	ask := func() *hubtest.Response {
		return msp.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/START_SESSION", To: "NL/CPA", Body: "{}"})
	}
	wantHTTP(t, "first", ask(), 200, 1000)
	wantHTTP(t, "second", ask(), 200, 1000)
	if n := asked.Load(); n != 3 {
		t.Errorf("the platform was asked %d times, want 2 + 1", n)
	}
	h.Stop() // writes back what was learned
	restarted := hubtest.Start(t, sameFolder(h))
	_, shown := restarted.Admin("GET", "/api/v1/platforms/"+p.ID, nil)
	if form := shown["quirks"].(map[string]any)["token_form"]; form != "plain" {
		t.Errorf("token_form %v is what the hub remembers", form)
	}
}

func TestQuirk_LowerCaseCredentials(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	p.Roles = []hubtest.Role{{CountryCode: "nl", PartyID: "cpa", Role: "cpo"}}
	p.Register()
	msp := h.Platform("msp", "DE/MSP:EMSP")
	for _, to := range []string{"NL/CPA", "nl/cpa", "Nl/cPa"} {
		wantHTTP(t, "to "+to, msp.List("locations", to), 200, 1000)
	}
}

func TestClientInfo_ListsTheOthersInPages(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	me := h.Platform("me", "NL/CPA:CPO", "NL/CPB:CPO")
	h.Platform("one", "DE/ONE:EMSP", "DE/ONE:NSP")
	h.NewPlatform("two", "FR/TWO:EMSP")
	type info struct {
		PartyID      string `json:"party_id"`
		CountryCode  string `json:"country_code"`
		Role, Status string
		LastUpdated  string `json:"last_updated"`
	}
	list := func(query string) ([]info, http.Header) {
		resp := get(h, t, "/ocpi/2.2.1/hubclientinfo"+query, me.TokenC)
		wantHTTP(t, "GET hubclientinfo"+query, resp, 200, 1000)
		var answer struct{ Data []info }
		if err := json.Unmarshal([]byte(resp.Body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Data, resp.Header
	}
	all, header := list("")
	var got []string
	for _, i := range all {
		got = append(got, i.CountryCode+i.PartyID+" "+i.Role+" "+i.Status)
	}
	want := "[DEONE EMSP CONNECTED DEONE NSP CONNECTED FRTWO EMSP PLANNED]"
	if fmt.Sprint(got) != want || header.Get("X-Total-Count") != "3" || header.Get("Link") != "" || header.Get("X-Limit") != "100" {
		t.Errorf("got %v %v, want %s", got, header, want)
	}
	if header.Get("OCPI-from-party-id") != "" {
		t.Error("R1: a configuration module has no routing headers")
	}
	page, header := list("?limit=2")
	if len(page) != 2 || header.Get("Link") != `<http://hub.test/ocpi/2.2.1/hubclientinfo?limit=2&offset=2>; rel="next"` {
		t.Errorf("a page of %d, Link %s", len(page), header.Get("Link"))
	}
	if page, header = list("?limit=2&offset=2"); len(page) != 1 || header.Get("Link") != "" {
		t.Errorf("the last page: %v, Link %s", page, header.Get("Link"))
	}
	// Two may have been registered in the same millisecond.
	bound, later := all[2].LastUpdated, 0
	for _, i := range all {
		if i.LastUpdated >= bound {
			later++
		}
	}
	if since, _ := list("?date_from=" + bound); len(since) != later {
		t.Errorf("date_from is inclusive: %v, want %d", since, later)
	}
	if until, _ := list("?date_to=" + bound); len(until) != len(all)-later {
		t.Errorf("date_to is exclusive: %v, want %d", until, len(all)-later)
	}
	for _, query := range []string{"?offset=-1", "?limit=x", "?date_from=yesterday", "?date_to=2026-01-01T00:00:00%2B01:00", "?limit=%zz"} {
		wantHTTP(t, query, get(h, t, "/ocpi/2.2.1/hubclientinfo"+query, me.TokenC), 200, 2001)
	}
}

func TestQuirk_DetailsForPeersThatLookForMoreOrLess(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	if body := get(h, t, "/ocpi/2.2.1", p.TokenA).Body; strings.Count(body, `"identifier":"credentials"`) != 1 {
		t.Errorf("V2: credentials stand once: %s", body)
	}
	quirk(t, h, p, map[string]any{"credentials_twice": true, "hide_modules": []string{"hubclientinfo", "cdrs"}})
	body := get(h, t, "/ocpi/2.2.1", p.TokenA).Body
	if !strings.Contains(body, `{"identifier":"credentials","role":"RECEIVER","url":"http://hub.test/ocpi/2.2.1/credentials"}`) ||
		!strings.Contains(body, `{"identifier":"credentials","role":"SENDER"`) {
		t.Errorf("credentials do not stand twice: %s", body)
	}
	if strings.Contains(body, "hubclientinfo") || strings.Contains(body, "cdrs") || !strings.Contains(body, "locations") {
		t.Errorf("hidden modules: %s", body)
	}
}

func TestQuirk_ASlashIsTheOnlyRedirectThatIsFollowed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	var targets []string
	p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/receiver/hubclientinfo") {
			return false
		}
		targets = append(targets, r.RequestURI)
		if r.URL.Path == "/receiver/cdrs" {
			// Behind a TLS proxy it writes a host that is not its own.
			w.Header().Set("Location", "http://elsewhere.test/receiver/cdrs/")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	for range 2 {
		got := msp.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/cdrs?x=1", To: "NL/CPA", Body: "{}"})
		wantHTTP(t, "POST to a peer that wants a slash", got, 200, 1000)
	}
	if want := "[/receiver/cdrs?x=1 /receiver/cdrs/?x=1 /receiver/cdrs/?x=1]"; fmt.Sprint(targets) != want {
		t.Errorf("asked %v, want %s", targets, want)
	}
}

func TestQuirk_ATokenFormIsAlsoRefusedWithoutA401(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]struct {
		status int
		body   string
	}{
		"HTTP 400":      {400, "Bad Request"},
		"HTTP 403":      {403, ""},
		"an OCPI error": {200, `{"status_code":2001,"status_message":"Invalid token","timestamp":"2026-01-01T00:00:00Z"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t)
			p := h.NewPlatform("cpo", "NL/CPA:CPO")
			p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == "Token "+p.TokenB {
					r.Header.Set("Authorization", "Token "+base64.StdEncoding.EncodeToString([]byte(p.TokenB)))
					return false
				}
				w.WriteHeader(refusal.status)
				fmt.Fprint(w, refusal.body)
				return true
			})
			wantHTTP(t, "POST credentials", p.Credentials("POST", p.TokenA, nil), 200, 1000)
			if _, shown := h.Admin("GET", "/api/v1/platforms/"+p.ID, nil); shown["quirks"].(map[string]any)["token_form"] != "plain" {
				t.Errorf("learned %v", shown["quirks"])
			}
		})
	}
}

func TestC3_ThePeersOwnReasonIsPassedOnWithoutTokens(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(500)
		fmt.Fprintf(w, `{"status_code":3000,"status_message":"no such user: %s or %s"}`, r.Header.Get("Authorization"), p.TokenB)
		return true
	})
	got := p.Credentials("POST", p.TokenA, nil)
	wantHTTP(t, "POST credentials", got, 200, 3001)
	wantMessage(t, got, "HTTP 500, saying \"no such user: Token [redacted] or [redacted]\"")
}

func TestQuirk_Version22ExpectsHTTP201(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	p.Change(func() { p.Version = "2.2" })
	got := p.Credentials("POST", p.TokenA, nil)
	wantHTTP(t, "POST at 2.2", got, 201, 1000)
	p.TokenC = got.Token()
	msp := h.Platform("msp", "DE/MSP:EMSP")
	wantHTTP(t, "2.2.1 to 2.2", msp.List("locations", "NL/CPA"), 200, 1000)
	wantHTTP(t, "2.2 to 2.2.1", p.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2/sender/tokens", To: "DE/MSP"}), 200, 1000)
	// V4: a PUT at another version's URL selects that version.
	p.Change(func() { p.Version = "2.2.1" })
	wantHTTP(t, "PUT at 2.2.1", p.Credentials("PUT", p.TokenC, nil), 200, 1000)
	if _, shown := h.Admin("GET", "/api/v1/platforms/"+p.ID, nil); shown["version"] != "2.2.1" {
		t.Errorf("version %v", shown["version"])
	}
}

func TestQuirk_TrailingSlashOnEndpoints(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	p.SlashEndpoints = true
	p.Register()
	msp := h.Platform("msp", "DE/MSP:EMSP")
	for path, want := range map[string]string{
		"/ocpi/2.2.1/sender/locations":                        "GET /sender/locations/",
		"/ocpi/2.2.1/sender/locations/L1":                     "GET /sender/locations/L1",
		"/ocpi/2.2.1/sender/locations?limit=5":                "GET /sender/locations/?limit=5",
		"/ocpi/2.2.1/receiver/tokens/DE/MSP/T1?type=APP_USER": "GET /receiver/tokens/DE/MSP/T1?type=APP_USER",
	} {
		p.Forget()
		msp.Send(hubtest.Request{Method: "GET", Path: path, To: "NL/CPA"})
		if got := p.Received(); len(got) != 1 || got[0].Method+" "+got[0].URI != want {
			t.Errorf("%s: received %v, want %s", path, got, want)
		}
	}
}
