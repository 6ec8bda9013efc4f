package routing

import (
	"strings"

	"busbar/ocpi"
)

// Discreet hands messages on to journals without what names a driver: the uid of
// a Token in a path is replaced by a pseudonym, before anything keeps it. Only
// messages of module tokens have one there; all others pass as they are. Ids of
// Sessions and CDRs stay: they name no driver, and whoever is asked why one of
// them did not arrive has nothing else to go by.
type Discreet struct {
	name     func(uid string) string
	journals []Journal
}

// NewDiscreet makes the journal in front of others. name returns the pseudonym of
// a token, which must stand in a path as it is.
func NewDiscreet(name func(uid string) string, journals ...Journal) *Discreet {
	return &Discreet{name: name, journals: journals}
}

// Record implements Journal.
func (d *Discreet) Record(m *Message) {
	if m.Module == ocpi.ModuleTokens {
		own := *m
		own.Path = discreetPath(m.Interface, m.Path, d.name)
		m = &own
	}
	for _, j := range d.journals {
		j.Record(m)
	}
}

// RecordLegs implements Journal. Legs name no object.
func (d *Discreet) RecordLegs(l *Legs) {
	for _, j := range d.journals {
		j.RecordLegs(l)
	}
}

// discreetPath replaces the token's uid in a path behind module tokens:
// /{country_code}/{party_id}/{token_uid} of the Receiver interface and
// /{token_uid}/authorize of the Sender interface (2.2.1 mod_tokens). In a path
// that is neither, everything is taken for a uid.
func discreetPath(side ocpi.InterfaceRole, path string, name func(uid string) string) string {
	owner, uid, action := "/", strings.TrimPrefix(path, "/"), ""
	switch {
	case strings.Trim(path, "/") == "":
		return path // a list
	case side == ocpi.Sender:
		if before, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/authorize"); ok {
			uid, action = strings.TrimPrefix(before, "/"), "/authorize"
		}
	default:
		countryCode, rest, _ := strings.Cut(uid, "/")
		partyID, rest, _ := strings.Cut(rest, "/")
		if _, err := ocpi.ParsePartyKey(unescaped(countryCode), unescaped(partyID)); err == nil {
			owner, uid = "/"+countryCode+"/"+partyID+"/", rest
		}
	}
	if uid = strings.TrimSuffix(uid, "/"); uid == "" {
		return path
	}
	return owner + name(unescaped(uid)) + action
}

// DiscreetURL does the same for a path that never became a message, because the
// caller or the URL is unknown: what follows the name of the module is taken for
// a uid unless it reads otherwise.
func DiscreetURL(path string, name func(uid string) string) string {
	at := strings.Index(strings.ToLower(path), "/tokens/")
	if at < 0 {
		return path
	}
	head, rest := path[:at+len("/tokens")], path[at+len("/tokens"):]
	side := ocpi.Receiver
	if strings.HasSuffix(strings.TrimSuffix(rest, "/"), "/authorize") {
		side = ocpi.Sender
	}
	return head + discreetPath(side, rest, name)
}
