package routing

import (
	"context"
	"strings"
	"time"

	"busbar/catalog"
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

	// Revision is the catalog's that has the push; 0 for what is not kept. That has
	// a Parcel instead, its number in the outbox.
	Revision, Parcel int64
	// Overtaken tells that a later push under the same Revision has written the
	// object: in the place of one that comes again goes its present state.
	Overtaken bool
	// Present tells that Method and Body are not a sender's: they are made of what
	// the catalog has when the broadcast is delivered. So it is never older than
	// what was delivered before. Of what the catalog does not keep it tells that
	// later pushes of the object may have been delivered before this one.
	Present bool
	// Repeated tells that it was handed over before, to whatever replica, or stands for
	// what was accepted before: its legs may be counted already. Only counters look at
	// it.
	Repeated bool
}

// Token names the driver's token that a push in module tokens is about: the uid
// together with the type, which the URL gives (2.2.1 mod_tokens, Token object and
// PUT).
func (b *Broadcast) Token() string {
	return b.Object + "?type=" + strings.ToUpper(tokenTypeOf(b.Query))
}

// BroadcastLog carries accepted broadcasts from whoever accepted them to the
// replica that fans them out. Delivery is at least once.
type BroadcastLog interface {
	// Append takes a broadcast on, without blocking: a log that cannot be reached
	// is given it later. Broadcasts of one object come out in the order in which
	// Append was called; what comes out of it otherwise, since several replicas
	// append, is handed over as Again. ended, which may be nil, is called once, when
	// every leg has ended, on whichever replica.
	//
	// taken is closed when the broadcast has its place: what any replica appends from
	// then on comes out behind it. It is closed, too, when the log does not keep up
	// with what is appended: nobody should wait for long, and whoever appends then has
	// no order with other replicas. Nil: there is nothing to wait for.
	Append(b *Broadcast, ended func()) (taken <-chan struct{})
	// Run hands broadcasts to deliver, those of one object in order, until ctx
	// ends; then it hands out what no other replica will, waits until all that it
	// handed out is done, and returns. deliver may block for a broadcast that comes
	// Again, and for the first of a Tenure. When for a while nothing is done any
	// more, Run returns all the same: what is left comes again, to whoever runs next.
	Run(ctx context.Context, deliver func(Handed))
	// CutShort makes a Run whose ctx has ended do so at once.
	CutShort()
}

// Handed is a broadcast that a log hands to this replica.
type Handed struct {
	*Broadcast
	// Again tells that the broadcast may have been delivered before, or that a
	// newer one of its object may have been. Then nothing may be sent that is older
	// than what was: see Newest.
	Again bool
	// Newest is, with Again, the highest Revision that may have been delivered
	// before this one.
	Newest int64
	// Tenure is new whenever another replica may have worked this broadcast's part
	// of the log in between. Nil: none does.
	Tenure *Tenure
	// Held tells whether this replica may still send it: another one may have
	// taken over meanwhile. Nil: it always may.
	Held func() bool
	// Done is to be called once, when every leg has ended; not when Held said no.
	Done func()
}

// ReplicaID tells the processes of one hub apart; each start has its own.
type ReplicaID string

// Fleet is what a replica knows of the others.
type Fleet interface {
	// Gone are those of the replicas that gave no sign of life for so long that
	// they are dead or have lost their work. Nobody is, while that cannot be told.
	Gone(ids []ReplicaID) []ReplicaID
	// Mine tells whether this replica is the one to do what one is enough for,
	// like asking a platform whether it is alive. For a moment, while replicas come
	// and go, it may be more than one, or none.
	Mine(key string) bool
}

// OutboxStore is the record of broadcasts that were accepted and have not ended.
// Of what the catalog keeps, catalog.Store.Commit has noted the revision, together
// with the replica that made it.
type OutboxStore interface {
	// Save keeps broadcasts that the catalog does not keep, sealed, all or none,
	// and gives each its Parcel, rising.
	Save(ctx context.Context, replica ReplicaID, broadcasts []*Broadcast) error
	// Ended notes that the broadcasts of revisions and parcels have ended. A body is
	// forgotten as soon as no older parcel of its object is open: see Later. A
	// revision that is another replica's stays.
	Ended(ctx context.Context, revisions, parcels []int64) error
	// Replicas are those that have something open.
	Replicas(ctx context.Context) ([]ReplicaID, error)
	// Adopt makes what a replica has open another's, and tells what that is, in
	// order. Of two that adopt the same at once, one gets each. A parcel that cannot
	// be opened is ended. Of many parcels some may be left, to be adopted by the next
	// call. An error may come with a part of it, and leaves open whether there was more.
	Adopt(ctx context.Context, from, to ReplicaID) (revisions []int64, parcels []*Broadcast, err error)
	// Own are what a replica has open: with behind 0 the revisions, and in order some
	// of the parcels that are behind a number; none when there are no more.
	Own(ctx context.Context, replica ReplicaID, behind int64) (revisions []int64, parcels []*Broadcast, err error)
	// Left calls each for every row of the catalog that open commits of this replica
	// wrote, as it is now: a later commit may have written it again, for another part
	// of the object. revision is the open commit's.
	Left(ctx context.Context, revisions []int64, each func(revision int64, row catalog.Row) error) error
	// Later are the pushes of the parcel's Token that were accepted behind another
	// parcel, in order, ended or not: whoever sends the parcel again sends what they
	// make of it. They are some; what follows is behind the last of them. open tells
	// that the parcel has not ended, nor was erased. Else nothing of it need be sent,
	// and later may be incomplete.
	Later(ctx context.Context, b *Broadcast, behind int64) (later []*Broadcast, open bool, err error)
	// LastParcel is the highest number that Save has given.
	LastParcel(ctx context.Context) (int64, error)
	// Forget drops what is left of parcels that ended before the time.
	Forget(ctx context.Context, before time.Time) (int64, error)
}
