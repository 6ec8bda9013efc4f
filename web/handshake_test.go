package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func (p platform) path(action string) string {
	return strings.TrimSuffix("/api/v1/platforms/"+p.ID+"/"+action, "/")
}

// connected is a platform at whose peer the hub has registered itself.
func connected(s *site) (platform, *platformPeer) {
	s.t.Helper()
	peer, p := newPeer(s), s.create("cpo", "NLCPA CPO")
	return s.call("POST", p.path("connect"), peer.connect(peerTokenA)).want(http.StatusOK).platform(), peer
}

func TestConnect_TheHubRegistersItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, peer := connected(s)
	if p.Status != "CONNECTED" || !p.Registered || p.Version != "2.2.1" || p.PeerVersionsURL != peer.versionsURL() ||
		!slices.Equal(p.Parties, []string{"NLCPA"}) || len(p.Endpoints) != 2 || p.Quirks["token_form"] != "base64" {
		t.Errorf("platform %+v", p)
	}
	if p.TokenAPending {
		t.Error("a token A of the hub is still pending after the hub's own registration")
	}
	want := []string{"GET /versions", "GET /2.2.1", "POST /2.2.1/credentials"}
	if got := peer.heard(); !slices.Equal(got, want) {
		t.Errorf("the peer heard %v, want %v", got, want)
	}
	if tokens := peer.hubTokens(); len(tokens) != 1 || !s.opens(tokens[0]) {
		t.Error("the token that the hub gave does not open it")
	}
	shown := s.call("GET", p.path(""), "").want(http.StatusOK).platform()
	if shown.Status != "CONNECTED" || !shown.Registered {
		t.Errorf("shown %+v", shown)
	}
}

func TestConnect_Failures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(*platformPeer)
		token   string
		ocpi    int
		says    []string
	}{
		"a wrong token": {token: "not-the-token", ocpi: 3001, says: []string{"/versions", "401"}},
		"no mutual version": {
			prepare: func(p *platformPeer) { p.list("2.0", "2.1.1") },
			ocpi:    3002, says: []string{"2.0, 2.1.1"},
		},
		"no version at all": {prepare: func(p *platformPeer) { p.list() }, ocpi: 3002, says: []string{"nothing"}},
		"HTML": {
			prepare: func(p *platformPeer) {
				p.page("/versions", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html")
					fmt.Fprint(w, "<!doctype html><p>Welcome to nginx")
				})
			},
			ocpi: 3001, says: []string{"/versions", "not an OCPI response"},
		},
		"a redirect": {
			prepare: func(p *platformPeer) {
				p.page("/versions", func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, "/login", http.StatusFound)
				})
			},
			ocpi: 3001, says: []string{"302", "redirects are not followed"},
		},
		"no functional module": {
			prepare: func(p *platformPeer) {
				p.page("/2.2.1", func(w http.ResponseWriter, _ *http.Request) {
					reply(w, map[string]any{"version": "2.2.1", "endpoints": []map[string]string{
						{"identifier": "credentials", "role": "SENDER", "url": p.url + "/2.2.1/credentials"}}})
				})
			},
			ocpi: 3003, says: []string{"functional"},
		},
		"credentials of a party that is not approved": {
			prepare: func(p *platformPeer) {
				p.page("/2.2.1/credentials", func(w http.ResponseWriter, _ *http.Request) {
					reply(w, map[string]any{"token": "c", "url": p.versionsURL(), "roles": []map[string]any{{
						"role": "CPO", "country_code": "DE", "party_id": "XYZ", "business_details": map[string]string{"name": "X"}}}})
				})
			},
			ocpi: 2001, says: []string{"DEXYZ", "not approved"},
		},
		"credentials refused": {
			prepare: func(p *platformPeer) {
				p.page("/2.2.1/credentials", func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprint(w, `{"status_code":3001,"timestamp":"2026-01-05T09:30:00Z"}`)
				})
			},
			ocpi: 3001, says: []string{"POST", "/2.2.1/credentials", "3001"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			peer, p := newPeer(s), s.create("cpo", "NLCPA CPO")
			if c.prepare != nil {
				c.prepare(peer)
			}
			token := c.token
			if token == "" {
				token = peerTokenA
			}
			s.call("POST", p.path("connect"), peer.connect(token)).
				want(http.StatusUnprocessableEntity).wantOCPI(c.ocpi).wantError(c.says...)
			after := s.call("GET", p.path(""), "").want(http.StatusOK).platform()
			if after.Registered || after.Status != "PLANNED" || !after.TokenAPending {
				t.Errorf("a failure left a trace: %+v", after)
			}
			if !s.opens(p.TokenA) {
				t.Error("the platform's own token A is no longer good")
			}
		})
	}
}

func TestConnect_NobodyListens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.create("cpo", "NLCPA CPO")
	// Port 0 is nobody's.
	s.call("POST", p.path("connect"), `{"versions_url":"http://127.0.0.1:0/versions","token_a":"secret-of-nobody"}`).
		want(http.StatusUnprocessableEntity).wantOCPI(3001).wantError("127.0.0.1:0")
}

