package hub_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// commanded sends START_SESSION with a response_url and returns the URL that
// the CPO was given.
func commanded(t *testing.T, msp, cpo *hubtest.Platform, responseURL string) string {
	t.Helper()
	before, after := `{"location_id": "L1",  "response_url" : `, `, "token":{"uid":"1.0"}, "x":null}`
	encoded, err := json.Marshal(responseURL)
	if err != nil {
		t.Fatal(err)
	}
	wantHTTP(t, "START_SESSION", msp.Send(hubtest.Request{
		Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/START_SESSION", To: "NL/CPA", Body: before + string(encoded) + after,
	}), 200, 1000)
	got := cpo.Received()[len(cpo.Received())-1].Body
	if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
		t.Fatalf("the rest of the command was changed: %s", got)
	}
	var given string
	if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(got, before), after)), &given); err != nil {
		t.Fatal(err)
	}
	if responseURL != given && len(given) > 255 {
		t.Errorf("the hub's URL has %d characters", len(given))
	}
	return given
}

// post posts a result as a receiver does that sends nothing but its token.
func post(t *testing.T, h *hubtest.Hub, given, token, body string) *hubtest.Response {
	t.Helper()
	path, ok := strings.CutPrefix(given, "http://hub.test")
	if !ok {
		t.Fatalf("%s is not a URL of the hub", given)
	}
	return h.Send(t, hubtest.Request{Method: "POST", Path: path, Token: token, Body: body})
}

func TestU1_TheResultComesBackThroughTheHub(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP", "DE/TWO:EMSP")
	stranger := h.Platform("stranger", "FR/XXX:CPO")
	msp2 := func(r hubtest.Request) *hubtest.Response { r.From = "DE/TWO"; return msp.Send(r) }
	long := msp.Server.URL + "/sender/commands/START_SESSION/1?" + strings.Repeat("x", 200)

	wantHTTP(t, "from the platform's second party", msp2(hubtest.Request{
		Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/START_SESSION", To: "NL/CPA", Body: `{"response_url":"` + long + `"}`,
	}), 200, 1000)
	var command struct {
		ResponseURL string `json:"response_url"`
	}
	if err := json.Unmarshal([]byte(cpo.Received()[0].Body), &command); err != nil {
		t.Fatal(err)
	}
	given := command.ResponseURL
	wantHTTP(t, "a stranger with the URL", post(t, h, given, stranger.TokenC, `{}`), 404, 2001)
	wantHTTP(t, "the requester with the URL", post(t, h, given, msp.TokenC, `{}`), 404, 2001)
	if got := msp.Received(); len(got) > 0 {
		t.Fatalf("the requester was sent %v", got)
	}
	const result = `{"result":"ACCEPTED",  "message":[]}`
	for range 2 { // a CPO cancels a reservation through the same URL
		got := post(t, h, given, cpo.TokenC, result)
		wantHTTP(t, "the result", got, 200, 1000)
		if got.Header.Get("OCPI-from-party-id") != "TWO" || got.Header.Get("OCPI-to-party-id") != "CPA" {
			t.Errorf("routing headers of the answer: %v", got.Header)
		}
	}
	received := msp.Received()
	if len(received) != 2 {
		t.Fatalf("the requester received %d results, want 2", len(received))
	}
	r := received[1]
	if r.Method != "POST" || "http://"+r.Header.Get("Host")+r.URI != "http://"+strings.TrimPrefix(long, msp.Server.URL) || r.Body != result {
		t.Errorf("received %s %s %s", r.Method, r.URI, r.Body)
	}
	for name, want := range map[string]string{
		"OCPI-from-country-code": "NL", "OCPI-from-party-id": "CPA", "OCPI-to-country-code": "DE", "OCPI-to-party-id": "TWO",
	} {
		if r.Header.Get(name) != want {
			t.Errorf("header %s is %q, want %s", name, r.Header.Get(name), want)
		}
	}
}

func TestU1_CallbackURLsSurviveARestart(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	given := commanded(t, msp, cpo, msp.Server.URL+"/sender/commands/START_SESSION/1")
	h.Stop()
	again := hubtest.Start(t, sameFolder(h))
	wantHTTP(t, "the result", post(t, again, given, cpo.TokenC, `{}`), 200, 1000)
	if len(msp.Received()) != 1 {
		t.Errorf("the requester received %v", msp.Received())
	}
	wantHTTP(t, "a version that the hub does not speak", post(t, again, strings.Replace(given, "2.2.1", "9.9", 1), cpo.TokenC, `{}`), 404, 2000)
	wantHTTP(t, "an unknown URL", post(t, again, given+"x", cpo.TokenC, `{}`), 404, 2001)
	wantHTTP(t, "broken JSON", post(t, again, given, cpo.TokenC, `{`), 400, 2000)
	again.Admin("POST", "/api/v1/platforms/"+msp.ID+"/suspend", nil)
	wantHTTP(t, "to a suspended requester", post(t, again, given, cpo.TokenC, `{}`), 200, 4003)
}

