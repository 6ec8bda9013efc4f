package access

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Action is what was done, like platform.suspend.
type Action string

// Outcome is how it ended.
type Outcome string

const (
	// Attempted is what has not ended yet; or the hub ended before, or could not
	// record the end: then it is not known whether it was done.
	Attempted Outcome = "attempted"
	// Done was done, Failed was not: what was asked breaks a rule, or something
	// failed. Refused was not begun, for want of the role.
	Done    Outcome = "done"
	Failed  Outcome = "failed"
	Refused Outcome = "refused"
)

// Entry is one step on the trail. It holds no secret.
type Entry struct {
	// ID sorts as the entries were begun.
	ID    string
	Time  time.Time
	Actor Actor
	// Remote is the address that the request came from, Forwarded what a proxy
	// says of where it had it from, which anybody can say.
	Remote, Forwarded string
	Action            Action
	// Method and Route are those of the request; the route is a pattern.
	Method, Route string
	// Target is the id of what was changed.
	Target  string
	Outcome Outcome
	// Status is that of the answer; 0 while there is none.
	Status int
	// Detail says why it was not done.
	Detail  string
	Changes []Change
}

// Change is one field that changed. Of a secret it says that it changed.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Query asks for entries; zero fields do not matter.
type Query struct {
	// Actor is the id or the name of the actor.
	Actor  string
	Target string
	Action Action
	// Since is inclusive, Until exclusive.
	Since, Until time.Time
	// Before is the ID that the entries have theirs below.
	Before string
	Limit  int
}

// What an entry may be long, in bytes, whatever a request says.
const (
	maxText    = 512
	maxName    = 128
	maxChanges = 32
)

// bounded is the entry as it is kept: most of it stood in a request.
func (e Entry) bounded() Entry {
	e.Actor.ID, e.Actor.Name = plain(e.Actor.ID, maxName), plain(e.Actor.Name, maxName)
	e.Remote, e.Forwarded = plain(e.Remote, maxName), plain(e.Forwarded, maxName)
	e.Action = Action(plain(string(e.Action), maxName))
	e.Method, e.Route = plain(e.Method, maxName), plain(e.Route, maxText)
	e.Target, e.Detail = plain(e.Target, maxName), plain(e.Detail, maxText)
	if len(e.Changes) > maxChanges {
		e.Changes = e.Changes[:maxChanges]
	}
	changes := make([]Change, len(e.Changes))
	for i, c := range e.Changes {
		changes[i] = Change{plain(c.Field, maxName), plain(c.Before, maxText), plain(c.After, maxText)}
	}
	e.Changes = changes
	return e
}

// plain is a text of at most so many bytes in which nothing is hidden: what does
// not print, such as control characters and those that turn the direction of
// writing, is escaped as in Go. What was cut ends in dots.
func plain(s string, most int) string {
	const dots = "…"
	var b strings.Builder
	cut := 0 // where there is still room for the dots
	for i, r := range s {
		b.WriteString(printable(s[i:], r))
		if b.Len() > most {
			return b.String()[:cut] + dots
		}
		if b.Len()+len(dots) <= most {
			cut = b.Len()
		}
	}
	return b.String()
}

// printable is the first rune of s, or its escape.
func printable(s string, r rune) string {
	switch {
	case r == utf8.RuneError && !strings.HasPrefix(s, string(r)):
		return fmt.Sprintf(`\x%02x`, s[0])
	case unicode.IsPrint(r):
		return string(r)
	case r < 1<<16:
		return fmt.Sprintf(`\u%04x`, r)
	default:
		return fmt.Sprintf(`\U%08x`, r)
	}
}
