package routing

import (
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Leg is one receiver of a message that goes to several.
type Leg struct {
	Party    ocpi.PartyKey
	Receiver *parties.Entry
	Target   *peer.Target
}

// Exclusion is a party that gets no leg, and why.
type Exclusion struct {
	Party  ocpi.PartyKey
	Reason string
}

// Receivers are the parties that a push of from, on its platform, is broadcast
// to, each once (2.2.1 transport_and_format, Broadcast Push; protocol.md,
// Broadcast targets). excluded, when it is not nil, is called for every other
// party that is known.
func Receivers(v View, from ocpi.PartyKey, platform parties.PlatformID, m ocpi.ModuleID, excluded func(Exclusion)) []Leg {
	return nil
}
