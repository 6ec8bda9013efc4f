package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// answer is what came back, checked against openapi.yaml.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: HTTP %d, want %d: %s", a.what, a.status, status, a.body)
	}
	return a
}

// wantFields checks which fields an error names, and nothing about the words.
func (a answer) wantFields(names ...string) answer {
	a.t.Helper()
	var body struct {
		Error  string            `json:"error"`
		Fields map[string]string `json:"fields"`
	}
	a.decode(&body)
	if len(body.Fields) != len(names) {
		a.t.Errorf("%s: fields %v, want %v", a.what, body.Fields, names)
	}
	for _, name := range names {
		if body.Fields[name] == "" {
			a.t.Errorf("%s: fields %v lack %s", a.what, body.Fields, name)
		}
	}
	return a
}

// wantError checks that the error says each of the texts.
func (a answer) wantError(texts ...string) answer {
	a.t.Helper()
	var body struct {
		Error string `json:"error"`
	}
	a.decode(&body)
	for _, text := range texts {
		if !strings.Contains(body.Error, text) {
			a.t.Errorf("%s: error %q does not say %q", a.what, body.Error, text)
		}
	}
	return a
}

func (a answer) wantOCPI(status int) answer {
	a.t.Helper()
	var body struct {
		Status int `json:"ocpi_status"`
	}
	if a.decode(&body); body.Status != status {
		a.t.Errorf("%s: ocpi_status %d, want %d: %s", a.what, body.Status, status, a.body)
	}
	return a
}

func (a answer) decode(into any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
}

// platform is a platform as the API shows it.
type platform struct {
	ID              string            `json:"id"`
	Name            string            `json:"name"`
	Status          string            `json:"status"`
	Registered      bool              `json:"registered"`
	Roles           []role            `json:"roles"`
	ApprovedRoles   []role            `json:"approved_roles"`
	Parties         []string          `json:"parties"`
	Version         string            `json:"version"`
	VersionLimit    string            `json:"version_limit"`
	VersionsURL     string            `json:"versions_url"`
	PeerVersionsURL string            `json:"peer_versions_url"`
	Endpoints       []json.RawMessage `json:"endpoints"`
	Quirks          map[string]any    `json:"quirks"`
	LastSeen        *string           `json:"last_seen"`
	TokenAPending   bool              `json:"token_a_pending"`
	TokenA          string            `json:"token_a"`
}

type role struct {
	CountryCode string `json:"country_code"`
	PartyID     string `json:"party_id"`
	Role        string `json:"role"`
}

func (a answer) platform() platform {
	a.t.Helper()
	var p platform
	a.decode(&p)
	return p
}
