//go:build linux

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"busbar/ocpi"
)

// fakeHub speaks the admin call and the handshake; refuse is the OCPI status
// that every POST credentials gets.
func fakeHub(t *testing.T, refuse ocpi.StatusCode) (registration, *atomic.Int64) {
	t.Helper()
	var registered atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/platforms", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer admin" {
			t.Errorf("admin call with %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"id":"1","token_a":"a-token"}`))
	})
	mux.HandleFunc("POST /ocpi/2.2.1/credentials", func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		credentials, err := ocpi.ParseCredentials(body)
		if err != nil {
			t.Errorf("credentials object: %v", err)
		}
		if want := "Token YS10b2tlbg=="; r.Header.Get("Authorization") != want {
			t.Errorf("handshake with %q, want %q", r.Header.Get("Authorization"), want)
		}
		registered.Add(int64(len(credentials.Roles)))
		w.Write(ocpi.Envelope(map[string]string{"token": "c-of-" + strings.Split(credentials.URL, "/")[3]}, refuse, "because"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return registration{
		client: server.Client(), public: server.URL, admin: server.URL, backend: "http://127.0.0.1:9", adminToken: token(t, "admin"),
	}, &registered
}

func TestRegisterAll(t *testing.T) {
	t.Parallel()
	r, registered := fakeHub(t, ocpi.Success)
	f, err := newField(60, 30)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.registerAll(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if registered.Load() != 60 {
		t.Errorf("%d parties registered, want 60", registered.Load())
	}
	for _, p := range f {
		if p.Inbound.Reveal() != "c-of-"+p.Name {
			t.Errorf("%s calls with %q, want its own token C", p.Name, p.Inbound.Reveal())
		}
	}
}

func TestRegisterAllEndsAtARefusal(t *testing.T) {
	t.Parallel()
	r, _ := fakeHub(t, ocpi.UnusableAPI)
	f := known(t)
	err := r.registerAll(t.Context(), f)
	if err == nil || !strings.Contains(err.Error(), "3001 because") {
		t.Errorf("%v, want the hub's 3001", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.registerAll(ctx, f); err == nil {
		t.Error("a cancelled registration succeeds")
	}
}
