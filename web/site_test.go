package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"busbar/access"
	"busbar/catalog"
	"busbar/journal"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage"
	"busbar/storage/storagetest"
	"busbar/web"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// forwardedFor is what a proxy says in every request.
const forwardedFor = "198.51.100.7"

const adminToken = "the-admin-token-of-this-test"

// site is an admin listener over real stores. When the test ends it looks for
// tokens in everything that was answered and logged.
type site struct {
	t         *testing.T
	doc       *document
	server    *web.Server
	url       string
	stores    *storage.Stores
	directory *parties.Directory
	registrar *parties.Registrar
	journal   *journal.Recorder
	index     *routing.Index
	lessons   *failingLessons
	keyring   *access.Keyring
	trail     *access.Trail
	audit     *auditStore
	logs      storagetest.Logs

	mu      sync.Mutex
	ready   error
	routes  error
	answers []answer
	// secrets are the tokens that exist, with what they are.
	secrets map[string]string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, doc: openDocument(t), secrets: map[string]string{}}
	s.secret(adminToken, "the admin token")
	logger := slog.New(slog.NewTextHandler(&s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.stores, err = storage.Open(t.Context(), storage.Config{
		Database: "sqlite:" + filepath.Join(t.TempDir(), "busbar.db"),
		Secrets:  []string{strings.Repeat("k", 32)}, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stores.Close() })
	registry := prometheus.NewRegistry()
	dialer := peer.NewDialer(peer.DialerConfig{AllowPrivate: true})
	s.directory = parties.NewDirectory(dialer)
	hub, err := ocpi.ParseParty("EUBUS")
	if err != nil {
		t.Fatal(err)
	}
	s.registrar = parties.NewRegistrar(parties.RegistrarConfig{
		Store: s.stores.Platforms, Cache: s.stores.Cache, Directory: s.directory, Dialer: dialer,
		Hub:    parties.Identity{Party: hub, Name: "Test hub", PublicURL: "https://hub.example.com"},
		Logger: logger, Metrics: registry,
	})
	s.journal = journal.New(journal.Config{Store: s.stores.Journal, Logger: logger, Hub: hub})
	s.lessons = &failingLessons{LessonStore: s.stores.Lessons}
	s.index = routing.NewIndex(routing.IndexConfig{Store: s.lessons, Logger: logger})
	s.keyring = access.NewKeyring(access.KeyringConfig{
		Root: sha256.Sum256([]byte(adminToken)), Store: s.stores.AdminTokens, Logger: logger,
	})
	s.audit = &auditStore{AuditStore: s.stores.Audit}
	s.trail = access.NewTrail(access.TrailConfig{Store: s.audit, Logger: logger})
	s.run(s.journal.Run)
	s.run(s.keyring.Run)
	s.run(s.trail.Run)
	s.server = web.New(web.Config{
		Directory: s.directory, Registrar: s.registrar, Metrics: registry, Logger: logger, Journal: s.journal,
		Router:  routing.NewRouter(routing.RouterConfig{Directory: s.directory, Hub: s.registrar.Hub(), Logger: logger}),
		Catalog: catalog.New(catalog.Config{Store: s.stores.Catalog, Logger: logger}),
		Index:   s.index, Names: s.stores.Names, Alone: true,
		Fanout:  routing.NewFanout(routing.FanoutConfig{Directory: s.directory, Hub: hub, Logger: logger}),
		Keyring: s.keyring, Trail: s.trail, Ready: s.readiness, Routes: s.routing,
	})
	listener := httptest.NewServer(s.server.Handler())
	t.Cleanup(listener.Close)
	t.Cleanup(s.server.EndStreams)
	s.url = listener.URL
	t.Cleanup(s.lookForSecrets)
	return s
}

// run lasts until the test ends.
func (s *site) run(do func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); do(ctx) }()
	s.t.Cleanup(func() { cancel(); <-ended })
}

func (s *site) readiness(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

func (s *site) routing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routes
}

func (s *site) setRoutes(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes = err
}

func (s *site) setReady(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = err
}

// secret notes a token that no answer and no log line may hold.
func (s *site) secret(token, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[token] = what
}

// call sends a request with the admin token. An empty body is none.
func (s *site) call(method, path, body string) answer {
	s.t.Helper()
	return s.callAs("Bearer "+adminToken, method, path, body)
}

func (s *site) callAs(authorization, method, path, body string) answer {
	s.t.Helper()
	return s.send(http.DefaultTransport, authorization, method, path, body)
}

// callFrom sends a request from an address of this machine, of which it has all
// of 127.0.0.0/8.
func (s *site) callFrom(address, authorization, method, path, body string) answer {
	s.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return s.send(&http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}, authorization, method, path, body)
}

func (s *site) send(through http.RoundTripper, authorization, method, path, body string) answer {
	s.t.Helper()
	var reader io.Reader
	var sent []byte
	if body != "" {
		reader, sent = strings.NewReader(body), []byte(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", forwardedFor)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := through.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	got := answer{t: s.t, what: method + " " + path, status: response.StatusCode, header: response.Header}
	if got.body, err = io.ReadAll(response.Body); err != nil {
		s.t.Fatal(err)
	}
	pathOnly, _, _ := strings.Cut(path, "?")
	s.doc.checkExchange(s.t, method, pathOnly, sent, got)
	s.noteAnswer(got)
	return got
}

// noteAnswer keeps the answer for lookForSecrets; a token A that it issues is a
// secret everywhere else.
func (s *site) noteAnswer(got answer) {
	var issued struct {
		TokenA string `json:"token_a"`
		Token  string `json:"token"`
	}
	_ = json.Unmarshal(got.body, &issued)
	if issued.TokenA != "" {
		issuing := strings.HasSuffix(got.what, "/token") || got.what == "POST /api/v1/platforms"
		if !issuing {
			s.t.Errorf("%s issues a token A", got.what)
		}
		s.secret(issued.TokenA, "the token A of "+got.what)
		got.body = bytes.Replace(got.body, []byte(issued.TokenA), nil, 1)
	}
	if issued.Token != "" {
		if got.what != "POST /api/v1/tokens" && !strings.HasSuffix(got.what, "/rotate") {
			s.t.Errorf("%s issues an admin token", got.what)
		}
		s.secret(issued.Token, "the admin token of "+got.what)
		got.body = bytes.Replace(got.body, []byte(issued.Token), nil, 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, got)
}

func (s *site) lookForSecrets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	logs := s.logs.String()
	for token, what := range s.secrets {
		sum := sha256.Sum256([]byte(token))
		for form, text := range map[string]string{
			"plain": token, "in Base64": base64.RawStdEncoding.EncodeToString([]byte(token)), "as a hash": hex.EncodeToString(sum[:]),
		} {
			for _, got := range s.answers {
				if strings.Contains(string(got.body)+fmt.Sprint(got.header), text) {
					s.t.Errorf("%s: the answer holds %s, %s", got.what, what, form)
				}
			}
			if strings.Contains(logs, text) {
				s.t.Errorf("the log holds %s, %s", what, form)
			}
		}
	}
}

// create makes a platform with one approved party, like "NLCPA CPO".
func (s *site) create(name, party string) platform {
	s.t.Helper()
	key, roleName, _ := strings.Cut(party, " ")
	return s.call("POST", "/api/v1/platforms", fmt.Sprintf(
		`{"name":%q,"roles":[{"country_code":%q,"party_id":%q,"role":%q}]}`, name, key[:2], key[2:], roleName)).
		want(http.StatusCreated).platform()
}
