package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"busbar/ocpi"
)

// platformPeer is a CPO's platform that speaks just enough OCPI 2.2.1 for the
// hub to register itself, over real HTTP.
type platformPeer struct {
	t    *testing.T
	site *site
	url  string

	mu sync.Mutex
	// versions are those it lists; pages replaces the answer of a URL.
	versions []string
	pages    map[string]http.HandlerFunc
	// accepted are the tokens that it takes, issued how many it made.
	accepted map[ocpi.TokenHash]bool
	issued   int
	// offered are the hub's tokens, in the order they came.
	offered []string
	calls   []string
}

const peerTokenA = "token-a-of-the-peer"

func newPeer(s *site) *platformPeer {
	s.t.Helper()
	p := &platformPeer{
		t: s.t, site: s, versions: []string{"2.1.1", "2.2.1"},
		pages: map[string]http.HandlerFunc{}, accepted: map[ocpi.TokenHash]bool{},
	}
	p.accept(peerTokenA)
	s.secret(peerTokenA, "the peer's token A")
	server := httptest.NewServer(p)
	s.t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *platformPeer) versionsURL() string { return p.url + "/versions" }

// connect is the body of the call that makes the hub register here.
func (p *platformPeer) connect(token string) string {
	return fmt.Sprintf(`{"versions_url":%q,"token_a":%q}`, p.versionsURL(), token)
}

func (p *platformPeer) accept(token string) {
	p.t.Helper()
	parsed, err := ocpi.ParseCredentialsToken(token)
	if err != nil {
		p.t.Fatal(err)
	}
	p.accepted[parsed.Hash()] = true
}

// page lets the peer answer a URL in its own way.
func (p *platformPeer) page(path string, handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = handler
}

func (p *platformPeer) list(versions ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.versions = versions
}

// heard are the calls so far.
func (p *platformPeer) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.calls...)
}

// hubTokens are the tokens that the hub offered so far.
func (p *platformPeer) hubTokens() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.offered...)
}

func (p *platformPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, r.Method+" "+r.URL.Path)
	known := func(h ocpi.TokenHash) bool { return p.accepted[h] }
	if _, ok := ocpi.ReadAuthorization(r.Header.Get("Authorization"), known); !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if own := p.pages[r.URL.Path]; own != nil {
		own(w, r)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /versions":
		infos := []map[string]string{}
		for _, v := range p.versions {
			infos = append(infos, map[string]string{"version": v, "url": p.url + "/" + v})
		}
		reply(w, infos)
	case "GET /2.2.1":
		reply(w, map[string]any{"version": "2.2.1", "endpoints": []map[string]string{
			{"identifier": "credentials", "role": "SENDER", "url": p.url + "/2.2.1/credentials"},
			{"identifier": "locations", "role": "SENDER", "url": p.url + "/2.2.1/locations"},
		}})
	case "POST /2.2.1/credentials", "PUT /2.2.1/credentials":
		reply(w, p.exchange(r))
	case "DELETE /2.2.1/credentials":
		reply(w, nil)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// exchange takes the hub's token and makes one for the hub.
func (p *platformPeer) exchange(r *http.Request) any {
	var hub struct{ Token string }
	if err := json.NewDecoder(r.Body).Decode(&hub); err != nil || hub.Token == "" {
		p.t.Errorf("peer: %s %s: no credentials: %v", r.Method, r.URL.Path, err)
	}
	p.site.secret(hub.Token, "the token that the hub gave by "+r.Method)
	p.offered = append(p.offered, hub.Token)
	p.issued++
	token := "token-c-of-the-peer-" + strconv.Itoa(p.issued)
	p.site.secret(token, "token C number "+strconv.Itoa(p.issued))
	clear(p.accepted)
	p.accept(token)
	return map[string]any{"token": token, "url": p.versionsURL(), "roles": []map[string]any{{
		"role": "CPO", "country_code": "NL", "party_id": "CPA", "business_details": map[string]string{"name": "CPO A"},
	}}}
}

func reply(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"status_code": 1000, "timestamp": "2026-01-05T09:30:00Z", "data": data,
	})
}
