package parties

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"busbar/ocpi"
)

// TestO3_WhatCountsAsAlive asks a real server.
func TestO3_WhatCountsAsAlive(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMemory(), &wire{})
	token := ocpi.NewCredentialsToken()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	const good = `{"status_code": 1000, "data": []}`
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		alive bool
	}{
		"versions":       {answer(200, good), true},
		"no data at all": {answer(200, `{"status_code": 1000}`), true},
		"HTTP 500":       {answer(500, good), false},
		"a proxy's page": {answer(200, "<html>"), false},
		"HTTP 401":       {answer(401, ""), false},
		"an OCPI error":  {answer(200, `{"status_code": 3000}`), false},
		"a plain token": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Token "+token.Reveal() {
				answer(401, "")(w, r)
				return
			}
			answer(200, good)(w, r)
		}, true},
		"routing headers": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || r.Header.Get("OCPI-to-party-id") != "" || r.Header.Get("X-Request-ID") == "" {
				answer(400, "")(w, r)
				return
			}
			answer(200, good)(w, r)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.serve)
			defer server.Close()
			err := r.registrar.askVersions(t.Context(), &Platform{VersionsURL: server.URL, Outbound: token})
			if (err == nil) != test.alive {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), token.Reveal()) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
	gone := httptest.NewServer(answer(200, good))
	gone.Close()
	if err := r.registrar.askVersions(t.Context(), &Platform{VersionsURL: gone.URL, Outbound: token}); err == nil {
		t.Error("a server that is gone is alive")
	}
}
