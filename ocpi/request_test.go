package ocpi_test

import (
	"regexp"
	"strings"
	"testing"

	"busbar/ocpi"
)

func TestR9_AddressesComeInPairs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ country, party, fault string }{
		{"NL", "CPA", ""},
		{"nl", "cPa", ""},
		{"", "", ""},
		{"NL", "", "OCPI-to-party-id is missing"},
		{"", "CPA", "OCPI-to-country-code is missing"},
		{"NLD", "CPA", `OCPI-to-country-code and OCPI-to-party-id: country code "NLD"`},
		{"NL", "CPAX", `OCPI-to-country-code and OCPI-to-party-id: party id "CPAX"`},
	} {
		got, err := ocpi.ParseAddress("to", tt.country, tt.party)
		if tt.fault != "" {
			e, ok := ocpi.AsError(err)
			if !ok || e.Status != ocpi.InvalidParameters || e.HTTP != 0 || !strings.Contains(e.Message, tt.fault) {
				t.Errorf("%q %q: %v, want 2001 with %s", tt.country, tt.party, err, tt.fault)
			}
			continue
		}
		if err != nil || got.CountryCode != tt.country || got.PartyID != tt.party || got.IsZero() != (tt.country == "") {
			t.Errorf("%q %q: %+v, %v", tt.country, tt.party, got, err)
		}
	}
	lower, _ := ocpi.ParseAddress("from", "nl", "cpa")
	if want := ocpi.AddressOf(party(t, "NLCPA")); lower.Party != want.Party || lower == want {
		t.Errorf("case is folded for comparison only: %+v", lower)
	}
	if _, err := ocpi.ParseAddress("from", "NL", ""); err == nil || !strings.Contains(err.Error(), "OCPI-from-party-id") {
		t.Errorf("the error names the other direction: %v", err)
	}
}

func TestCheckPathLetsTheSendersBusinessPass(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", "/", "/NL/CPA/LOC1", "/NL/CPA/L%2F1", "/NL/CPA/%23NA", "/NL/CPA/", "/NL//LOC1", "//", "/NL/CPA/a%20b",
		"/NL/CPA/Z%C3%BCrich", "/NL/CPA/Zürich", "/NL/CPA/...", "/NL/CPA/..a", "/NL/CPA/a..", "/NL/CPA/.well",
		"/NL/CPA/a%2E", "/NL/CPA/50%25", "/NL/CPA/a;b", "/NL/CPA/a%3B..", "/NL/CPA/BE*BEC*E041503001", "/NL/CPA/a%5Cb",
		"/NL/CPA/%FF",
	} {
		if err := ocpi.CheckPath(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCheckPathRefusesWaysOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, fault string }{
		{"/..", "segment"}, {"/.", "segment"}, {"..", "segment"},
		{"/NL/CPA/../../credentials", "segment"}, {"/NL/./CPA", "segment"},
		{"/%2e%2e/credentials", "segment"}, {"/%2E%2E/credentials", "segment"}, {"/.%2e/x", "segment"},
		{"/%2e", "segment"}, {"/a/%2E", "segment"},
		{"/x%2F..%2Fcredentials", "segment"}, {"/x%2f%2e%2e", "segment"}, {"/..%2Fcredentials", "segment"},
		{"/x%5C..%5Ccredentials", "segment"}, {"/x%5c..", "segment"}, {"/..%5Cx", "segment"},
		{`/x\..\credentials`, "segment"}, {`\..`, "segment"},
		// Java servers cut path parameters off before they resolve dots.
		{"/..;/credentials", "segment"}, {"/..;v=1/x", "segment"}, {"/.;/x", "segment"}, {"/%2e%2e%3b/x", "segment"},
		{"/%", "broken percent"}, {"/%2", "broken percent"}, {"/%2g", "broken percent"}, {"/%zz/x", "broken percent"},
		{"/a%0d%0aHost:x", "control"}, {"/a\r\nb", "control"}, {"/a%00", "control"}, {"/a\x7f", "control"}, {"/%7F", "control"},
	} {
		if err := ocpi.CheckPath(tt.path); err == nil || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%q: %v, want a fault about a %s", tt.path, err, tt.fault)
		}
	}
}

func TestAuthorizeIsRecognised(t *testing.T) {
	t.Parallel()
	authorize := ocpi.Request{Method: "POST", Module: ocpi.ModuleTokens, Interface: ocpi.Sender, Path: "/012345678/authorize"}
	slashed, get, receiver, other := authorize, authorize, authorize, authorize
	slashed.Path += "/"
	get.Method = "GET"
	receiver.Interface = ocpi.Receiver
	other.Path = "/012345678/reauthorize"
	if !authorize.IsAuthorize() || !slashed.IsAuthorize() {
		t.Error("a real-time authorisation is not recognised")
	}
	for _, r := range []ocpi.Request{get, receiver, other, {}} {
		if r.IsAuthorize() {
			t.Errorf("%s %s %s is taken for a real-time authorisation", r.Method, r.Interface, r.Path)
		}
	}
}

func TestWrites(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{
		"GET": false, "HEAD": false, "POST": true, "PUT": true, "PATCH": true, "DELETE": true,
	} {
		if got := (&ocpi.Request{Method: method}).IsWrite(); got != want {
			t.Errorf("%s writes: %v", method, got)
		}
	}
}

func TestR7_MessageIDsAreFreshUUIDs(t *testing.T) {
	t.Parallel()
	version4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		id := ocpi.NewMessageID()
		if !version4.MatchString(id) || seen[id] {
			t.Fatalf("%q is no fresh random UUID", id)
		}
		seen[id] = true
	}
}
