package simulator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"busbar/ocpi"
)

func TestAdminEnrol(t *testing.T) {
	t.Parallel()
	token := ocpi.NewCredentialsToken()
	tests := []struct {
		name   string
		status int
		answer string
		want   string // of the error; empty for none
	}{
		{"created", 201, `{"id":1,"token_a":"` + token.Reveal() + `","versions_url":"http://hub/ocpi/versions"}`, ""},
		{"claimed", 409, `{"error":"party is claimed","fields":{"roles":"NLKVL"}}`, `HTTP 409: party is claimed {"roles":"NLKVL"}`},
		{"no admin", 401, "nope", "HTTP 401"},
		{"no token", 201, `{"versions_url":"http://hub/ocpi/versions"}`, "token_a must not be empty"},
		{"no URL", 201, `{"token_a":"` + token.Reveal() + `"}`, "versions_url must not be empty"},
		{"no JSON", 201, `<html>`, "not JSON"},
	}
	for _, test := range tests {
		var asked string
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(body)
			w.WriteHeader(test.status)
			io.WriteString(w, test.answer)
		}))
		url, got, err := AdminEnrol(admin.URL+"/", "secret")(t.Context(), "Kievit", []ocpi.PartyRole{{Party: key("NLKVL"), Role: ocpi.RoleCPO}})
		admin.Close()
		want := `POST /api/v1/platforms Bearer secret {"name":"Kievit","roles":[{"country_code":"NL","party_id":"KVL","role":"CPO"}]}`
		if asked != want {
			t.Errorf("%s: asked %s", test.name, asked)
		}
		switch {
		case test.want == "" && (err != nil || got != token || url != "http://hub/ocpi/versions"):
			t.Errorf("%s: %s, %v", test.name, url, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), token.Reveal())):
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
