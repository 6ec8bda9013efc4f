package sqldb

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
}

var _ catalog.Store = (*Catalog)(nil)

// Catalog gives access to the catalog. What it commits has broadcasts under way,
// by the replica, until Outbox.Ended says that they have ended.
func (db *DB) Catalog(replica routing.ReplicaID) *Catalog { return &Catalog{db, replica} }

// loadPage is how many objects Load reads by one statement. Pages keep Postgres
// from sorting the whole table, documents included, once updates have scattered
// the rows; and an each that fails does not have to wait for the rest.
const loadPage = 2000

// Revision implements catalog.Store.
func (s *Catalog) Revision(ctx context.Context) (int64, error) {
	now, err := readClock(s.db.read.WithContext(ctx))
	return now.Revision, fault("read the catalog revision", err)
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
	return now.Revision, now.LastSeq, nil
}

// Since implements catalog.Store.
func (s *Catalog) Since(ctx context.Context, revision int64) (rows []catalog.Row, upTo int64, err error) {
	err = s.db.snapshot(ctx, func(tx *gorm.DB) error {
		now, err := readClock(tx)
		if err != nil || now.Revision <= revision {
			upTo = now.Revision
			return err
		}
		if upTo, err = partOf(tx, revision, now.Revision); err != nil {
			return err
		}
		rows, err = newerThan(tx, revision, upTo)
		return err
	})
	if err != nil {
		return nil, 0, fault("read what is new in the catalog", err)
	}
	return rows, upTo, nil
}

// sincePage is after how many objects Since ends with their revision, sinceBytes
// before how many bytes of documents; one revision is given whole.
const (
	sincePage  = 2000
	sinceBytes = 32 << 20
)

// partOf is the revision that ends a part of what is newer than a revision: that
// of the last object of a page, or the newest.
func partOf(tx *gorm.DB, revision, newest int64) (upTo int64, err error) {
	var sizes []struct{ Revision, Size int64 }
	err = tx.Raw("SELECT revision, COALESCE(OCTET_LENGTH(document), 0) AS size FROM catalog "+
		"WHERE revision > ? ORDER BY revision LIMIT ?", revision, sincePage).Scan(&sizes).Error
	if err != nil {
		return 0, err
	}
	upTo = newest
	// whole is the last revision that ended before the present one.
	var whole, present, bytes int64
	for _, s := range sizes {
		if s.Revision != present {
			whole, present = present, s.Revision
		}
		if bytes += s.Size; bytes > sinceBytes && whole > 0 {
			return whole, nil
		}
	}
	if len(sizes) == sincePage {
		upTo = present
	}
	return upTo, nil
}

// newerThan are the objects with a revision behind the first up to the other.
func newerThan(tx *gorm.DB, revision, upTo int64) (rows []catalog.Row, err error) {
	var reader catalogReader
	_, err = reader.read(tx.Raw("SELECT "+catalogColumns+" FROM catalog WHERE revision > ? AND revision <= ? "+
		"ORDER BY revision, seq", revision, upTo),
		func(row catalog.Row) error {
			rows = append(rows, row)
			return nil
		})
	return rows, err
}

// At implements catalog.Store.
func (s *Catalog) At(ctx context.Context, revisions []int64, each func(catalog.Row) error) error {
	var reader catalogReader
	for part := range slices.Chunk(rising(revisions), batch) {
		_, err := reader.read(s.db.read.WithContext(ctx).Raw("SELECT "+catalogColumns+" FROM catalog "+
			"WHERE revision IN ? ORDER BY revision, seq", part), each)
		if err != nil {
			return fault("read what revisions of the catalog have", err)
		}
	}
	return nil
}

// rising are the numbers in order, each once.
func rising(numbers []int64) []int64 {
	sorted := slices.Clone(numbers)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// errNothing rolls a transaction back that has nothing to write.
var errNothing = errors.New("nothing to write")

// Commit implements catalog.Store. It is never tried again by itself. When
// decide returns no rows, the revision is the one that newer leads up to.
//
// Of several rows with one key the last is written. Text that a database cannot
// hold, which no JSON document contains, is replaced by U+FFFD: one peer's bytes
// must not fail the batch of all others.
func (s *Catalog) Commit(ctx context.Context, have int64, decide func(newer []catalog.Row, revision, lastSeq int64) []catalog.Row) (revision int64, err error) {
	began := time.Now()
	err = s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := limitLocks(tx); err != nil {
			return err
		}
		next, err := raiseClock(tx)
		if err != nil {
			return err
		}
		var newer []catalog.Row
		if have < next.Revision-1 {
			// The raised clock keeps other writers out, and what they committed
			// before is visible: Postgres looks anew in each statement.
			upTo, err := partOf(tx, have, next.Revision)
			if err != nil {
				return err
			}
			if upTo < next.Revision {
				return catalog.ErrBehind
			}
			if newer, err = newerThan(tx, have, next.Revision); err != nil {
				return err
			}
		}
		revision = next.Revision
		rows := decide(newer, next.Revision, next.LastSeq)
		if len(rows) == 0 {
			revision--
			return errNothing
		}
		if err := noteCommit(tx, next.Revision, s.replica, rows); err != nil {
			return err
		}
		return write(tx, rows, next)
	})
	switch {
	case errors.Is(err, catalog.ErrBehind):
		return 0, catalog.ErrBehind
	case interrupted(err, began):
		return 0, fmt.Errorf("%w: %v", catalog.ErrInterrupted, err)
	case err != nil && !errors.Is(err, errNothing):
		return 0, fault("write to the catalog", err)
	}
	return revision, nil
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

// raiseClock locks the row, so that catalog transactions are made one after the
// other and become visible in the order of their revisions.
func raiseClock(tx *gorm.DB) (next clock, err error) {
	err = tx.Raw("UPDATE catalog_clock SET revision = revision + 1 WHERE id = 1 RETURNING revision, last_seq").Scan(&next).Error
	return next, err
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
