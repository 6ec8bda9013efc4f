package routing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"busbar/ocpi"
)

// segment is the n-th segment of an escaped path, counted from 0; empty when
// there is none.
func segment(path string, n int) string {
	path = strings.TrimPrefix(path, "/")
	for ; n > 0; n-- {
		_, path, _ = strings.Cut(path, "/")
	}
	path, _, _ = strings.Cut(path, "/")
	return path
}

// ownedObject reads /{country_code}/{party_id}/{id}… of a Client Owned Object.
// It does not allocate when nothing is escaped.
func ownedObject(path string) (owner ocpi.PartyKey, id string, ok bool) {
	countryCode, partyID := segment(path, 0), segment(path, 1)
	if countryCode == "" || partyID == "" {
		return ocpi.PartyKey{}, "", false
	}
	owner, err := ocpi.ParsePartyKey(unescaped(countryCode), unescaped(partyID))
	if err != nil {
		return ocpi.PartyKey{}, "", false
	}
	id = unescaped(segment(path, 2))
	return owner, id, id != ""
}

// authorizedUID is the token's uid in the path of an authorisation. Some do not
// escape the slashes in it.
func authorizedUID(path string) string {
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/"), "/authorize")
	return unescaped(strings.TrimPrefix(path, "/"))
}

// defaultTokenType is the type of a token in a URL without ?type= (2.2.1
// mod_tokens).
const defaultTokenType = "RFID"

// tokenTypeOf is the type of a token by its URL.
func tokenTypeOf(query string) string {
	if given := givenTokenType(query); given != "" {
		return given
	}
	return defaultTokenType
}

// givenTokenType reads ?type= of a token's URL; empty when there is none.
func givenTokenType(query string) string {
	for query != "" {
		var parameter string
		parameter, query, _ = strings.Cut(query, "&")
		if value, ok := strings.CutPrefix(parameter, "type="); ok && value != "" {
			if decoded, err := url.QueryUnescape(value); err == nil {
				return decoded
			}
			return value
		}
	}
	return ""
}

// cdrToken is what a Session or CDR says of the driver's token (2.2.1 mod_cdrs,
// CdrToken).
type cdrToken struct {
	// issuer is zero when the party is left out.
	issuer         ocpi.PartyKey
	uid, tokenType string
}

func cdrTokenOf(body []byte) cdrToken {
	object := member(body, "cdr_token")
	token := cdrToken{uid: textMember(object, "uid"), tokenType: textMember(object, "type")}
	if token.tokenType == "" {
		token.tokenType = defaultTokenType
	}
	if countryCode := textMember(object, "country_code"); countryCode != "" {
		if issuer, err := ocpi.ParsePartyKey(countryCode, textMember(object, "party_id")); err == nil {
			token.issuer = issuer
		}
	}
	return token
}

// member is the value of an object's member; nil when it does not stand there
// exactly once, so that no receiver reads another one than the hub.
func member(object []byte, name string) []byte {
	found := ocpi.FindMember(object, name)
	if len(found) != 1 {
		return nil
	}
	return object[found[0].Start:found[0].End]
}

// textMember is the same as text. Field-quirks: ids written as numbers.
func textMember(object []byte, name string) string {
	value := member(object, name)
	if len(value) == 0 {
		return ""
	}
	switch c := value[0]; {
	case c == '"' && bytes.IndexByte(value, '\\') < 0:
		return strings.TrimSpace(string(value[1 : len(value)-1]))
	case c == '"':
		var text string
		if json.Unmarshal(value, &text) != nil {
			return ""
		}
		return strings.TrimSpace(text)
	case c == '-' || '0' <= c && c <= '9':
		return string(value)
	}
	return ""
}

// quoted names an object in a message; a long id is cut off.
func quoted(kind, id string) string { return fmt.Sprintf("%s %.40q", kind, id) }

// collect picks parties out of pairs, each once.
func collect(pairs []Pair, pick func(Pair) (ocpi.PartyKey, bool)) []ocpi.PartyKey {
	var found []ocpi.PartyKey
	for _, pair := range pairs {
		if party, ok := pick(pair); ok && !party.IsZero() && !slices.Contains(found, party) {
			found = append(found, party)
		}
	}
	sortParties(found)
	return found
}

func sortParties(parties []ocpi.PartyKey) {
	slices.SortFunc(parties, func(a, b ocpi.PartyKey) int { return bytes.Compare(a[:], b[:]) })
}
