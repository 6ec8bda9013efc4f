package routing

import (
	"busbar/ocpi"
	"busbar/parties"
)

// View is everything a plan is made from. It never changes, but for Known,
// which answers from memory.
type View struct {
	Snapshot *parties.Snapshot
	Hub      ocpi.PartyKey
	Known    Known
}

// Known is what the hub has learned about who has what: from traffic, and from
// what it keeps. Ids are unique per owner only, so most answers may be several;
// ids are compared without case. What is not known is an empty answer.
type Known interface {
	// Location are the owners of Locations with the id.
	Location(id string) []ocpi.PartyKey
	// Tariff are the owners of Tariffs with the id.
	Tariff(id string) []ocpi.PartyKey
	// Token are the eMSPs that issued the token.
	Token(uid, tokenType string) []ocpi.PartyKey
	// Session are the CPOs of sessions with the id, each with the eMSP that it
	// was sent to.
	Session(id string) []Pair
	// Reservation is where the party's reservation was placed.
	Reservation(from ocpi.PartyKey, id string) []ocpi.PartyKey
	// Profile is the party whose charging profile was last accepted for the
	// CPO's session.
	Profile(cpo ocpi.PartyKey, sessionID string) []ocpi.PartyKey
}

// Pair is an owner, and the party that it shared an object with.
type Pair struct{ Owner, With ocpi.PartyKey }