func TestConnect_FaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.create("cpo", "NLCPA CPO")
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"nothing":                 {`{}`, 422, []string{"versions_url", "token_a"}},
		"no token":                {`{"versions_url":"http://x/v"}`, 422, []string{"token_a"}},
		"a token with a space":    {`{"versions_url":"http://x/v","token_a":"se cret"}`, 422, []string{"token_a"}},
		"a token of 65":           {`{"versions_url":"http://x/v","token_a":"` + strings.Repeat("s", 65) + `"}`, 422, []string{"token_a"}},
		"another scheme":          {`{"versions_url":"ftp://x/v","token_a":"secret"}`, 422, []string{"versions_url"}},
		"a relative URL":          {`{"versions_url":"/v","token_a":"secret"}`, 422, []string{"versions_url"}},
		"a password in the URL":   {`{"versions_url":"http://u:hush@x/v","token_a":"secret"}`, 422, []string{"versions_url"}},
		"a URL of 256 characters": {`{"versions_url":"http://x/` + strings.Repeat("v", 247) + `","token_a":"secret"}`, 422, []string{"versions_url"}},
		"a number for a token":    {`{"versions_url":"http://x/v","token_a":123456}`, 400, []string{"token_a"}},
		"an unknown field":        {`{"versions_url":"http://x/v","token":"secret"}`, 400, []string{"token"}},
		"no body":                 {``, 400, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.in(t).call("POST", p.path("connect"), c.body).want(c.status).wantFields(c.fields...)
			for _, secret := range []string{"secret", "se cret", "ssss", "hush", "123456"} {
				if strings.Contains(string(got.body), secret) {
					t.Errorf("the error holds %s: %s", secret, got.body)
				}
			}
		})
	}
}

func TestConnect_PinnedVersionIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	peer, p := newPeer(s), s.create("cpo", "NLCPA CPO")
	s.call("PATCH", p.path(""), `{"version":"2.2"}`).want(http.StatusOK)
	s.call("POST", p.path("connect"), peer.connect(peerTokenA)).want(http.StatusUnprocessableEntity).wantOCPI(3002)
}

func TestConnect_C8_APartyOfAnotherPlatform(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	peer := newPeer(s)
	s.create("first", "NLCPA CPO")
	second := s.call("POST", "/api/v1/platforms", `{"name":"second"}`).want(http.StatusCreated).platform()
	s.call("POST", second.path("connect"), peer.connect(peerTokenA)).
		want(http.StatusUnprocessableEntity).wantOCPI(2001).wantError("NLCPA (CPO)", "claimed")
}

func TestRotate_C5_BothTokensAreGoodUntilTheNewOneIsUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, peer := connected(s)
	got := s.call("POST", p.path("rotate"), "").want(http.StatusOK).platform()
	if got.Status != "CONNECTED" || !got.Registered {
		t.Errorf("platform %+v", got)
	}
	if heard := peer.heard(); heard[len(heard)-1] != "PUT /2.2.1/credentials" {
		t.Errorf("the peer heard %v", heard)
	}
	tokens := peer.hubTokens()
	if len(tokens) != 2 || tokens[0] == tokens[1] || !s.opens(tokens[0]) || !s.opens(tokens[1]) {
		t.Errorf("%d tokens, not both good", len(tokens))
	}
	// The peer now takes only the token of the first rotation's answer.
	s.call("POST", p.path("rotate"), "").want(http.StatusOK)
}

func TestRotate_AFailureLeavesTheOldTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, peer := connected(s)
	peer.page("/2.2.1/credentials", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s.call("POST", p.path("rotate"), "").want(http.StatusUnprocessableEntity).wantOCPI(3001).wantError("418")
	if !s.opens(peer.hubTokens()[0]) {
		t.Error("the old token is no longer good")
	}
}

func TestWhatTheStateDoesNotAllow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	peer, p := newPeer(s), s.create("cpo", "NLCPA CPO")
	s.call("POST", p.path("rotate"), "").want(http.StatusConflict).wantError("not registered")
	s.call("POST", p.path("suspend"), "").want(http.StatusOK)
	s.call("POST", p.path("connect"), peer.connect(peerTokenA)).want(http.StatusConflict).wantError("suspended")
	if heard := peer.heard(); len(heard) > 0 {
		t.Errorf("a suspended platform was called: %v", heard)
	}
}

func TestSuspend_ARegisteredPlatformComesBackConnected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, peer := connected(s)
	token := peer.hubTokens()[0]
	s.call("POST", p.path("suspend"), "").want(http.StatusOK)
	if s.opens(token) {
		t.Error("a suspended platform's token is good")
	}
	s.call("POST", p.path("rotate"), "").want(http.StatusConflict)
	if got := s.call("POST", p.path("resume"), "").want(http.StatusOK).platform(); got.Status != "CONNECTED" || !s.opens(token) {
		t.Errorf("resumed: %+v", got)
	}
}

func TestDelete_ARegisteredPlatformIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, peer := connected(s)
	s.call("DELETE", p.path(""), "").want(http.StatusNoContent)
	if heard := peer.heard(); heard[len(heard)-1] != "DELETE /2.2.1/credentials" {
		t.Errorf("the peer heard %v", heard)
	}
	if s.opens(peer.hubTokens()[0]) {
		t.Error("a deleted platform's token is good")
	}
}

func TestToken_TheRegistrationStaysValid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, peer := connected(s)
	fresh := s.call("POST", p.path("token"), "").want(http.StatusOK).platform()
	if fresh.Status != "CONNECTED" || !fresh.Registered || !fresh.TokenAPending {
		t.Errorf("platform %+v", fresh)
	}
	if !s.opens(fresh.TokenA) || !s.opens(peer.hubTokens()[0]) {
		t.Error("not both tokens are good")
	}
}
