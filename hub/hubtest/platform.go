package hubtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Platform is a platform at the wire.
type Platform struct {
	t   testing.TB
	hub *Hub
	// ID is the hub's id of it, TokenA the token it was given.
	ID, TokenA string
	Roles      []Role
	Server     *httptest.Server
	// TokenB is what the hub must present here; TokenC what the hub gave.
	TokenB, TokenC string
	// Plain makes the platform read and write tokens without Base64.
	Plain bool
	// Version is what it registers with; empty is 2.2.1.
	Version string
	// Modules lists the endpoints it advertises, like "locations:RECEIVER".
	Modules []string
	// SlashEndpoints advertises endpoint URLs with a trailing slash.
	SlashEndpoints bool

	intercept atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]

	mu       sync.Mutex
	received []Received
	told     []Received
	answer   Answer
	// arrived is closed, and replaced, when a request arrives.
	arrived chan struct{}
}

// Received is a request of a functional module as it reached a platform.
type Received struct {
	Method string
	// URI is the request target in the bytes that were sent.
	URI    string
	Header http.Header
	Body   string
}

// Answer is what a platform answers to functional modules.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// ok is what a platform answers that was told nothing else.
var ok = Answer{Status: 200, Body: `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`}

// allModules are the endpoints of a platform that says nothing else.
var allModules = []string{
	"locations:SENDER", "locations:RECEIVER", "sessions:SENDER", "sessions:RECEIVER", "cdrs:SENDER", "cdrs:RECEIVER",
	"tariffs:SENDER", "tariffs:RECEIVER", "tokens:SENDER", "tokens:RECEIVER", "commands:SENDER", "commands:RECEIVER",
	"chargingprofiles:SENDER", "chargingprofiles:RECEIVER", "hubclientinfo:RECEIVER",
}

// NewPlatform enrols a platform and starts its server; Register does the rest.
func (h *Hub) NewPlatform(name string, roles ...string) *Platform {
	h.t.Helper()
	p := &Platform{t: h.t, hub: h, TokenB: "b-" + strings.ReplaceAll(name, " ", "-") + "-secret", Modules: allModules}
	for _, r := range roles {
		p.Roles = append(p.Roles, ParseRole(h.t, r))
	}
	p.arrived = make(chan struct{})
	p.answer = ok
	p.ID, p.TokenA = h.Enrol(name, p.Roles...)
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	h.t.Cleanup(p.Server.Close)
	return p
}

// Platform enrols, starts and registers a platform.
func (h *Hub) Platform(name string, roles ...string) *Platform {
	h.t.Helper()
	p := h.NewPlatform(name, roles...)
	p.Register()
	return p
}

// Register posts credentials with token A and keeps token C.
func (p *Platform) Register() {
	p.t.Helper()
	resp := p.Credentials("POST", p.TokenA, nil)
	if resp.OCPI() != 1000 {
		p.t.Fatalf("register: HTTP %d %s", resp.Status, resp.Body)
	}
	p.TokenC = resp.Token()
}

// Credentials sends a credentials request with the given hub token; nil roles
// are the platform's own.
func (p *Platform) Credentials(method, token string, roles []Role) *Response {
	p.t.Helper()
	body := ""
	if method == "POST" || method == "PUT" {
		body = p.CredentialsBody(roles)
	}
	return p.hub.Send(p.t, Request{Method: method, Path: "/ocpi/" + p.version() + "/credentials", Token: token, Plain: p.Plain, Body: body})
}

// CredentialsBody is the platform's credentials object.
func (p *Platform) CredentialsBody(roles []Role) string {
	if roles == nil {
		roles = p.Roles
	}
	full := make([]Role, len(roles))
	for i, r := range roles {
		full[i] = r
		full[i].BusinessDetails = map[string]string{"name": "Company " + r.PartyID}
	}
	raw, err := json.Marshal(map[string]any{"token": p.TokenB, "url": p.VersionsURL(), "roles": full})
	if err != nil {
		p.t.Fatal(err)
	}
	return string(raw)
}

// MoveTo lets the platform call another process of the same hub.
func (p *Platform) MoveTo(h *Hub) { p.hub = h }

// VersionsURL is the platform's versions endpoint.
func (p *Platform) VersionsURL() string { return p.Server.URL + "/ocpi/versions" }

func (p *Platform) version() string {
	if p.Version == "" {
		return "2.2.1"
	}
	return p.Version
}

