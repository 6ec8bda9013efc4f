package access

import (
	"fmt"
	"time"
)

// Role is what somebody may do on the admin listener.
type Role string

const (
	// Viewer reads all that the admin API shows, and changes nothing.
	Viewer Role = "viewer"
	// Operator reads and changes everything.
	Operator Role = "operator"
)

// ParseRole reads a role. The error is written for whoever chose it.
func ParseRole(s string) (Role, error) {
	if r := Role(s); r == Viewer || r == Operator {
		return r, nil
	}
	return "", fmt.Errorf("must be %s or %s", Operator, Viewer)
}

// Includes tells whether the role may do what another one is needed for. What
// names no role is for operators alone.
func (r Role) Includes(least Role) bool {
	return r == Operator || r == Viewer && least == Viewer
}

// Kind is what an actor is.
type Kind string

// The kinds of actors.
const (
	KindRoot     Kind = "root"
	KindToken    Kind = "token"
	KindPlatform Kind = "platform"
)

// Actor is somebody who acts on the hub.
type Actor struct {
	Kind Kind
	// ID is that of the token or platform; root's is "root".
	ID string
	// Name is what people call it: a token's name, which may be another's later.
	Name string
	// Role is empty for platforms, which do not use the admin API.
	Role Role
	// ExpiresAt is when the actor ends; zero is never.
	ExpiresAt time.Time
}

// RootName is the name and the id of root.
const RootName = "root"

// Root is whoever holds the token of BUSBAR_ADMIN_TOKEN.
func Root() Actor { return Actor{Kind: KindRoot, ID: RootName, Name: RootName, Role: Operator} }

// MayGrantUntil tells whether the actor may make a token that ends at a time:
// whoever ends must not stay on in a token that it made. Zero is never.
func (a Actor) MayGrantUntil(end time.Time) bool {
	return a.ExpiresAt.IsZero() || !end.IsZero() && !end.After(a.ExpiresAt)
}
