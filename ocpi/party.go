package ocpi

import (
	"fmt"
	"strings"
)

// PartyKey addresses a party: an ISO-3166 alpha-2 country code and a party id
// of one to three characters, in upper case (2.2.1 credentials,
// CredentialsRole). It is comparable; the zero value means no party.
type PartyKey [5]byte

// ParsePartyKey folds case, since both parts are CiStrings (2.2.1 types), and
// surrounding spaces. The error names the part at fault and the rule.
func ParsePartyKey(countryCode, partyID string) (PartyKey, error) {
	var key PartyKey
	countryCode, partyID = strings.TrimSpace(countryCode), strings.TrimSpace(partyID)
	if len(countryCode) != 2 || !foldInto(key[:2], countryCode) || key[0] < 'A' || key[1] < 'A' {
		return PartyKey{}, fmt.Errorf("country code %q: must be two letters", clip(countryCode))
	}
	if len(partyID) < 1 || len(partyID) > 3 || !foldInto(key[2:], partyID) {
		return PartyKey{}, fmt.Errorf("party id %q: must be one to three letters or digits", clip(partyID))
	}
	return key, nil
}

// ParseParty reads the compact form "NLCPA" that settings and the admin API
// use.
func ParseParty(s string) (PartyKey, error) {
	if len(s) < 3 || len(s) > 5 {
		return PartyKey{}, fmt.Errorf("party %q: must be a country code and a party id, like NLCPA", clip(s))
	}
	return ParsePartyKey(s[:2], s[2:])
}

// foldInto writes s into dst in upper case. It refuses what is neither letter
// nor digit: such a key could not stand in a URL segment or a header.
func foldInto(dst []byte, s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			dst[i] = c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			dst[i] = c
		default:
			return false
		}
	}
	return true
}

// CountryCode is the two-letter part.
func (k PartyKey) CountryCode() string { return string(k[:2]) }

// PartyID is the part after the country code.
func (k PartyKey) PartyID() string {
	n := len(k)
	for n > 2 && k[n-1] == 0 {
		n--
	}
	return string(k[2:n])
}

// String is the compact form, "NLCPA"; empty for no party.
func (k PartyKey) String() string {
	if k.IsZero() {
		return ""
	}
	return k.CountryCode() + k.PartyID()
}

// IsZero tells that no party is meant.
func (k PartyKey) IsZero() bool { return k == PartyKey{} }

// MarshalText writes the compact form, so that a PartyKey stands in JSON and
// logs as "NLCPA".
func (k PartyKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the compact form; empty means no party.
func (k *PartyKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = PartyKey{}
		return nil
	}
	parsed, err := ParseParty(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// clip keeps a peer's value short enough for an error message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
