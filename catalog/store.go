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
// what others wrote is too much to be read by a commit, which they may overtake or
// have to wait for.
var ErrBehind = errors.New("too much was written since")

// ErrInterrupted says that the record's server ended a commit before its time, as
// it does when its clock jumps, or for the sake of another one. Nothing was written,
// and it can be tried again.
var ErrInterrupted = errors.New("the record's server interrupted the commit")

// ErrNothingWritten marks an error of Commit that came when decide had run, and yet
// surely left nothing.
var ErrNothingWritten = errors.New("nothing was written")

// Decide says what to write, given what others wrote, by rising revision, the
// revision to be written and the highest Seq ever given. It may be asked again,
// when another replica was faster: its last answer counts.
type Decide = func(newer []Row, revision, lastSeq int64) []Row

// Store is the record of the catalog. Its revision counts commits; each is built
// on the one before, and revisions become visible in their order.
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
	// Commit reads the rows that others wrote after the revision have, lets decide
	// say what to write, and writes it as the next revision, in one transaction and
	// only if no other replica wrote meanwhile: then all is done anew. decide sets
	// Key, Seq, LastUpdated, Document, Deleted and ChangedAt; Commit sets Revision.
	// When Commit returns an error nothing was written, unless decide ran and the
	// error is none of ErrNothingWritten, ErrInterrupted and ErrBehind: then it may
	// be from the commit itself, and the caller asks Settle about the revision that
	// was decided last.
	// A decide that returns no rows commits nothing; it was told the newest state.
	// When there is more newer than Since returns at once, the error is ErrBehind.
	Commit(ctx context.Context, have int64, decide Decide) (revision int64, err error)
	// Settle tells whether the record has this replica's commit of a revision, however
	// much of it was written over since. What another replica took over, to send it,
	// does not count. When the record has not come to the revision yet, Settle raises
	// it, without rows: what is still on its way there comes too late.
	Settle(ctx context.Context, revision int64) (written bool, err error)
	// ForgetDeleted drops the rows of objects that were deleted before the time.
	ForgetDeleted(ctx context.Context, before time.Time) (int64, error)
}
