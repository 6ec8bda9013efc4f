package catalog

import (
	"context"
	"errors"
	"time"

	"busbar/ocpi"
)

// Key names an object: a Location with its EVSEs and Connectors, or a Tariff.
type Key struct {
	Module ocpi.ModuleID
	Owner  ocpi.PartyKey
	// ID is folded to lower case, since ids are CiStrings (2.2.1 types); the
	// document keeps the spelling.
	ID string
}

// Row is an object in the record.
type Row struct {
	Key Key
	// Seq is the place in the order of first arrival. It never changes, and an
	// object that was deleted and comes back gets a new one.
	Seq int64
	// Revision is the catalog revision that last wrote the row.
	Revision int64
	// LastUpdated is the document's, for date filters.
	LastUpdated time.Time
	// Document is the object's JSON; nil for a deleted one, whose row remains
	// for a while so that other replicas learn of it.
	Document []byte
	Deleted  bool
	// ChangedAt is when the row was last written.
	ChangedAt time.Time
}

// ErrBehind says that the committer has to follow the record before it commits:
// what others wrote is too much to be read while they are held back.
var ErrBehind = errors.New("too much was written since")

// ErrInterrupted says that the record's server ended a commit before its time, as
// it does when its clock jumps. Nothing was written, and it can be tried again.
var ErrInterrupted = errors.New("the record's server interrupted the commit")

// Store is the record of the catalog. Its revision counts commits; it is raised
// first in every transaction, which holds back all other replicas until the
// commit, so that revisions become visible in their order.
type Store interface {
	// Revision is the newest one; 0 for an empty record.
	Revision(ctx context.Context) (int64, error)
	// Load calls each for every row that is not deleted, by rising Seq, and
	// returns the revision they were read at and the highest Seq ever given. The
	// row's Document belongs to each. It reads in one transaction, without
	// holding all rows in memory.
	Load(ctx context.Context, each func(Row) error) (revision, lastSeq int64, err error)
	// Since returns the rows with a higher revision, deleted ones included, by
	// rising revision, and the revision up to which that is everything. It may
	// end before the newest one when they are many or large, but not where it
	// began.
	Since(ctx context.Context, revision int64) ([]Row, int64, error)
	// At calls each for every row whose last write was one of the revisions, deleted
	// ones included, by rising revision; of it at least Key, Seq, Revision, Deleted
	// and Document are set. It does not hold all rows in memory, and ends with each's
	// error.
	At(ctx context.Context, revisions []int64, each func(Row) error) error
	// Commit raises the revision in a transaction, reads the rows that others
	// wrote after the revision have, and lets decide say what to write. newer
	// are those rows, by rising revision; revision is the new one and lastSeq the
	// highest Seq ever given. decide sets Key, Seq, LastUpdated, Document,
	// Deleted and ChangedAt; Commit sets Revision. decide runs at most once.
	// When Commit returns an error nothing was written, unless the error is from
	// the commit itself: then the caller cannot know, and compares revisions.
	// A decide that returns no rows commits nothing. When there is more newer than
	// Since returns at once, decide does not run and the error is ErrBehind. After
	// ErrInterrupted it may have run, to no effect.
	Commit(ctx context.Context, have int64, decide func(newer []Row, revision, lastSeq int64) []Row) (revision int64, err error)
	// ForgetDeleted drops the rows of objects that were deleted before the time.
	ForgetDeleted(ctx context.Context, before time.Time) (int64, error)
}
