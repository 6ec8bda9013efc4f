package routing

import (
	"context"
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// Broadcast is an accepted push on its way to every party that it is meant for.
// It never changes once it is appended.
type Broadcast struct {
	// Object is what keeps its order: module, owner and folded id of the top
	// object, like "locations/NLCPA/loc1".
	Object string
	// Owner is the party in the object's URL, From the one that sent it.
	Owner, From ocpi.PartyKey
	// Platform is the sender's, which gets no leg.
	Platform parties.PlatformID
	Accepted time.Time

	CorrelationID string
	Method        string
	Version       ocpi.Version
	Module        ocpi.ModuleID
	// Path and Query are the sender's bytes, escaped.
	Path, Query string
	Body        []byte

	// Revision is the catalog's that has the push; 0 for what is not kept.
	Revision int64
	// Present tells that Method and Body are not a sender's: they are made of what
	// the catalog has when the broadcast is delivered. So it is never older than
	// what was delivered before.
	Present bool
}

// BroadcastLog carries accepted broadcasts from whoever accepted them to
// whoever fans them out. Delivery is at least once.
type BroadcastLog interface {
	// Append takes a broadcast on. Broadcasts of one object come out in the
	// order in which Append was called. It does not block; kept waits until the
	// log has the broadcast safely, and is nil when it has it already.
	Append(b *Broadcast) (kept func(context.Context) error)
	// Run hands broadcasts to deliver, those of one object in order, until ctx
	// ends; then it hands out what was appended before, waits until all are done,
	// and returns. deliver must not block; it calls done when every leg has
	// ended.
	Run(ctx context.Context, deliver func(b *Broadcast, done func()))
}
