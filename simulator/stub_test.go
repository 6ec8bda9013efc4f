package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/ocpi"
)

// stubHub is as little of a hub as platforms need: versions, details,
// credentials, and messages handed to whoever TO names.
type stubHub struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client

	mu      sync.Mutex
	invited map[ocpi.TokenHash]bool
	peers   []*stubPeer
	// seen are the headers of every forwarded request.
	seen []http.Header
	// What makes it a whole hub, see stub_broadcast_test.go.
	stubMemory
}

type stubPeer struct {
	in        ocpi.TokenHash // what the peer calls with
	out       ocpi.Credentials
	endpoints []ocpi.Endpoint
	lane      chan func() // what goes to it, in order
	offline   bool
	changed   time.Time // when offline last did
}

var hubParty = key("EUBUS")

func newStubHub(t *testing.T) *stubHub {
	h := &stubHub{t: t, invited: map[ocpi.TokenHash]bool{}, client: &http.Client{Transport: newTransport()}, stubMemory: newStubMemory()}
	h.fewer = sync.NewCond(&h.mu)
	h.server = httptest.NewServer(h)
	t.Cleanup(func() { h.server.Close(); h.endLanes(); h.client.CloseIdleConnections() })
	return h
}

// key reads a party that the test wrote.
func key(s string) ocpi.PartyKey {
	k, err := ocpi.ParseParty(s)
	if err != nil {
		panic(err)
	}
	return k
}

func (h *stubHub) versionsURL() string { return h.server.URL + versionsPath }

// enrol is what an operator does: it hands out a token A.
func (h *stubHub) enrol(context.Context, string, []ocpi.PartyRole) (string, ocpi.CredentialsToken, error) {
	token := ocpi.NewCredentialsToken()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.invited[token.Hash()] = true
	return h.versionsURL(), token, nil
}

func (h *stubHub) respond(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func (h *stubHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	peer, invite := h.caller(r)
	base := h.server.URL
	switch path := r.URL.EscapedPath(); {
	case peer == nil && invite == ocpi.TokenHash{}:
		h.respond(w, 401, ocpi.Envelope(nil, ocpi.ClientError, "who are you?"))
	case path == versionsPath:
		h.respond(w, 200, ocpi.Envelope([]ocpi.VersionInfo{{Version: ocpi.V22, URL: base + "/ocpi/2.2"}, {Version: ocpi.V221, URL: base + detailsPath}}, ocpi.Success, ""))
	case path == detailsPath:
		h.respond(w, 200, ocpi.Envelope(h.details(), ocpi.Success, ""))
	case path == credentialsPath:
		h.credentials(w, r, peer, invite)
	case peer == nil:
		h.respond(w, 401, ocpi.Envelope(nil, ocpi.ClientError, "register first"))
	default:
		h.setOffline(peer, false) // it calls, so it is there (O3)
		h.route(w, r, peer)
	}
}

func (h *stubHub) details() ocpi.VersionDetails {
	d := ocpi.VersionDetails{Version: ocpi.V221, Endpoints: []ocpi.Endpoint{
		{Identifier: ocpi.ModuleCredentials, Role: ocpi.Sender, URL: h.server.URL + credentialsPath},
		{Identifier: ocpi.ModuleHubClientInfo, Role: ocpi.Sender, URL: h.server.URL + clientInfoListPath},
	}}
	for _, module := range ocpi.FunctionalModules {
		for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
			d.Endpoints = append(d.Endpoints, ocpi.Endpoint{Identifier: module, Role: side, URL: h.server.URL + face{module, side}.path()})
		}
	}
	return d
}

func (h *stubHub) caller(r *http.Request) (peer *stubPeer, invite ocpi.TokenHash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	form, ok := ocpi.ReadAuthorization(r.Header.Get("Authorization"), func(hash ocpi.TokenHash) bool {
		for _, p := range h.peers {
			if p.in == hash {
				peer = p
				return true
			}
		}
		if h.invited[hash] {
			invite = hash
		}
		return h.invited[hash]
	})
	if ok && form != ocpi.TokenBase64 {
		h.t.Error("the platform did not encode its credentials token")
	}
	return peer, invite
}

