package sqldb

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"busbar/catalog"
	"busbar/routing"
)

// lockAdoption lets replicas adopt one after the other, so that no transaction waits
// for rows of another; what one left in plenty may be shared out; see lockLessons.
const lockAdoption = "SELECT pg_advisory_xact_lock(1651864162, 9)"

// adoptRevisionsAtOnce and adoptParcelsAtOnce are the most that are adopted in one
// transaction. While Redis is gone revisions become many, and all at once would
// never be done in time. Parcels are opened: all of their bodies are in memory, of
// Tokens a few megabytes.
const (
	adoptRevisionsAtOnce = 10_000
	adoptParcelsAtOnce   = 2000
)

// Adopt implements routing.OutboxStore.
func (s *Outbox) Adopt(ctx context.Context, from, to routing.ReplicaID) (revisions []int64, parcels []*routing.Broadcast, err error) {
	for {
		some, sealed, err := s.adoptSome(ctx, from, to)
		revisions, parcels = append(revisions, some...), append(parcels, sealed...)
		if err != nil || len(some) < adoptRevisionsAtOnce {
			return revisions, parcels, err
		}
	}
}

// adoptSome adopts revisions and parcels of one transaction, the oldest first.
func (s *Outbox) adoptSome(ctx context.Context, from, to routing.ReplicaID) (revisions []int64, parcels []*routing.Broadcast, err error) {
	err = s.change(ctx, func(tx *gorm.DB) (err error) {
		revisions, parcels = nil, nil
		if s.lock() != "" {
			if err = tx.Exec(lockAdoption).Error; err != nil {
				return err
			}
		}
		if revisions, err = s.adoptRevisions(tx, from, to); err != nil {
			return err
		}
		parcels, err = s.adoptParcels(tx, from, to)
		return err
	})
	if err != nil && !s.adopted(ctx, to, revisions, parcels) {
		return nil, nil, fault("adopt broadcasts", err)
	}
	return revisions, parcels, nil
}

func (s *Outbox) adoptRevisions(tx *gorm.DB, from, to routing.ReplicaID) (revisions []int64, err error) {
	var found []int64
	err = tx.Raw("SELECT revision FROM outbox_commits WHERE replica = ? ORDER BY revision LIMIT ?"+s.lock(),
		string(from), adoptRevisionsAtOnce).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	err = tx.Raw("UPDATE outbox_commits SET replica = ? WHERE replica = ? AND revision BETWEEN ? AND ? RETURNING revision",
		string(to), string(from), found[0], found[len(found)-1]).Scan(&revisions).Error
	slices.Sort(revisions)
	return revisions, err
}

// adoptParcels opens what a replica has, and ends what cannot be opened.
func (s *Outbox) adoptParcels(tx *gorm.DB, from, to routing.ReplicaID) (parcels []*routing.Broadcast, err error) {
	var rows []parcelRow
	err = tx.Raw("SELECT id, sealed FROM outbox_parcels WHERE replica = ? AND sealed IS NOT NULL AND ended_at IS NULL "+
		"ORDER BY id LIMIT ?"+s.lock(), string(from), adoptParcelsAtOnce).Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	var kept, unreadable []int64
	for i := range rows {
		if b, err := rows[i].open(s.sealer); err == nil {
			parcels, kept = append(parcels, b), append(kept, b.Parcel)
		} else {
			unreadable = append(unreadable, rows[i].ID)
		}
	}
	for part := range slices.Chunk(kept, batch) {
		if err := tx.Exec("UPDATE outbox_parcels SET replica = ? WHERE id IN ?", string(to), part).Error; err != nil {
			return nil, err
		}
	}
	for part := range slices.Chunk(unreadable, batch) {
		if err := s.end(tx, part); err != nil {
			return nil, err
		}
	}
	return parcels, nil
}

// Own implements routing.OutboxStore. What cannot be opened is left out.
func (s *Outbox) Own(ctx context.Context, replica routing.ReplicaID, behind int64) (revisions []int64, parcels []*routing.Broadcast, err error) {
	tx := s.db.read.WithContext(ctx)
	if behind == 0 {
		err := tx.Raw("SELECT revision FROM outbox_commits WHERE replica = ? ORDER BY revision", string(replica)).Scan(&revisions).Error
		if err != nil {
			return nil, nil, fault("read which broadcasts are open", err)
		}
	}
	for more := true; more && len(parcels) == 0; {
		var rows []parcelRow
		err := tx.Raw("SELECT id, sealed FROM outbox_parcels WHERE replica = ? AND id > ? AND sealed IS NOT NULL AND ended_at IS NULL "+
			"ORDER BY id LIMIT ?", string(replica), behind, adoptParcelsAtOnce).Scan(&rows).Error
		if err != nil {
			return nil, nil, fault("read which broadcasts are open", err)
		}
		for i := range rows {
			behind = rows[i].ID
			if b, err := rows[i].open(s.sealer); err == nil {
				parcels = append(parcels, b)
			}
		}
		more = len(rows) == adoptParcelsAtOnce
	}
	return revisions, parcels, nil
}

// adopted tells whether the record has an adoption whose commit ended with an
// error. It is one transaction, so that any of it tells.
func (s *Outbox) adopted(ctx context.Context, to routing.ReplicaID, revisions []int64, parcels []*routing.Broadcast) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	tx, n := s.db.read.WithContext(ctx), int64(0)
	var err error
	switch {
	case len(revisions) > 0:
		err = tx.Table("outbox_commits").Where("revision = ? AND replica = ?", revisions[0], string(to)).Count(&n).Error
	case len(parcels) > 0:
		err = tx.Table("outbox_parcels").Where("id = ? AND replica = ?", parcels[0].Parcel, string(to)).Count(&n).Error
	}
	return err == nil && n == 1
}

// Left implements routing.OutboxStore.
func (s *Outbox) Left(ctx context.Context, revisions []int64, each func(revision int64, row catalog.Row) error) error {
	var commits []struct {
		Revision int64
		Objects  []byte
	}
	err := s.db.read.WithContext(ctx).Raw("SELECT revision, objects FROM outbox_commits WHERE replica = ? AND revision IN ? ORDER BY revision",
		string(s.replica), rising(revisions)).Scan(&commits).Error
	if err != nil {
		return fault("read what open commits wrote", err)
	}
	for _, commit := range commits {
		rows := s.db.read.WithContext(ctx)
		if commit.Objects == nil {
			rows = rows.Raw("SELECT "+catalogColumns+" FROM catalog WHERE revision = ? ORDER BY seq", commit.Revision)
		} else {
			keys := slices.Collect(slices.Chunk(commit.Objects, keyLength))
			rows = rows.Raw("SELECT "+catalogColumns+" FROM catalog WHERE key IN ? ORDER BY seq", keys)
		}
		var reader catalogReader
		if _, err := reader.read(rows, func(row catalog.Row) error { return each(commit.Revision, row) }); err != nil {
			return fault("read what open commits wrote", err)
		}
	}
	return nil
}
