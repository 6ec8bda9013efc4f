package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/access"
	"busbar/journal"
	"busbar/routing"
)

// oneToken is a record of one token.
type oneToken struct {
	access.TokenStore
	mu   sync.Mutex
	kept access.Token
	down error
}

func (o *oneToken) CreateToken(_ context.Context, t access.Token) error {
	o.set(t, nil)
	return nil
}

func (o *oneToken) set(t access.Token, down error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept, o.down = t, down
}

func (o *oneToken) TokenOf(_ context.Context, hash [sha256.Size]byte) (access.Token, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down != nil || o.kept.Hash == hash {
		return o.kept, o.down
	}
	return access.Token{}, access.ErrNotFound
}

// A stream lasts no longer than its token; a database that is down ends none.
func TestStream_EndsWithItsToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &oneToken{}
		keyring := access.NewKeyring(access.KeyringConfig{Store: store})
		made, secret, err := keyring.Issue(t.Context(), access.Root(), "dashboard", access.Viewer, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Config{
			Metrics: prometheus.NewRegistry(), Journal: journal.New(journal.Config{}), Keyring: keyring,
			Router: routing.NewRouter(routing.RouterConfig{}), Logger: slog.New(slog.DiscardHandler),
		})
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/messages/stream", nil)
		request.Header.Set("Authorization", "Bearer "+secret.Reveal())
		ended, w := make(chan time.Time, 1), httptest.NewRecorder()
		go func() { s.Handler().ServeHTTP(w, request); ended <- time.Now() }()
		time.Sleep(time.Minute)
		store.set(made, errors.New("the database is down"))
		time.Sleep(time.Minute)
		store.set(made, nil)
		time.Sleep(time.Minute)
		select {
		case <-ended:
			t.Fatalf("the stream ended before its token: HTTP %d", w.Code)
		default:
		}
		deleted := time.Now()
		store.set(access.Token{}, nil)
		if after := (<-ended).Sub(deleted); after > time.Second || w.Code != http.StatusOK {
			t.Errorf("the stream ended %s after its token, HTTP %d", after, w.Code)
		}
	})
}