func (h *stubHub) credentials(w http.ResponseWriter, r *http.Request, peer *stubPeer, invite ocpi.TokenHash) {
	for _, name := range []string{ocpi.HeaderFromPartyID, ocpi.HeaderToPartyID} {
		if r.Header.Get(name) != "" {
			h.t.Errorf("credentials with header %s", name)
		}
	}
	if r.Method == http.MethodDelete {
		h.mu.Lock()
		peer.in = ocpi.TokenHash{}
		h.mu.Unlock()
		h.respond(w, 200, ocpi.Envelope(nil, ocpi.Success, ""))
		return
	}
	body, _ := io.ReadAll(r.Body)
	theirs, err := ocpi.ParseCredentials(body)
	if err != nil {
		h.respond(w, 200, ocpi.Envelope(nil, ocpi.InvalidParameters, err.Error()))
		return
	}
	// As a real hub does, it reads the peer's details before it answers.
	endpoints, status := h.discover(theirs)
	if status != http.StatusOK {
		h.respond(w, 200, ocpi.Envelope(nil, ocpi.UnusableAPI, "your versions cannot be read"))
		return
	}
	mine := ocpi.NewCredentialsToken()
	h.mu.Lock()
	delete(h.invited, invite)
	if peer == nil {
		peer = &stubPeer{}
		h.peers = append(h.peers, peer)
	}
	peer.in, peer.out, peer.endpoints, peer.changed = mine.Hash(), theirs, endpoints, time.Now()
	h.mu.Unlock()
	h.tellAll(peer)
	h.respond(w, 200, ocpi.Envelope(json.RawMessage(h.ownCredentials(mine).JSON()), ocpi.Success, ""))
}

func (h *stubHub) ownCredentials(token ocpi.CredentialsToken) ocpi.Credentials {
	return ocpi.Credentials{Token: token, URL: h.versionsURL(), Roles: []ocpi.CredentialsRole{
		{PartyRole: ocpi.PartyRole{Party: hubParty, Role: ocpi.RoleHub}},
	}}
}

// discover reads a peer's endpoints with its token.
func (h *stubHub) discover(c ocpi.Credentials) ([]ocpi.Endpoint, int) {
	var versions []ocpi.VersionInfo
	if got := h.call(http.MethodGet, c.URL, c.Token, nil, nil, &versions); got != http.StatusOK || len(versions) == 0 {
		return nil, got
	}
	var details ocpi.VersionDetails
	got := h.call(http.MethodGet, versions[0].URL, c.Token, nil, nil, &details)
	return details.Endpoints, got
}

// call sends a request of the hub itself and returns the HTTP status.
func (h *stubHub) call(method, url string, token ocpi.CredentialsToken, header http.Header, body []byte, data any) int {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		h.t.Error(err)
		return 0
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("Authorization", token.Authorization(ocpi.TokenBase64))
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	envelope := struct {
		Data any `json:"data"`
	}{data}
	if err := json.Unmarshal(text, &envelope); err != nil {
		h.t.Errorf("%s %s: no envelope: %s", method, url, text)
	}
	return resp.StatusCode
}

// forward hands a request on, and leads Link and Location home.
func (h *stubHub) forward(w http.ResponseWriter, in stubRequest, to ocpi.Address) {
	peer, target := h.receiver(to.Party, in.face)
	if peer == nil {
		h.respond(w, 200, ocpi.Envelope(nil, ocpi.UnknownReceiver, "no party "+to.Party.String()))
		return
	}
	resp, body, err := h.exchange(in, peer, target, in.from, to)
	if err != nil {
		h.respond(w, 200, ocpi.Envelope(nil, ocpi.ConnectionProblem, "no answer"))
		return
	}
	h.remember(in, to.Party, body)
	for name, values := range resp.Header {
		if value := values[0]; name == "Link" || name == "Location" {
			w.Header().Set(name, strings.ReplaceAll(value, target, h.server.URL+in.face.path()))
		} else if name != "Content-Length" {
			w.Header().Set(name, value)
		}
	}
	w.Header().Set(ocpi.HeaderRequestID, in.r.Header.Get(ocpi.HeaderRequestID))
	w.WriteHeader(resp.StatusCode)
	w.Write(body)
}

