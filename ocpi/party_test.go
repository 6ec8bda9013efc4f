package ocpi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"busbar/ocpi"
)

// party is the key of a party that the test knows to be right.
func party(t testing.TB, compact string) ocpi.PartyKey {
	t.Helper()
	k, err := ocpi.ParseParty(compact)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestF3_PartiesAreComparedWithoutCase(t *testing.T) {
	t.Parallel()
	for _, spelled := range [][2]string{{"NL", "CPA"}, {"nl", "cpa"}, {"Nl", "cPa"}, {" NL ", "\tCPA "}} {
		got, err := ocpi.ParsePartyKey(spelled[0], spelled[1])
		if err != nil || got != party(t, "NLCPA") {
			t.Errorf("%q = %v, %v", spelled, got, err)
		}
	}
	if party(t, "NLCPA") == party(t, "NLCPB") || party(t, "NLA") == party(t, "NLA0") {
		t.Error("two parties have one key")
	}
}

func TestParsePartyKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, country, party, fault string }{
		{"no country", "", "CPA", "country code"},
		{"one letter", "N", "CPA", "country code"},
		{"alpha-3", "NLD", "CPA", "country code"},
		{"a digit is no letter", "N1", "CPA", "country code"},
		{"a digit first", "1L", "CPA", "country code"},
		{"a letter of two bytes", "ß", "CPA", "country code"},
		{"no party", "NL", "", "party id"},
		{"four characters", "NL", "CPAX", "party id"},
		{"a star, as in an eMI3 id", "NL", "*CP", "party id"},
		{"a slash", "NL", "C/A", "party id"},
		{"a line feed", "NL", "C\nA", "party id"},
		{"a NUL, which pads short ids", "NL", "C\x00A", "party id"},
		{"only spaces", "NL", "   ", "party id"},
	} {
		key, err := ocpi.ParsePartyKey(tt.country, tt.party)
		if err == nil || !strings.HasPrefix(err.Error(), tt.fault) {
			t.Errorf("%s: error %v, want one that names the %s", tt.why, err, tt.fault)
		}
		if !key.IsZero() {
			t.Errorf("%s: key %v besides an error", tt.why, key)
		}
	}
}

func TestPartyKeyErrorsAreShort(t *testing.T) {
	t.Parallel()
	_, err := ocpi.ParsePartyKey(strings.Repeat("N", 100_000), "CPA")
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestPartyKeyParts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ compact, country, id string }{
		{"NLCPA", "NL", "CPA"}, {"DEA", "DE", "A"}, {"FRA1", "FR", "A1"}, {"be123", "BE", "123"},
	} {
		k := party(t, tt.compact)
		if k.CountryCode() != tt.country || k.PartyID() != tt.id || k.String() != tt.country+tt.id {
			t.Errorf("%s = %q %q %q", tt.compact, k.CountryCode(), k.PartyID(), k)
		}
		if again, err := ocpi.ParsePartyKey(k.CountryCode(), k.PartyID()); again != k || err != nil {
			t.Errorf("%s does not survive its parts: %v, %v", tt.compact, again, err)
		}
	}
	for _, s := range []string{"", "NL", "NLCPAX", "12CPA"} {
		if k, err := ocpi.ParseParty(s); err == nil {
			t.Errorf("ParseParty(%q) = %v, want an error", s, k)
		}
	}
}

func TestNoParty(t *testing.T) {
	t.Parallel()
	var none ocpi.PartyKey
	if !none.IsZero() || none.String() != "" || party(t, "NLCPA").IsZero() {
		t.Error("the zero key is no party, and only that")
	}
}

func TestPartyKeyInJSON(t *testing.T) {
	t.Parallel()
	type document struct {
		One  ocpi.PartyKey         `json:"one"`
		None ocpi.PartyKey         `json:"none"`
		Map  map[ocpi.PartyKey]int `json:"map"`
	}
	in := document{One: party(t, "NLCPA"), Map: map[ocpi.PartyKey]int{party(t, "DEA"): 1}}
	text, err := json.Marshal(in)
	if want := `{"one":"NLCPA","none":"","map":{"DEA":1}}`; string(text) != want || err != nil {
		t.Fatalf("%s, %v, want %s", text, err, want)
	}
	var out document
	if err := json.Unmarshal(text, &out); err != nil || fmt.Sprint(out) != fmt.Sprint(in) {
		t.Errorf("read back as %v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"one":"N*CPA"}`), &out); err == nil {
		t.Error("a wrong party in JSON was accepted")
	}
	if err := json.Unmarshal([]byte(`{"one":"nlcpb"}`), &out); err != nil || out.One != party(t, "NLCPB") {
		t.Errorf("lower case in JSON: %v, %v", out.One, err)
	}
}
