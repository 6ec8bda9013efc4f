package sqldb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"busbar/catalog"
	"busbar/routing"
)

// Catalog is the record of what was broadcast. It implements catalog.Store.
type Catalog struct {
	db      *DB
	replica routing.ReplicaID
	// known is the record's clock as it was last seen.
	known atomic.Pointer[clock]
	// inVain are how many bytes the last commit sent in vain, since others were
	// faster.
	inVain atomic.Int64
}

var _ catalog.Store = (*Catalog)(nil)

// Catalog gives access to the catalog. What it commits has broadcasts under way,
// by the replica, until Outbox.Ended says that they have ended.
func (db *DB) Catalog(replica routing.ReplicaID) *Catalog { return &Catalog{db: db, replica: replica} }

// loadPage is how many objects Load reads by one statement. Pages keep Postgres
// from sorting the whole table, documents included, once updates have scattered
// the rows; and an each that fails does not have to wait for the rest.
const loadPage = 2000

// Revision implements catalog.Store.
func (s *Catalog) Revision(ctx context.Context) (int64, error) {
	now, err := readClock(s.db.read.WithContext(ctx))
	if err != nil {
		return 0, fault("read the catalog revision", err)
	}
	s.known.Store(&now)
	return now.Revision, nil
}

// Load implements catalog.Store.
func (s *Catalog) Load(ctx context.Context, each func(catalog.Row) error) (revision, lastSeq int64, err error) {
	var now clock
	err = s.db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		if now, err = readClock(tx); err != nil {
			return err
		}
		var reader catalogReader
		for after, n := int64(0), loadPage; n == loadPage; {
			n, err = reader.read(tx.Raw("SELECT "+catalogColumns+" FROM catalog "+
				"WHERE seq > ? AND NOT deleted ORDER BY seq LIMIT ?", after, loadPage), func(row catalog.Row) error {
				after = row.Seq
				return each(row)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, fault("load the catalog", err)
	}
	s.known.Store(&now)
	return now.Revision, now.LastSeq, nil
}

// Since implements catalog.Store.
func (s *Catalog) Since(ctx context.Context, revision int64) (rows []catalog.Row, upTo int64, err error) {
	p, err := readPart(s.db.read.WithContext(ctx), revision)
	if err != nil {
		return nil, 0, fault("read what is new in the catalog", err)
	}
	s.known.Store(&p.clock)
	return p.rows, p.upTo, nil
}

// Commit implements catalog.Store. When decide returns no rows, the revision is
// the one that newer leads up to.
//
// Of several rows with one key the last is written. Text that a database cannot
// hold, which no JSON document contains, is replaced by U+FFFD: one peer's bytes
// must not fail the batch of all others.
func (s *Catalog) Commit(ctx context.Context, have int64, decide catalog.Decide) (revision int64, err error) {
	began := time.Now()
	if s.db.write.Name() == "postgres" {
		revision, err = s.commitBesideOthers(ctx, have, decide)
	} else {
		revision, err = s.commitAlone(ctx, have, decide)
	}
	switch {
	case errors.Is(err, catalog.ErrBehind):
		return 0, catalog.ErrBehind
	case interrupted(err, began):
		return 0, fmt.Errorf("%w: %v", catalog.ErrInterrupted, err)
	case err != nil:
		return 0, fault("write to the catalog", err)
	}
	return revision, nil
}

// commitAlone is for SQLite, where a transaction that writes keeps others out from
// its beginning.
func (s *Catalog) commitAlone(ctx context.Context, have int64, decide catalog.Decide) (revision int64, err error) {
	var before error // the end
	err = s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		revision, before = s.commitIn(tx, have, decide)
		return before
	})
	if before != nil || noRoom(err) {
		err = nothingWritten(err)
	}
	return revision, err
}

func (s *Catalog) commitIn(tx *gorm.DB, have int64, decide catalog.Decide) (revision int64, err error) {
	p, err := readPart(tx, have)
	if err != nil {
		return 0, err
	}
	if err := p.behind(); err != nil {
		return 0, err
	}
	rows := decide(p.rows, p.Revision+1, p.LastSeq)
	if len(rows) == 0 {
		return p.Revision, nil
	}
	set, next := columnsOf(rows, p.clock)
	if err := noteCommit(tx, next.Revision, s.replica, set.objects()); err != nil {
		return 0, err
	}
	if err := insertMany(tx, "catalog", set.columns(), catalogConflict); err != nil {
		return 0, err
	}
	return next.Revision, tx.Exec("UPDATE catalog_clock SET revision = ?, last_seq = ? WHERE id = 1",
		next.Revision, next.LastSeq).Error
}

// nothingWritten marks an error that came when nothing could have been written.
func nothingWritten(err error) error {
	return fmt.Errorf("%w: %w", catalog.ErrNothingWritten, err)
}

// Settle implements catalog.Store. The clock's row is locked by a commit until it
// ends, so that one which is under way is waited for. What was committed is noted
// until Outbox.Ended, which is told only of what was sent.
func (s *Catalog) Settle(ctx context.Context, revision int64) (written bool, err error) {
	err = again(func() error {
		return s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := limitLocks(tx); err != nil {
				return err
			}
			raise := "UPDATE catalog_clock SET revision = ? WHERE id = 1 AND revision = ?"
			if err := tx.Exec(raise, revision, revision-1).Error; err != nil {
				return err
			}
			return tx.Raw("SELECT EXISTS (SELECT 1 FROM outbox_commits WHERE replica = ? AND revision = ?)",
				string(s.replica), revision).Scan(&written).Error
		})
	})
	return written, fault("look for a commit", err)
}

// ForgetDeleted implements catalog.Store.
func (s *Catalog) ForgetDeleted(ctx context.Context, before time.Time) (int64, error) {
	return forget(ctx, "forget deleted objects", s.db, func(tx *gorm.DB) *gorm.DB {
		// A row that Commit is about to bring back is left alone.
		old := tx.Model(&catalogRow{}).Select("key").Where("deleted AND changed_at < ?", before.UnixMicro()).
			Limit(batch).Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
		return tx.Where("key IN (?)", old).Delete(&catalogRow{})
	})
}

// clock is the one row of catalog_clock.
type clock struct{ Revision, LastSeq int64 }

func readClock(tx *gorm.DB) (now clock, err error) {
	err = tx.Raw("SELECT revision, last_seq FROM catalog_clock").Scan(&now).Error
	return now, err
}

// forget deletes step by step, since a long transaction would hold up the one
// writing connection of SQLite.
func forget(ctx context.Context, what string, db *DB, step func(*gorm.DB) *gorm.DB) (int64, error) {
	for sum := int64(0); ; {
		result := step(db.write.WithContext(ctx))
		sum += result.RowsAffected
		if result.Error != nil || result.RowsAffected < batch {
			return sum, fault(what, result.Error)
		}
	}
}