// exchange sends one leg of a request. A peer that refuses connections is
// offline from then on.
func (h *stubHub) exchange(in stubRequest, peer *stubPeer, target string, from, to ocpi.Address) (*http.Response, []byte, error) {
	req, _ := http.NewRequestWithContext(context.Background(), in.r.Method, target+in.rest+"?"+in.r.URL.RawQuery, bytes.NewReader(in.body))
	req.Header = in.r.Header.Clone()
	for _, name := range []string{ocpi.HeaderFromCountryCode, ocpi.HeaderFromPartyID, ocpi.HeaderToCountryCode, ocpi.HeaderToPartyID} {
		req.Header.Del(name)
	}
	setRouting(req.Header, from, to)
	setHeader(req.Header, "Authorization", peer.out.Token.Authorization(ocpi.TokenBase64))
	req.Header.Set(ocpi.HeaderRequestID, "hub-"+newID())
	seen := req.Header.Clone()
	for _, name := range []string{ocpi.HeaderFromPartyID, ocpi.HeaderToPartyID} {
		if values := req.Header[name]; len(values) > 0 {
			seen.Set(name, values[0])
		}
	}
	h.mu.Lock()
	h.seen = append(h.seen, seen)
	h.mu.Unlock()
	resp, err := h.client.Do(req)
	if err != nil {
		h.setOffline(peer, true)
		return nil, nil, err
	}
	defer resp.Body.Close()
	h.checkAnswer(req, resp, from, to)
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// checkAnswer holds every answer that passes against the specification.
func (h *stubHub) checkAnswer(req *http.Request, resp *http.Response, from, to ocpi.Address) {
	for name, want := range map[string]string{
		ocpi.HeaderFromPartyID:     to.PartyID,
		ocpi.HeaderFromCountryCode: to.CountryCode,
		ocpi.HeaderToPartyID:       from.PartyID,
		ocpi.HeaderToCountryCode:   from.CountryCode,
		ocpi.HeaderRequestID:       req.Header.Get(ocpi.HeaderRequestID),
		ocpi.HeaderCorrelationID:   req.Header.Get(ocpi.HeaderCorrelationID),
		"Content-Type":             "application/json",
	} {
		if got := resp.Header.Get(name); got != want {
			h.t.Errorf("%s %s: answer has %s %q, want %q", req.Method, req.URL.Path, name, got, want)
		}
	}
}

func (h *stubHub) receiver(party ocpi.PartyKey, f face) (*stubPeer, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.peers {
		for _, role := range p.out.Roles {
			if role.Party != party || !role.Role.Implements(f.module, f.side) {
				continue
			}
			for _, e := range p.endpoints {
				if e.Identifier == f.module && e.Role == f.side {
					return p, e.URL
				}
			}
		}
	}
	return nil, ""
}

// start serves and registers a platform for the length of a test.
func (h *stubHub) start(cfg Config) *Platform {
	h.t.Helper()
	p := h.serve(cfg)
	versionsURL, tokenA, _ := h.enrol(h.t.Context(), cfg.Name, nil)
	if err := p.Register(h.t.Context(), versionsURL, tokenA); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// serve is start without the registration.
func (h *stubHub) serve(cfg Config) *Platform {
	h.t.Helper()
	p, err := NewPlatform(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := p.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			h.t.Error(err)
		}
	})
	return p
}

// sampleCPO and sampleEMSP are parties of the sample network.
func sampleCPO(code string) Party {
	of := castParty{code: code, role: ocpi.RoleCPO, name: code + " Charging", website: "https://cpo.example"}
	return Party{
		PartyRole: ocpi.PartyRole{Party: key(code), Role: ocpi.RoleCPO}, Name: of.name,
		Locations: sampleLocations(of, key(code), 1), Tariffs: sampleTariffs(key(code), 1),
	}
}

func sampleEMSP(code string) Party {
	return Party{
		PartyRole: ocpi.PartyRole{Party: key(code), Role: ocpi.RoleEMSP}, Name: code + " Mobility",
		Tokens: sampleTokens(castParty{code: code, name: code + " Mobility"}, key(code), 1),
	}
}

// pair is a CPO and an eMSP at one hub.
func pair(t *testing.T) (*stubHub, *CPO, *EMSP) {
	t.Helper()
	h := newStubHub(t)
	cpo := h.start(Config{Name: "cpo", Parties: []Party{sampleCPO("NLKVL")}, PageLimit: 5})
	emsp := h.start(Config{Name: "emsp", Parties: []Party{sampleEMSP("DEZKM")}, PageLimit: 7})
	return h, cpo.CPO(key("NLKVL")), emsp.EMSP(key("DEZKM"))
}
