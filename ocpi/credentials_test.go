package ocpi_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

const goodRole = `{"role":"CPO","party_id":"CPA","country_code":"NL","business_details":{"name":"A"}}`

// object is a credentials object with one field written otherwise.
func object(field, value string) string {
	fields := map[string]string{
		"token": `"` + secret + `"`, "url": `"https://example.com/ocpi/versions"`, "roles": "[" + goodRole + "]",
	}
	fields[field] = value
	return fmt.Sprintf(`{"token":%s,"url":%s,"roles":%s}`, fields["token"], fields["url"], fields["roles"])
}

func role(field, value string) string {
	fields := map[string]string{
		"role": `"CPO"`, "party_id": `"CPA"`, "country_code": `"NL"`, "business_details": `{"name":"A"}`,
	}
	fields[field] = value
	return object("roles", fmt.Sprintf(`[%s,{"role":%s,"party_id":%s,"country_code":%s,"business_details":%s}]`,
		strings.ReplaceAll(goodRole, "CPA", "XYZ"), fields["role"], fields["party_id"], fields["country_code"], fields["business_details"]))
}

func TestC2_CredentialsFaultsNameTheirField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, body, names string }{
		{"no token", object("token", `null`), "field token: must not be empty"},
		{"empty token", object("token", `""`), "field token: must not be empty"},
		{"long token", object("token", `"`+strings.Repeat("t", 65)+`"`), "field token: must have at most 64"},
		{"token with a space", object("token", `"a b"`), "field token: character 2"},
		{"token is a number", object("token", `12345`), "field token: wrong JSON type: number"},
		{"no URL", object("url", `null`), "field url: must not be empty"},
		{"relative URL", object("url", `"/ocpi/versions"`), "field url: must be an absolute"},
		{"URL is an object", object("url", `{}`), "field url: wrong JSON type: object"},
		{"no roles", object("roles", `null`), "field roles: must hold at least one"},
		{"empty roles", object("roles", `[]`), "field roles: must hold at least one"},
		{"roles is an object", object("roles", goodRole), "field roles: wrong JSON type: object"},
		{"unknown role", role("role", `"MSP"`), `field roles[1].role: role "MSP"`},
		{"no role", role("role", `null`), "field roles[1].role:"},
		{"long country", role("country_code", `"NLD"`), `field roles[1]: country code "NLD"`},
		{"no country", role("country_code", `null`), `field roles[1]: country code ""`},
		{"long party", role("party_id", `"CPAX"`), `field roles[1]: party id "CPAX"`},
		{"party is a number", role("party_id", `123`), "field roles.party_id: wrong JSON type: number"},
		{"business details are text", role("business_details", `"A"`), "field roles[1].business_details: must be a JSON object"},
		{"business details without end", role("business_details", `{"name":"`+strings.Repeat("A", 16<<10)+`"}`), "field roles[1].business_details: must have at most 16384 bytes"},
		{"same role twice", object("roles", `[`+goodRole+`,`+strings.ToLower(goodRole)+`]`), "field roles[1]: NLCPA (CPO) stands twice"},
		{"an array", `[]`, "must be a JSON object, not array"},
		{"null", `null`, "field token"},
	} {
		_, err := ocpi.ParseCredentials([]byte(tt.body))
		e, ok := ocpi.AsError(err)
		if !ok || e.Status != ocpi.InvalidParameters || e.HTTP != 0 || !strings.Contains(e.Message, tt.names) {
			t.Errorf("%s: %v, want 2001 with %q", tt.why, err, tt.names)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the token", tt.why)
		}
	}
}

func TestS1_CredentialsThatAreNotJSON(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{", "token=" + secret, object("token", `"x`), object("token", `"x"`) + "}"} {
		_, err := ocpi.ParseCredentials([]byte(body))
		e, ok := ocpi.AsError(err)
		if !ok || e.HTTP != 400 || e.Status != ocpi.ClientError {
			t.Errorf("%.30q: %v, want HTTP 400 and 2000", body, err)
		}
	}
}

func TestFieldQuirks_Credentials(t *testing.T) {
	t.Parallel()
	for why, body := range map[string]string{
		"as the specification writes it": object("", ""),
		"role in lower case":             role("role", `"cpo"`),
		"parties in lower case":          strings.Replace(role("country_code", `"nl"`), `"CPA"`, `"cpa"`, 1),
		"2.1.1's top level fields too": strings.Replace(object("", ""), `{`,
			`{"party_id":"OLD","country_code":"DE","business_details":{"name":"B"},`, 1),
		"an empty business name":   role("business_details", `{"name":""}`),
		"business details null":    role("business_details", `null`),
		"unknown fields":           strings.Replace(object("", ""), `{`, `{"hub_party_id":"NLHUB","x":[{}],`, 1),
		"a URL without a path":     object("url", `"https://example.com"`),
		"one party in two roles":   role("role", `"EMSP"`),
		"spaces around everything": " \n" + object("", "") + "\r\n\t",
	} {
		c, err := ocpi.ParseCredentials([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", why, err)
			continue
		}
		last := c.Roles[len(c.Roles)-1]
		if last.Party != party(t, "NLCPA") || c.Token.Reveal() != secret {
			t.Errorf("%s: %v", why, c)
		}
	}
}

func TestCredentialsWithoutBusinessDetailsAreWrittenWithAName(t *testing.T) {
	t.Parallel()
	for _, details := range []string{`null`, `{"name":"A \u003c B","x":1.10}`} {
		c, err := ocpi.ParseCredentials([]byte(role("business_details", details)))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(role("business_details", details), "null", `{"name":"NLCPA"}`)
		if diff := cmp.Diff(document(t, []byte(want)), document(t, c.JSON())); diff != "" {
			t.Errorf("business_details %s:\n%s", details, diff)
		}
	}
}

// document is a JSON text without its layout.
func document(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestCredentialsExamples reads the specification's own examples, where they
// lie beside the repository, and writes them back.
func TestCredentialsExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../shared/data/spec-examples/2.2.1/credentials_example*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no spec-examples folder beside the repository")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ocpi.ParseCredentials(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if diff := cmp.Diff(document(t, text), document(t, c.JSON())); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"http://a", "https://a.example/ocpi/versions?x=1", "HTTPS://a/", "http://127.0.0.1:8080", "http://[::1]:80/x",
		"https://a/b%2Fc", "https://a/" + strings.Repeat("p", 255-len("https://a/")),
	} {
		if err := ocpi.CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, fault := range map[string]string{
		"":                                      "empty",
		"https://a/" + strings.Repeat("p", 246): "255",
		"ftp://a":                               "absolute http",
		"a.example/ocpi":                        "absolute http",
		"/ocpi":                                 "absolute http",
		"//a/ocpi":                              "absolute http",
		"http:///ocpi":                          "absolute http",
		"http:a":                                "absolute http",
		"javascript://a":                        "absolute http",
		"http://a b/":                           "absolute http",
		"http://a\r\nX: y/":                     "absolute http",
		"http://a/\x00":                         "absolute http",
		"http://a:port/":                        "absolute http",
		"http://a/%zz":                          "absolute http",
		"http://[::1/":                          "absolute http",
		"https://u:p@a/":                        "user information",
		"https://u@a/":                          "user information",
		"https://a/#x":                          "fragment",
		"https://a/#":                           "fragment",
		"http://:80/":                           "name a host",
	} {
		if err := ocpi.CheckURL(bad); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%.60q: %v, want a fault about %q", bad, err, fault)
		}
	}
}