// Change alters TokenB or Version of a platform that the hub may be calling.
func (p *Platform) Change(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// Intercepts sets what may answer a request itself by returning true. It is
// called for every request, those of the handshake included, by several
// goroutines. Nil ends it.
func (p *Platform) Intercepts(f func(w http.ResponseWriter, r *http.Request) bool) {
	if f == nil {
		p.intercept.Store(nil)
		return
	}
	p.intercept.Store(&f)
}

// Answers sets what functional modules are answered from now on.
func (p *Platform) Answers(a Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = a
}

// Received returns the requests of functional modules so far.
func (p *Platform) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Received(nil), p.received...)
}

// Told returns the ClientInfos that were pushed so far.
func (p *Platform) Told() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Received(nil), p.told...)
}

// Forget empties Received and Told.
func (p *Platform) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received, p.told = nil, nil
}

// awaitTime is when a test gives up on what should happen by itself, also on a
// machine that others use.
const awaitTime = time.Minute

// Await waits until enough tells that the platform has received what it should.
// It asks again after every request.
func (p *Platform) Await(what string, enough func() bool) {
	p.t.Helper()
	deadline := time.After(awaitTime)
	for {
		p.mu.Lock()
		arrived := p.arrived
		p.mu.Unlock()
		if enough() {
			return
		}
		select {
		case <-arrived:
		case <-deadline:
			p.t.Fatalf("waited in vain for %s; received %s; told %s", what, lastOf(p.Received()), lastOf(p.Told()))
		}
	}
}

// lastOf shows how many requests there were, and the newest: all of them would
// bury what the test has to say.
func lastOf(all []Received) string {
	const most = 5
	text := fmt.Sprintf("%d requests", len(all))
	for _, r := range all[max(0, len(all)-most):] {
		text += fmt.Sprintf("\n  %s %s %.200s", r.Method, r.URI, r.Body)
	}
	return text
}

// AwaitReceived waits for n requests of functional modules and returns all.
func (p *Platform) AwaitReceived(n int) []Received {
	p.t.Helper()
	p.Await(fmt.Sprintf("%d requests", n), func() bool { return len(p.Received()) >= n })
	return p.Received()
}

// WantNothing holds that no functional module was sent anything.
func (p *Platform) WantNothing() {
	p.t.Helper()
	if got := p.Received(); len(got) > 0 {
		p.t.Errorf("a platform that should have received nothing received %s", lastOf(got))
	}
}

func (p *Platform) serve(w http.ResponseWriter, r *http.Request) {
	if intercept := p.intercept.Load(); intercept != nil && (*intercept)(w, r) {
		return
	}
	p.mu.Lock()
	token, version := p.TokenB, p.version()
	p.mu.Unlock()
	if r.Header.Get("Authorization") != p.authorization(token) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"status_code":2000,"timestamp":"2026-01-01T00:00:00Z"}`)
		return
	}
	switch r.URL.Path {
	case "/ocpi/versions":
		p.data(w, []map[string]string{{"version": version, "url": p.Server.URL + "/ocpi/" + version}})
	case "/ocpi/" + version:
		p.data(w, map[string]any{"version": version, "endpoints": p.endpoints()})
	default:
		p.functional(w, r)
	}
}

func (p *Platform) functional(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the hub gave up on the call
	}
	p.mu.Lock()
	got := Received{Method: r.Method, URI: r.RequestURI, Header: r.Header, Body: string(body)}
	answer := p.answer
	if strings.HasPrefix(r.URL.Path, "/receiver/hubclientinfo") {
		p.told = append(p.told, got)
		answer = ok
	} else {
		p.received = append(p.received, got)
	}
	close(p.arrived)
	p.arrived = make(chan struct{})
	p.mu.Unlock()
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.Status)
	_, _ = io.WriteString(w, answer.Body)
}

func (p *Platform) endpoints() []map[string]string {
	endpoints := []map[string]string{{"identifier": "credentials", "role": "SENDER", "url": p.Server.URL + "/ocpi/credentials"}}
	for _, m := range p.Modules {
		id, role, _ := strings.Cut(m, ":")
		url := p.Server.URL + "/" + strings.ToLower(role) + "/" + id
		if p.SlashEndpoints {
			url += "/"
		}
		endpoints = append(endpoints, map[string]string{"identifier": id, "role": role, "url": url})
	}
	return endpoints
}

func (p *Platform) data(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"})
}

func (p *Platform) authorization(token string) string { return authorization(token, p.Plain) }

func authorization(token string, plain bool) string {
	if plain {
		return "Token " + token
	}
	return "Token " + base64.StdEncoding.EncodeToString([]byte(token))
}
