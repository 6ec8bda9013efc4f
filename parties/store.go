package parties

import (
	"context"
	"errors"
	"fmt"
	"time"

	"busbar/ocpi"
)

// ErrNotFound says that there is no such platform.
var ErrNotFound = errors.New("no such platform")

// ErrStale says that the platform changed since it was read; read it again and
// decide anew.
var ErrStale = errors.New("the platform was changed meanwhile")

// TakenError says that another platform claims the party in that role (C8).
type TakenError struct{ Claim ocpi.PartyRole }

func (e *TakenError) Error() string {
	return fmt.Sprintf("party %s is already claimed by another platform", e.Claim)
}

// Record is all that the directory is made of, at one revision.
type Record struct {
	Platforms  []Platform
	Agreements []Agreement
	Revision   int64
}

// Store is the record of platforms and agreements. Every successful Create,
// Update, Delete, PutAgreement and DeleteAgreement is one transaction that
// raises the directory revision by one and returns it; commits become visible
// in the order of their revisions.
type Store interface {
	// Revision is the newest directory revision; 0 for an empty store.
	Revision(ctx context.Context) (int64, error)
	// All returns everything, and the revision it was read at.
	All(ctx context.Context) (Record, error)
	// Get returns one platform, or ErrNotFound.
	Get(ctx context.Context, id PlatformID) (Platform, error)
	// Create inserts a platform, whose Revision it ignores. It fails with a
	// *TakenError when another platform holds one of its Claims, and with any
	// error when its ID or a token is already in use.
	Create(ctx context.Context, p Platform) (revision int64, err error)
	// Update replaces the platform with p.ID whole, except LastSeen. It fails
	// with ErrNotFound, ErrStale or a *TakenError.
	Update(ctx context.Context, p Platform) (revision int64, err error)
	// Delete removes a platform, or fails with ErrNotFound.
	Delete(ctx context.Context, id PlatformID) (revision int64, err error)
	// Seen raises LastSeen of the platforms named, never lowers it, ignores
	// unknown ones, and leaves the revision alone.
	Seen(ctx context.Context, seen map[PlatformID]time.Time) error

	// Agreements returns every agreement, and the revision they were read at.
	Agreements(ctx context.Context) (all []Agreement, revision int64, err error)
	// PutAgreement makes or replaces the agreement of its pair. It returns all
	// agreements as they then are.
	PutAgreement(ctx context.Context, a Agreement) (all []Agreement, revision int64, err error)
	// DeleteAgreement removes the agreement of a pair, the lesser party first,
	// or fails with ErrNoAgreement. It returns what is left.
	DeleteAgreement(ctx context.Context, pair [2]ocpi.PartyKey) (left []Agreement, revision int64, err error)
}

// Change is the news that a directory revision was committed.
type Change struct {
	Revision int64
	// ID is the platform that was created, updated or deleted. Empty, without
	// Agreements: news may have been missed, read everything.
	ID PlatformID
	// Agreements tells that the agreements were changed, and no platform.
	Agreements bool
}

// Cache holds a copy of the registrations that all replicas share, and carries
// the news between them. It may lose everything at any time; Store is the
// record. Outbound tokens are sealed in it as they are in the store.
type Cache interface {
	// Load returns the copy and the revision it stands for. ok is false when
	// there is none.
	Load(ctx context.Context) (record Record, ok bool, err error)
	// Revision is the one that the copy stands for. ok is false when there is none.
	Revision(ctx context.Context) (revision int64, ok bool, err error)
	// Get returns one platform of the copy, without an ID when it is not there, and
	// the revision up to which the copy has its changes; 0 without a copy. That may
	// be beyond the revision that the copy stands for.
	Get(ctx context.Context, id PlatformID) (p Platform, revision int64, err error)
	// Agreements returns those of the copy, with a revision as Get's.
	Agreements(ctx context.Context) (all []Agreement, revision int64, err error)
	// Fill replaces the whole copy, unless it already stands for a newer
	// revision.
	Fill(ctx context.Context, record Record) error
	// ForgetBeyond throws the copy away if it holds changes newer than the
	// store's newest revision: the store was set back to a backup.
	ForgetBeyond(ctx context.Context, newest int64) error
	// Announce brings one change into the copy and tells the other replicas.
	// A nil platform was deleted. An older revision of a platform never
	// replaces a newer one.
	Announce(ctx context.Context, c Change, p *Platform) error
	// AnnounceAgreements brings all agreements, as a revision changed them, into
	// the copy and tells the other replicas. Older ones never replace newer ones.
	AnnounceAgreements(ctx context.Context, all []Agreement, revision int64) error
	// Watch calls news for every change announced by any replica, this one
	// included, until ctx ends, and returns ctx.Err(). After every (re)connect
	// it calls news with an empty ID.
	Watch(ctx context.Context, news func(Change)) error
}
