package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"busbar/ocpi"
)

// listIn finds the list of an OCPI answer: data, which some peers fill with a
// single object, or items, as an open data platform has it. Nil: o is a
// Location itself.
func listIn(o object) json.RawMessage {
	for _, name := range [...]string{"data", "items"} {
		if raw := o.get(name); raw != nil && o.get("coordinates") == nil {
			return raw
		}
	}
	return nil
}

// syntaxFault names the line of a JSON error. A Decoder counts from where it
// last began, so the offset is found anew.
func syntaxFault(content []byte, line int, err error) error {
	if whole := json.Unmarshal(content, new(json.RawMessage)); whole != nil {
		err = whole
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		line += bytes.Count(content[:min(int(syntax.Offset), len(content))], []byte("\n"))
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// add takes one Location, or counts why not.
func (l *loader) add(raw json.RawMessage, line int) {
	raw = bytes.TrimSpace(raw)
	o, err := readObject(raw)
	if err != nil {
		l.skip(line, "", "not an object")
		return
	}
	id := o.text("id")
	if id == "" {
		l.skip(line, "", "no id")
		return
	}
	owner, stated := ownerOf(o)
	if owner.IsZero() {
		owner = l.fallback
	}
	if owner.IsZero() {
		l.skip(line, id, "no country_code and party_id, and no evse_id to tell them")
		return
	}
	key := fold(owner.String(), id)
	if l.seen[key] {
		l.skip(line, id, "id stands twice")
		return
	}
	l.seen[key] = true
	if !stated {
		raw = withOwner(o, owner)
	}
	l.Locations = append(l.Locations, Location{
		Owner: owner, ID: id, LastUpdated: looseTime(o.text("last_updated")), Doc: raw,
	})
}

// ownerOf reads country_code and party_id, or takes them from an evse_id.
// stated tells that the document has them itself.
func ownerOf(o object) (owner ocpi.PartyKey, stated bool) {
	if key, err := ocpi.ParsePartyKey(o.text("country_code"), o.text("party_id")); err == nil {
		return key, true
	}
	var evses []struct {
		ID text `json:"evse_id"`
	}
	if json.Unmarshal(o.get("evses"), &evses) != nil {
		return ocpi.PartyKey{}, false
	}
	for _, e := range evses {
		if key, ok := operatorOf(string(e.ID)); ok {
			return key, false
		}
	}
	return ocpi.PartyKey{}, false
}

// operatorOf reads the first five characters of an eMI3 EVSE id, with or
// without separators: "NL*TNM*E1", "NLTNME1". The sixth must be the E of EVSE,
// else it is some other numbering.
func operatorOf(evseID string) (ocpi.PartyKey, bool) {
	plain := strings.NewReplacer("*", "", ".", "", "-", "", " ", "").Replace(strings.ToUpper(evseID))
	if len(plain) < 6 || plain[5] != 'E' {
		return ocpi.PartyKey{}, false
	}
	for _, c := range []byte(plain[:2]) {
		if c < 'A' || c > 'Z' {
			return ocpi.PartyKey{}, false
		}
	}
	key, err := ocpi.ParsePartyKey(plain[:2], plain[2:5])
	return key, err == nil
}

// withOwner puts the owner first and drops what stood in its place.
func withOwner(o object, owner ocpi.PartyKey) json.RawMessage {
	fixed := object{{"country_code", encode(owner.CountryCode())}, {"party_id", encode(owner.PartyID())}}
	for _, m := range o {
		if m.name != "country_code" && m.name != "party_id" {
			fixed = append(fixed, m)
		}
	}
	return fixed.bytes()
}

// looseTime reads what real peers write for a DateTime: with a space, with an
// offset, too. Zero when it cannot.
func looseTime(s string) time.Time {
	if t, err := ocpi.ParseTime(s); err == nil {
		return t
	}
	s = strings.Replace(s, " ", "T", 1)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC()
	}
	t, _ := ocpi.ParseTime(s) // zero is the answer for what is no time
	return t
}

// ByOwner groups Locations by the CPO that owns them, in the order in which the
// owners first appear.
func ByOwner(locations []Location) (owners []ocpi.PartyKey, of map[ocpi.PartyKey][]Location) {
	of = map[ocpi.PartyKey][]Location{}
	for _, l := range locations {
		if _, known := of[l.Owner]; !known {
			owners = append(owners, l.Owner)
		}
		of[l.Owner] = append(of[l.Owner], l)
	}
	return owners, of
}