func TestU4_TheTokenGoesToRegisteredHostsOnly(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	seen := make(chan http.Header, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		_, _ = io.WriteString(w, `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`)
	}))
	t.Cleanup(elsewhere.Close)
	given := commanded(t, msp, cpo, elsewhere.URL+"/results")
	wantHTTP(t, "the result", post(t, h, given, cpo.TokenC, `{}`), 200, 1000)
	if header := <-seen; header.Get("Authorization") != "" || header.Get("OCPI-to-party-id") != "MSP" {
		t.Errorf("another host was sent %v", header)
	}
}

// Where platforms may live on private addresses, their messages still lead the hub
// to no other private host than their own.
func TestU1_AResponseURLLeadsToNoOtherPrivateHost(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a host inside was called")
	}))
	t.Cleanup(inside.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		given := commanded(t, msp, cpo, "http://"+host+":"+port+"/results")
		wantHTTP(t, host, post(t, h, given, cpo.TokenC, `{}`), 200, 4003)
	}
}

func TestU2_ResponseURLInAQuery(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	wanted := msp.Server.URL + "/sender/chargingprofiles/r?a=b"
	for _, query := range []string{
		"duration=900&response_url=" + url.QueryEscape(wanted),
		"response_url=" + url.QueryEscape(wanted) + "&duration=900",
		"duration=900&response_url=" + wanted, // as in the specification's samples
		"response_url=" + wanted + "&duration=900",
	} {
		wantHTTP(t, query, msp.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/receiver/chargingprofiles/S1?" + query, To: "NL/CPA"}), 200, 1000)
		received := cpo.Received()[len(cpo.Received())-1]
		u, err := url.Parse(received.URI)
		if err != nil {
			t.Fatal(err)
		}
		given := u.Query().Get("response_url")
		if u.Query().Get("duration") != "900" || !strings.HasPrefix(given, "http://hub.test/ocpi/2.2.1/callback/") || strings.Contains(received.URI, "://") {
			t.Errorf("%s: the receiver got %s", query, received.URI)
			continue
		}
		wantHTTP(t, "the profile", post(t, h, given, cpo.TokenC, `{"result":"ACCEPTED"}`), 200, 1000)
		if got := msp.Received(); got[len(got)-1].URI != "/sender/chargingprofiles/r?a=b" {
			t.Errorf("%s: the requester got %s", query, got[len(got)-1].URI)
		}
	}
}

func TestU1_AResponseURLThatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const evil = `"https://evil.test/"`
	for _, body := range []string{
		`{"response_url":` + evil + `,"response_url":` + evil + `}`,
		`{"Response_URL":` + evil + `}`,
		`{"response\u005furl":` + evil + `}`,
		`{"response_url":17}`,
		`{"response_url":"ftp://evil.test/"}`,
		`{"response_url":"https://user:password@evil.test/"}`,
	} {
		wantHTTP(t, body, msp.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/START_SESSION", To: "NL/CPA", Body: body}), 200, 2001)
	}
	for _, query := range []string{"response_url=https://evil.test/&duration=1&response_url=https://evil.test/", "Response_Url=https%3A%2F%2Fevil.test", "response%5Furl=https%3A%2F%2Fevil.test"} {
		wantHTTP(t, query, msp.Send(hubtest.Request{Method: "DELETE", Path: "/ocpi/2.2.1/receiver/chargingprofiles/S1?" + query, To: "NL/CPA"}), 200, 2001)
	}
	cpo.WantNothing()
	// The receiver's own token opens these; it would be used for somebody else.
	for _, elsewhere := range []string{
		"/ocpi/2.2.1/credentials", "/ocpi/2.2.1/receiver/commands/START_SESSION?busbar_to=DECPO", "/ocpi/sender/tokens/1/authorize",
		"/ocpi/2.2.1/sender/commands/../../credentials", "/ocpi/2.2.1/sender/commands/%2e%2e/x", "/ocpi/9/sender/commands/1",
		"/ocpi/2.2.1/sender/commandsx/1",
	} {
		body := `{"response_url":"http://hub.test` + elsewhere + `"}`
		wantHTTP(t, body, msp.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/commands/START_SESSION", To: "NL/CPA", Body: body}), 200, 2001)
	}
	cpo.WantNothing()
	// One on the hub itself is the requester's own way (R11), and untouched.
	own := "http://hub.test/ocpi/2.2.1/sender/commands/START_SESSION/1"
	if given := commanded(t, msp, cpo, own); given != own {
		t.Errorf("%s became %s", own, given)
	}
}
