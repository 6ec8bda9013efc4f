package ocpi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"busbar/ocpi"
)

const secret = "ebf3b399-779f-4497-9b9d-ac6ad3cc44d2"

func credentialsToken(t testing.TB, s string) ocpi.CredentialsToken {
	t.Helper()
	token, err := ocpi.ParseCredentialsToken(s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestC1_TokenCharacters(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"x", "!", "~", secret, strings.Repeat("t", 64), `"#%&'()*+,-./:;<=>?@[\]^_{|}`} {
		if got, err := ocpi.ParseCredentialsToken(good); err != nil || got.Reveal() != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for why, bad := range map[string]string{
		"empty": "", "too long": strings.Repeat("t", 65), "a space": "se cret", "a line feed": "secret\n",
		"a tab": "\tsecret", "DEL": "secret\x7f", "UTF-8": "sécret", "NUL": "sec\x00ret",
	} {
		got, err := ocpi.ParseCredentialsToken(bad)
		if err == nil || !got.IsZero() {
			t.Errorf("%s: accepted", why)
			continue
		}
		if strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: the error shows the token: %v", why, err)
		}
	}
}

func TestC1_NewTokensAreFreshAndNeverBase64(t *testing.T) {
	t.Parallel()
	seen := make(map[ocpi.CredentialsToken]bool)
	for range 200 {
		token := ocpi.NewCredentialsToken()
		s := token.Reveal()
		if seen[token] {
			t.Fatal("the same token twice")
		}
		seen[token] = true
		if _, err := ocpi.ParseCredentialsToken(s); err != nil {
			t.Errorf("a minted token breaks the rule: %v", err)
		}
		_, padded := base64.StdEncoding.DecodeString(s)
		_, raw := base64.RawStdEncoding.DecodeString(s)
		if padded == nil || raw == nil {
			t.Errorf("%s is valid Base64", s)
		}
	}
}

func TestTokensAreComparedByTheirCharacters(t *testing.T) {
	t.Parallel()
	var none ocpi.CredentialsToken
	if credentialsToken(t, secret) != credentialsToken(t, strings.Clone(secret)) {
		t.Error("equal tokens differ")
	}
	if credentialsToken(t, secret) == credentialsToken(t, secret+"x") || credentialsToken(t, secret) == none {
		t.Error("different tokens are equal")
	}
	if !none.IsZero() || none.Reveal() != "" || none.String() != "[redacted]" {
		t.Error("no token is not usable as such")
	}
}

// holder is how careless code would log a token.
type holder struct {
	Token  ocpi.CredentialsToken `json:"token"`
	hidden ocpi.CredentialsToken
	inner  []any
}

func TestTokensRedactThemselves(t *testing.T) {
	t.Parallel()
	token := credentialsToken(t, secret)
	values := map[string]any{
		"token": token, "pointer": &token, "slice": []ocpi.CredentialsToken{token},
		"map key": map[ocpi.CredentialsToken]int{token: 1},
		"struct":  holder{Token: token, hidden: token, inner: []any{token, &token}},
		"pointer to struct": &holder{Token: token, hidden: token,
			inner: []any{holder{hidden: token}}},
		"credentials": ocpi.Credentials{Token: token},
	}
	for what, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			leaksNot(t, what+" as "+verb, fmt.Sprintf(verb, v))
		}
		text, _ := json.Marshal(v) // that it fails for some is none of our business
		leaksNot(t, what+" as JSON", string(text))
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		leaksNot(t, what+" as a log record", out.String())
	}
	for _, s := range []string{fmt.Sprint(token), fmt.Sprintf("%#v", token), fmt.Sprintf("%+v", holder{Token: token})} {
		if !strings.Contains(s, "[redacted]") {
			t.Errorf("%q does not say that something was left out", s)
		}
	}
}

func leaksNot(t *testing.T, what, text string) {
	t.Helper()
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			t.Errorf("%s shows the token: %s", what, text)
		}
	}
}

// reading is the outcome of ReadAuthorization where only token is known.
func reading(token ocpi.CredentialsToken, header string) string {
	form, ok := ocpi.ReadAuthorization(header, func(h ocpi.TokenHash) bool { return h == token.Hash() })
	if !ok {
		return "unknown"
	}
	if ocpi.PresentedToken(header, form) != token {
		return "presented another token"
	}
	return string(form)
}

func TestC1_TokenForms(t *testing.T) {
	t.Parallel()
	token := credentialsToken(t, secret)
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	long := strings.Repeat("A", 10_000)
	for _, tt := range []struct{ header, is string }{
		{"Token " + encode(secret), "base64"},
		{"Token " + strings.TrimRight(encode(secret+"x"), "="), "unknown"},
		{"token " + encode(secret), "base64"},
		{"TOKEN   " + encode(secret) + "  ", "base64"},
		{encode(secret), "base64"},
		{"Token " + encode(secret+"\n"), "base64"},
		{"Token " + encode(secret+"\r\n"), "base64"},
		{"Token " + strings.TrimRight(encode(secret+"\n"), "="), "base64"},
		{"Token " + secret, "plain"},
		{"token " + secret, "plain"},
		{secret, "plain"},
		{"  " + secret + " ", "plain"},
		{"", "unknown"},
		{"Token", "unknown"},
		{"Token ", "unknown"},
		{"Token =", "unknown"},
		{"Token ====", "unknown"},
		{"Token " + encode("\n"), "unknown"},
		{"Bearer " + secret, "unknown"},
		{"Basic " + encode(secret), "unknown"},
		{"Token " + secret + "x", "unknown"},
		{"Token " + encode(encode(secret)), "unknown"},
		{"Token \xff\xfe", "unknown"},
		{"Token " + long, "unknown"},
		{long, "unknown"},
	} {
		if got := reading(token, tt.header); got != tt.is {
			t.Errorf("%.80q is %s, want %s", tt.header, got, tt.is)
		}
	}
}

func TestC1_PlainTokenThatLooksLikeBase64(t *testing.T) {
	t.Parallel()
	token := credentialsToken(t, "abcdefgh")
	if got := reading(token, "Token abcdefgh"); got != "plain" {
		t.Errorf("it is read as %s", got)
	}
}

// TestC1_EveryTokenIsReadBack: what Authorization writes, ReadAuthorization
// reads, whatever the characters and the length.
func TestC1_EveryTokenIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		chars := rapid.SliceOfN(rapid.ByteRange(0x21, 0x7e), 1, ocpi.MaxTokenLength).Draw(t, "characters")
		token, err := ocpi.ParseCredentialsToken(string(chars))
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []ocpi.TokenForm{ocpi.TokenBase64, ocpi.TokenPlain} {
			if got := reading(token, token.Authorization(form)); got != string(form) {
				t.Fatalf("%s: %s is read as %s", chars, form, got)
			}
		}
	})
}

func TestTokenFormOther(t *testing.T) {
	t.Parallel()
	for form, other := range map[ocpi.TokenForm]ocpi.TokenForm{
		ocpi.TokenBase64: ocpi.TokenPlain, ocpi.TokenPlain: ocpi.TokenBase64, "": ocpi.TokenPlain,
	} {
		if got := form.Other(); got != other {
			t.Errorf("the other of %q is %q", form, got)
		}
	}
	// Unknown is written as Base64, which the specification asks for.
	token := credentialsToken(t, "abc")
	if got := token.Authorization(""); got != "Token YWJj" {
		t.Errorf("unknown form: %q", got)
	}
	if got := ocpi.PresentedToken("Token %%%", ocpi.TokenBase64); !got.IsZero() {
		t.Error("garbage presents a token")
	}
}
