package hubtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/hub"
	"busbar/ocpi"
)

// Hub is a running hub and the operator's access to it.
type Hub struct {
	*hub.Hub
	t testing.TB
	// URL and AdminURL are the bases of the two listeners.
	URL, AdminURL string
	AdminToken    string
	// Log holds every log line so far.
	Log *Log
	// DataDir is where the hub keeps its files.
	DataDir string
	// Transport sends requests to the OCPI listener; nil is http.DefaultTransport.
	Transport http.RoundTripper

	stop sync.Once
}

// Log is a buffer that a hub and a test share.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is the log so far. The hub writes in batches: Stop it first to see all.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Start runs a hub until the test ends. Each change may alter its configuration.
// It gives up on no receiver by itself, so that one may hang for as long as the test
// needs on a busy machine.
func Start(t testing.TB, changes ...func(*hub.Config)) *Hub {
	t.Helper()
	party, err := ocpi.ParseParty("EUBUS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := hub.Config{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", PublicURL: "http://hub.test", Party: party, Name: "Test hub",
		DataDir: t.TempDir(), AdminToken: "admin-token-of-the-test-hub",
		ForwardTimeout: time.Hour, AllowPrivatePeers: true, MaxBody: 1 << 20,
		AliveInterval: time.Hour, JournalRetention: 24 * time.Hour,
	}
	for _, change := range changes {
		change(&cfg)
	}
	h := &Hub{t: t, AdminToken: cfg.AdminToken, Log: &Log{}, DataDir: cfg.DataDir}
	if h.Hub, err = hub.New(context.Background(), cfg, h.Log); err != nil {
		t.Fatalf("new hub: %v", err)
	}
	if err := h.Hub.Start(context.Background()); err != nil {
		t.Fatalf("start hub: %v", err)
	}
	h.URL, h.AdminURL = "http://"+h.Addr(), "http://"+h.AdminAddr()
	t.Cleanup(h.Stop)
	h.awaitReady()
	return h
}

// Attach is the access to a hub that runs elsewhere.
func Attach(t testing.TB, url, adminURL, adminToken string) *Hub {
	t.Helper()
	h := &Hub{t: t, URL: url, AdminURL: adminURL, AdminToken: adminToken, Log: &Log{}}
	h.awaitReady()
	return h
}

// awaitReady waits until the hub has loaded what it keeps.
func (h *Hub) awaitReady() {
	h.t.Helper()
	for deadline := time.Now().Add(awaitTime); ; {
		resp, err := http.Get(h.AdminURL + "/readyz")
		if err != nil {
			h.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("the hub does not become ready")
		}
	}
}

// Stop stops the hub, once.
func (h *Hub) Stop() {
	h.stop.Do(func() { h.Hub.Stop(context.Background()) })
}

// Admin calls the admin API and decodes the answer; it returns the status.
func (h *Hub) Admin(method, path string, body any) (int, map[string]any) {
	h.t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			h.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, h.AdminURL+path, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.AdminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	answer := map[string]any{}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &answer); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return resp.StatusCode, answer
}

// Metrics is the text of /metrics.
func (h *Hub) Metrics() string {
	h.t.Helper()
	resp, err := http.Get(h.AdminURL + "/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// Enrol creates a platform in the admin API and returns its id and token A.
func (h *Hub) Enrol(name string, roles ...Role) (id, tokenA string) {
	h.t.Helper()
	status, answer := 0, map[string]any(nil)
	for deadline := time.Now().Add(awaitTime); ; {
		status, answer = h.Admin("POST", "/api/v1/platforms", map[string]any{"name": name, "roles": roles})
		// A disk that others use may be too slow for the audit trail, without which
		// nothing is changed.
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			break
		}
	}
	if status != http.StatusCreated {
		h.t.Fatalf("create platform %s: HTTP %d %v", name, status, answer)
	}
	return answer["id"].(string), answer["token_a"].(string)
}

// Role is one entry of a credentials object's roles.
type Role struct {
	CountryCode     string            `json:"country_code"`
	PartyID         string            `json:"party_id"`
	Role            string            `json:"role"`
	BusinessDetails map[string]string `json:"business_details,omitempty"`
}

// ParseRole reads "NL/CPA:CPO".
func ParseRole(t testing.TB, s string) Role {
	t.Helper()
	party, role, ok := strings.Cut(s, ":")
	country, id, ok2 := strings.Cut(party, "/")
	if !ok || !ok2 {
		t.Fatalf("role %q: want NL/CPA:CPO", s)
	}
	return Role{CountryCode: country, PartyID: id, Role: role}
}
