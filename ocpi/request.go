package ocpi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Headers of every routed message, in the specification's spelling: some peers
// compare exactly (2.2.1 transport_and_format, Message Routing Headers and
// Unique message IDs).
const (
	HeaderToPartyID       = "OCPI-to-party-id"
	HeaderToCountryCode   = "OCPI-to-country-code"
	HeaderFromPartyID     = "OCPI-from-party-id"
	HeaderFromCountryCode = "OCPI-from-country-code"
	HeaderRequestID       = "X-Request-ID"
	HeaderCorrelationID   = "X-Correlation-ID"
	HeaderTotalCount      = "X-Total-Count"
	HeaderLimit           = "X-Limit"
	HeaderLink            = "Link"
	HeaderLocation        = "Location"
)

// Address is one pair of routing headers: the party, and the two values as
// they were written, since case is folded for comparison only.
type Address struct {
	Party       PartyKey
	CountryCode string
	PartyID     string
}

// AddressOf writes a party the canonical way.
func AddressOf(k PartyKey) Address {
	return Address{Party: k, CountryCode: k.CountryCode(), PartyID: k.PartyID()}
}

// ParseAddress reads a pair of routing headers. Both absent is the zero
// Address; one alone, or a value that is no party, is an error that names the
// header. direction is "to" or "from".
func ParseAddress(direction, countryCode, partyID string) (Address, error) {
	if countryCode == "" && partyID == "" {
		return Address{}, nil
	}
	missing := ""
	if countryCode == "" {
		missing = "country-code"
	} else if partyID == "" {
		missing = "party-id"
	}
	if missing != "" {
		return Address{}, Errorf(InvalidParameters,
			"header OCPI-%s-%s is missing: the two OCPI-%s headers go together", direction, missing, direction)
	}
	key, err := ParsePartyKey(countryCode, partyID)
	if err != nil {
		return Address{}, Errorf(InvalidParameters,
			"headers OCPI-%s-country-code and OCPI-%s-party-id: %v", direction, direction, err)
	}
	// They are sent on, without the space around them that ParsePartyKey passes over.
	return Address{Party: key, CountryCode: strings.TrimSpace(countryCode), PartyID: strings.TrimSpace(partyID)}, nil
}

// IsZero tells that no party is addressed.
func (a Address) IsZero() bool { return a.Party.IsZero() }

// Request is a message of a functional module on its way through the hub. Path
// and Query are the sender's bytes, still escaped.
type Request struct {
	Method    string
	Version   Version
	Module    ModuleID
	Interface InterfaceRole
	// Path is what follows the module in the URL, with its leading slash;
	// empty for the module's own URL.
	Path string
	// Query is without the question mark.
	Query         string
	From, To      Address
	RequestID     string
	CorrelationID string
	// Body is forwarded byte for byte; nil when there is none.
	Body []byte
}

// IsAuthorize tells the real-time authorisation of a driver's token, POST
// {token_uid}/authorize on the tokens Sender interface (2.2.1 mod_tokens).
func (r *Request) IsAuthorize() bool {
	return r.Module == ModuleTokens && r.Interface == Sender && r.Method == "POST" &&
		strings.HasSuffix(strings.TrimSuffix(r.Path, "/"), "/authorize")
}

// IsWrite tells the methods that change something at the receiver.
func (r *Request) IsWrite() bool {
	switch r.Method {
	case "POST", "PUT", "PATCH", "DELETE":
		return true
	}
	return false
}

// CheckPath refuses what could lead out of the module's endpoint at the
// receiver: dot segments, plain, escaped, or hidden behind an escaped slash or
// backslash, or before the semicolon that Java servers cut off; broken escapes;
// control characters. Everything else, empty segments and escaped slashes
// included, is the sender's business.
func CheckPath(escaped string) error {
	decoded := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			if i+2 >= len(escaped) || unhex(escaped[i+1]) < 0 || unhex(escaped[i+2]) < 0 {
				return fmt.Errorf("URL path has a broken percent escape")
			}
			c = byte(unhex(escaped[i+1])<<4 | unhex(escaped[i+2]))
			i += 2
		}
		if c < 0x20 || c == 0x7f {
			return fmt.Errorf("URL path has a control character")
		}
		if c == '\\' {
			c = '/'
		}
		decoded = append(decoded, c)
	}
	for start := 0; start <= len(decoded); {
		end := start
		for end < len(decoded) && decoded[end] != '/' {
			end++
		}
		segment, _, _ := bytes.Cut(decoded[start:end], []byte{';'})
		if s := string(segment); s == "." || s == ".." {
			return fmt.Errorf("URL path has a %q segment", s)
		}
		start = end + 1
	}
	return nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// NewMessageID draws a value for X-Request-ID or X-Correlation-ID: a random
// UUID (2.2.1 transport_and_format, Unique message IDs).
func NewMessageID() string {
	var raw [16]byte
	var text [36]byte
	// Not secret, only unique: the runtime's generator is seeded by the system
	// and needs no system call.
	binary.NativeEndian.PutUint64(raw[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(raw[8:], rand.Uint64())
	raw[6] = raw[6]&0x0f | 0x40 // version 4
	raw[8] = raw[8]&0x3f | 0x80 // RFC 9562 variant
	hex.Encode(text[:8], raw[:4])
	hex.Encode(text[9:13], raw[4:6])
	hex.Encode(text[14:18], raw[6:8])
	hex.Encode(text[19:23], raw[8:10])
	hex.Encode(text[24:], raw[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
