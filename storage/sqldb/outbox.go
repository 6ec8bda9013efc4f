package sqldb

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"busbar/routing"
	"busbar/storage/seal"
)

// Outbox is the record of broadcasts that have not ended. It implements
// routing.OutboxStore.
//
// Parcels are sealed by the first key and not sealed anew when it is rotated, like
// callbacks: they end soon. On Postgres rows are locked in their order, so that
// replicas which end and adopt the same at once never wait for each other in a
// circle.
type Outbox struct {
	db      *DB
	sealer  *seal.Sealer
	replica routing.ReplicaID
}

var _ routing.OutboxStore = (*Outbox)(nil)

// Outbox gives access to the outbox, whose parcels sealer seals and opens. Of
// revisions only those of the replica can end: one that pushed again what another
// replica had committed knows that revision, and must not end it.
func (db *DB) Outbox(sealer *seal.Sealer, replica routing.ReplicaID) *Outbox {
	return &Outbox{db, sealer, replica}
}

// noteCommit notes a revision of the catalog and what it wrote, in its transaction.
func noteCommit(tx *gorm.DB, revision int64, replica routing.ReplicaID, objects []byte) error {
	// The text is prepared once for each connection to Postgres. A conflict is with
	// what was left by a record that was restored in part.
	return tx.Exec("INSERT INTO outbox_commits (replica, revision, objects) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		string(replica), revision, objects).Error
}

// Save implements routing.OutboxStore.
func (s *Outbox) Save(ctx context.Context, replica routing.ReplicaID, broadcasts []*routing.Broadcast) error {
	if len(broadcasts) == 0 {
		return nil
	}
	var rows []parcelRow
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		rows = nil
		last, err := drawParcels(tx, len(broadcasts))
		if err != nil {
			return err
		}
		if rows, err = s.rows(replica, last-int64(len(broadcasts))+1, broadcasts); err != nil {
			return err
		}
		return insertParcels(tx, rows)
	})
	if err != nil && !s.saved(ctx, rows) {
		return fault("save broadcasts", err)
	}
	for i, b := range broadcasts {
		b.Parcel = rows[i].ID
	}
	return nil
}

// drawParcels gives numbers to so many parcels and tells the last.
func drawParcels(tx *gorm.DB, n int) (last int64, err error) {
	err = tx.Raw("UPDATE outbox_clock SET last_parcel = last_parcel + ? WHERE id = 1 RETURNING last_parcel", n).Scan(&last).Error
	return last, err
}

// settleTimeout bounds the look for a commit whose answer was lost.
const settleTimeout = 3 * time.Second

// saved tells whether the record has rows whose commit ended with an error. No two
// are sealed alike, and numbers that were given back are given again.
func (s *Outbox) saved(ctx context.Context, rows []parcelRow) bool {
	if len(rows) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	var n int64
	err := s.db.read.WithContext(ctx).Model(&parcelRow{}).
		Where("id = ? AND sealed = ?", rows[0].ID, rows[0].Sealed).Count(&n).Error
	return err == nil && n == 1
}

// Ended implements routing.OutboxStore. What is unknown is left alone. A failure
// may leave some of them noted; they may be given again.
func (s *Outbox) Ended(ctx context.Context, revisions, parcels []int64) error {
	for part := range slices.Chunk(rising(revisions), batch) {
		err := s.db.write.WithContext(ctx).Exec("DELETE FROM outbox_commits WHERE replica = ? AND revision "+
			s.among("SELECT revision FROM outbox_commits WHERE replica = ? AND revision IN ? ORDER BY revision"),
			string(s.replica), string(s.replica), part).Error
		if err != nil {
			return fault("note that broadcasts have ended", err)
		}
	}
	for part := range slices.Chunk(rising(parcels), batch) {
		if err := s.change(ctx, func(tx *gorm.DB) error { return s.end(tx, part) }); err != nil {
			return fault("note that broadcasts have ended", err)
		}
	}
	return nil
}

// end keeps the time when the first said that parcels have ended, and forgets what
// nobody needs any more of them and of others of their objects.
func (s *Outbox) end(tx *gorm.DB, parcels []int64) error {
	err := tx.Exec("UPDATE outbox_parcels SET ended_at = ? WHERE id "+
		s.among("SELECT id FROM outbox_parcels WHERE id IN ? AND ended_at IS NULL ORDER BY id"),
		time.Now().UnixMicro(), parcels).Error
	if err != nil {
		return err
	}
	return s.empty(tx, "AND object_hash IN (SELECT object_hash FROM outbox_parcels WHERE id IN ?)", parcels).Error
}

// empty forgets what ended parcels hold, as far as a condition allows, unless an
// older one of the object is open: who sends that again sends them behind it. What
// another replica is about to end, or has just ended, may stay until Forget.
func (s *Outbox) empty(tx *gorm.DB, condition string, arguments ...any) *gorm.DB {
	skip := s.lock()
	if skip != "" {
		skip += " SKIP LOCKED"
	}
	return tx.Exec("UPDATE outbox_parcels SET sealed = NULL WHERE id IN (SELECT id FROM outbox_parcels ended "+
		"WHERE sealed IS NOT NULL AND ended_at IS NOT NULL "+condition+" AND NOT EXISTS ("+olderOpen+")"+skip+")", arguments...)
}

// olderOpen finds a parcel of the object that is open and older than the one
// called ended.
const olderOpen = "SELECT 1 FROM outbox_parcels older WHERE older.object_hash = ended.object_hash " +
	"AND older.owner = ended.owner AND older.id < ended.id AND older.sealed IS NOT NULL AND older.ended_at IS NULL"

