package ocpi

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"unique"
)

// CredentialsToken is the secret with which one platform calls another: A, B
// or C of the registration (2.2.1 credentials). It prints as "[redacted]"
// everywhere; Reveal is the only way to the characters.
//
// The secret stands behind a handle because fmt walks into unexported fields,
// past every method of ours: in a struct printed with %+v it shows an address.
// Equal tokens have equal handles, so == compares tokens.
type CredentialsToken struct{ secret unique.Handle[string] }

const redacted = "[redacted]"

// MaxTokenLength is the longest credentials token, in characters (2.2.1
// credentials, Credentials object).
const MaxTokenLength = 64

// ParseCredentialsToken checks the rule of the Credentials object: 1 to 64
// characters from U+0021 to U+007E. The error never holds the token.
func ParseCredentialsToken(s string) (CredentialsToken, error) {
	if s == "" {
		return CredentialsToken{}, fmt.Errorf("must not be empty")
	}
	if len(s) > MaxTokenLength {
		return CredentialsToken{}, fmt.Errorf("must have at most %d characters, has %d", MaxTokenLength, len(s))
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x21 || s[i] > 0x7e {
			return CredentialsToken{}, fmt.Errorf("character %d is not printable ASCII (U+0021 to U+007E)", i+1)
		}
	}
	return CredentialsToken{unique.Make(s)}, nil
}

// NewCredentialsToken mints a token with 160 random bits. It contains hyphens,
// so it is never valid Base64: whoever receives it plain or encoded can be told
// apart.
func NewCredentialsToken() CredentialsToken {
	var raw [20]byte
	rand.Read(raw[:]) // never fails: crypto/rand aborts the process instead
	h := hex.EncodeToString(raw[:])
	return CredentialsToken{unique.Make(h[:8] + "-" + h[8:16] + "-" + h[16:24] + "-" + h[24:32] + "-" + h[32:])}
}

// Reveal returns the characters: for a request to the peer, for sealing, and
// for the one answer that hands the token out.
func (t CredentialsToken) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.secret.Value()
}

// IsZero tells that there is no token.
func (t CredentialsToken) IsZero() bool { return t == CredentialsToken{} }

// Hash is what is stored of an inbound token.
func (t CredentialsToken) Hash() TokenHash { return sha256.Sum256([]byte(t.Reveal())) }

// String, GoString, LogValue and MarshalText keep the secret out of logs,
// errors and JSON.
func (t CredentialsToken) String() string               { return redacted }
func (t CredentialsToken) GoString() string             { return redacted }
func (t CredentialsToken) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (t CredentialsToken) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// TokenHash is the SHA-256 of an inbound credentials token. 160 random bits
// need no salt.
type TokenHash [sha256.Size]byte

// TokenForm is how a platform expects the token in the Authorization header.
type TokenForm string

// The two forms seen in the field: 2.2-d2 and later require Base64, many
// implementations send and expect the plain characters (2.2.1
// transport_and_format, Authorization header).
const (
	TokenBase64 TokenForm = "base64"
	TokenPlain  TokenForm = "plain"
)

// Other is the form to try after a 401.
func (f TokenForm) Other() TokenForm {
	if f == TokenPlain {
		return TokenBase64
	}
	return TokenPlain
}

// Authorization is the header's value for the token in this form.
func (t CredentialsToken) Authorization(form TokenForm) string {
	if form == TokenPlain {
		return "Token " + t.Reveal()
	}
	return "Token " + base64.StdEncoding.EncodeToString([]byte(t.Reveal()))
}

// ReadAuthorization calls known with the hash of each reading of an
// Authorization header, until it answers true: the Base64 form first, then the
// plain one; the word "Token" may be missing. It returns the form that was
// known.
func ReadAuthorization(header string, known func(TokenHash) bool) (TokenForm, bool) {
	value := withoutScheme(header)
	if value == "" || len(value) > 2*MaxTokenLength {
		return "", false
	}
	var buf [2 * MaxTokenLength]byte
	if n, err := base64.RawStdEncoding.Decode(buf[:], []byte(strings.TrimRight(value, "="))); err == nil {
		// The specification's own samples encode a trailing line feed.
		for n > 0 && (buf[n-1] == '\n' || buf[n-1] == '\r') {
			n--
		}
		if n > 0 && known(sha256.Sum256(buf[:n])) {
			return TokenBase64, true
		}
	}
	if known(sha256.Sum256([]byte(value))) {
		return TokenPlain, true
	}
	return "", false
}

// PresentedToken is the token that an Authorization header holds, once
// ReadAuthorization has told its form.
func PresentedToken(header string, form TokenForm) CredentialsToken {
	value := withoutScheme(header)
	if form == TokenBase64 {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
		if err != nil {
			return CredentialsToken{}
		}
		value = strings.TrimRight(string(raw), "\r\n")
	}
	if value == "" {
		return CredentialsToken{}
	}
	return CredentialsToken{unique.Make(value)}
}

// withoutScheme is the Authorization header without the word "Token".
func withoutScheme(header string) string {
	value := strings.TrimSpace(header)
	if len(value) >= 6 && strings.EqualFold(value[:5], "token") && value[5] == ' ' {
		value = strings.TrimSpace(value[6:])
	}
	return value
}
