package routing

import (
	"strconv"
	"strings"

	"busbar/ocpi"
)

// Discreet hands messages on to journals without what names a driver: the uid of
// a Token in a path is replaced by a pseudonym, before anything keeps it. Of OCPI's
// modules only tokens has one there; messages of the others pass as they are. Ids
// of Sessions and CDRs stay: they name no driver, and whoever is asked why one of
// them did not arrive has nothing else to go by. In the path of a module that OCPI
// does not have, or of one that is misspelt, everything is taken for a uid. So is what
// the refusal of a command quotes, which comes out of the body: peers write uids into
// location_id and reservation_id.
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
	switch {
	case m.Module == ocpi.ModuleTokens:
		own := *m
		own.Path = discreetPath(m.Interface, m.Path, d.name)
		m = &own
	case m.Module == ocpi.ModuleCommands && strings.Contains(m.Detail, `"`):
		own := *m
		own.Detail = unquoted(m.Detail, d.name)
		m = &own
	case !m.Module.IsStandard() && m.Path != "":
		own := *m
		own.Path = wordsOf(m.Path, d.name)
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

// unquoted replaces what a refusal quotes.
func unquoted(text string, name func(string) string) string {
	var b strings.Builder
	for {
		before, _, found := strings.Cut(text, `"`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		quoted, err := strconv.QuotedPrefix(text[len(before):])
		value, _ := strconv.Unquote(quoted) // a quoted prefix can be unquoted
		if text = text[len(before)+len(quoted):]; err != nil {
			value, text = text, "" // it is cut off
		}
		b.WriteString(name(value))
	}
}

// DiscreetURL does the same for a path that never became a message, because the
// caller or the URL is unknown. In one that OCPI does not have, anything may stand
// anywhere: only OCPI's own words are kept there.
func DiscreetURL(path string, name func(uid string) string) string {
	side, module, at := routedURL(path)
	switch {
	case at < 0:
		return wordsOf(path, name)
	case module == ocpi.ModuleTokens:
		return path[:at] + discreetPath(side, path[at:], name)
	}
	return path
}

// routedURL takes /ocpi/{version}/{sender|receiver}/{module} apart, of which many
// peers leave out the version. at is where the path behind the module begins; it
// is negative for another URL, and for a module that OCPI does not have.
func routedURL(path string) (side ocpi.InterfaceRole, module ocpi.ModuleID, at int) {
	segments := strings.SplitN(path, "/", 6)
	if len(segments) > 2 && isVersion(segments[2]) {
		segments = append(segments[:2], segments[3:]...)
	}
	if len(segments) < 4 || segments[0] != "" || segments[1] != "ocpi" {
		return "", "", -1
	}
	switch segments[2] {
	case "sender":
		side = ocpi.Sender
	case "receiver":
		side = ocpi.Receiver
	default:
		return "", "", -1
	}
	module, err := ocpi.ParseModuleID(segments[3])
	if err != nil || !module.IsStandard() {
		return "", "", -1
	}
	return side, module, strings.Index(path, "/"+segments[2]+"/") + len(segments[2]) + 2 + len(segments[3])
}

// mostSegments bounds what is told of a URL that OCPI does not have.
const mostSegments = 12

// wordsOf is a path in which every segment that is no word of OCPI's is replaced.
func wordsOf(path string, name func(string) string) string {
	segments := strings.SplitN(path, "/", mostSegments+1)
	for i, s := range segments {
		switch {
		case i == mostSegments:
			segments[i] = "…"
		case s != "" && !isVersion(s) && !words[strings.ToLower(s)]:
			segments[i] = name(unescaped(s))
		}
	}
	return strings.Join(segments, "/")
}

// words may stand in a URL for what they are.
var words = func() map[string]bool {
	all := map[string]bool{
		"ocpi": true, "versions": true, "credentials": true, "hubclientinfo": true, "callback": true,
		"sender": true, "receiver": true, "cpo": true, "emsp": true, "authorize": true,
	}
	for _, m := range ocpi.FunctionalModules {
		all[string(m)] = true
	}
	return all
}()

// isVersion tells what reads like a version of OCPI: 2.2, 2.1.1.
func isVersion(s string) bool {
	return len(s) <= len("2.2.1") && strings.Contains(s, ".") && strings.Trim(s, "0123456789.") == ""
}