// lock ends a SELECT whose rows are about to be changed. SQLite locks no rows: it
// has one writer.
func (s *Outbox) lock() string {
	if s.db.write.Name() == "postgres" {
		return " FOR UPDATE"
	}
	return ""
}

// among matches what a SELECT finds, whose rows it locks in its order. Postgres is
// given an array, which it looks up in the index: of a table that grew since it was
// last analyzed it would join all with all.
func (s *Outbox) among(found string) string {
	if lock := s.lock(); lock != "" {
		return "= ANY (ARRAY(" + found + lock + "))"
	}
	return "IN (" + found + ")"
}

// openReplicas goes from one name to the next in the index, whatever each has open.
const openReplicas = "WITH RECURSIVE names (replica) AS (" +
	"SELECT min(replica) FROM outbox_commits " +
	"UNION ALL SELECT (SELECT min(c.replica) FROM outbox_commits c WHERE c.replica > names.replica) FROM names " +
	"WHERE names.replica IS NOT NULL), " +
	"parcel_names (replica) AS (" +
	"SELECT min(replica) FROM outbox_parcels WHERE sealed IS NOT NULL AND ended_at IS NULL " +
	"UNION ALL SELECT (SELECT min(p.replica) FROM outbox_parcels p WHERE p.sealed IS NOT NULL AND p.ended_at IS NULL AND p.replica > parcel_names.replica) " +
	"FROM parcel_names WHERE parcel_names.replica IS NOT NULL) " +
	"SELECT replica FROM names WHERE replica IS NOT NULL " +
	"UNION SELECT replica FROM parcel_names WHERE replica IS NOT NULL ORDER BY replica"

// Replicas implements routing.OutboxStore. They are sorted.
func (s *Outbox) Replicas(ctx context.Context) ([]routing.ReplicaID, error) {
	var replicas []routing.ReplicaID
	err := s.db.read.WithContext(ctx).Raw(openReplicas).Scan(&replicas).Error
	return replicas, fault("read who has broadcasts open", err)
}

// laterAtOnce is how many later parcels are read at once.
const laterAtOnce = 100

// Later implements routing.OutboxStore. What cannot be opened is left out.
func (s *Outbox) Later(ctx context.Context, b *routing.Broadcast, behind int64) (later []*routing.Broadcast, open bool, err error) {
	tx, n := s.db.read.WithContext(ctx), int64(0)
	err = tx.Table("outbox_parcels").Where("id = ? AND sealed IS NOT NULL AND ended_at IS NULL", b.Parcel).Count(&n).Error
	if err != nil || n == 0 {
		return nil, false, fault("look whether a broadcast has ended", err)
	}
	owner, hashes := s.object(b.Object)
	for more := true; more && len(later) == 0; {
		var rows []parcelRow
		err := tx.Select("id", "sealed").Order("id").Limit(laterAtOnce).
			Where("object_hash IN ? AND id > ? AND owner = ? AND sealed IS NOT NULL", hashes, behind, owner).Find(&rows).Error
		if err != nil {
			return nil, false, fault("read later broadcasts", err)
		}
		for i := range rows {
			behind = rows[i].ID
			if found, err := rows[i].open(s.sealer); err == nil && found.Token() == b.Token() {
				later = append(later, found)
			}
		}
		more = len(rows) == laterAtOnce
	}
	return later, true, nil
}

// LastParcel implements routing.OutboxStore.
func (s *Outbox) LastParcel(ctx context.Context) (last int64, err error) {
	err = s.db.read.WithContext(ctx).Raw("SELECT last_parcel FROM outbox_clock WHERE id = 1").Scan(&last).Error
	return last, fault("read how many broadcasts were kept", err)
}

// Forget implements routing.OutboxStore. A parcel stays while an older one of its
// object is open, which is sent in one with it.
func (s *Outbox) Forget(ctx context.Context, before time.Time) (int64, error) {
	if _, err := forget(ctx, "forget what broadcasts held", s.db, func(tx *gorm.DB) *gorm.DB {
		return s.empty(tx, "")
	}); err != nil {
		return 0, err
	}
	return forget(ctx, "forget broadcasts that have ended", s.db, func(tx *gorm.DB) *gorm.DB {
		skip := s.lock()
		if skip != "" {
			skip += " SKIP LOCKED" // replicas that clean up at once leave each other's rows alone
		}
		return tx.Exec("DELETE FROM outbox_parcels WHERE id IN (SELECT id FROM outbox_parcels ended "+
			"WHERE sealed IS NULL AND ended_at < ? AND NOT EXISTS ("+olderOpen+") LIMIT ?"+skip+")", before.UnixMicro(), batch)
	})
}

// EraseParcels drops every trace of an object, whoever owns it: open ones are not
// sent any more, unless they are under way. Module and id are those of its
// Broadcast.Object.
func (s *Outbox) EraseParcels(ctx context.Context, module, id string) (int64, error) {
	result := s.db.write.WithContext(ctx).Exec("DELETE FROM outbox_parcels WHERE object_hash IN ?", s.hashes(module, id))
	return result.RowsAffected, fault("erase broadcasts", result.Error)
}

// change runs do in a transaction that does not outlive a replica that froze. do
// runs again when the server interrupted it.
func (s *Outbox) change(ctx context.Context, do func(*gorm.DB) error) error {
	return again(func() error {
		return s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := limitLocks(tx); err != nil {
				return err
			}
			return do(tx)
		})
	})
}
