package sqldb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/storage/seal"
)

// Platforms is the record of platforms and agreements. It implements
// parties.Store.
type Platforms struct {
	db     *DB
	sealer *seal.Sealer
}

var _ parties.Store = (*Platforms)(nil)

// Platforms gives access to the platforms, whose outbound tokens sealer seals
// and opens.
func (db *DB) Platforms(sealer *seal.Sealer) *Platforms { return &Platforms{db: db, sealer: sealer} }

// batch bounds the rows of one statement, whose parameters SQLite limits to
// 32,766.
const batch = 1000

// Revision implements parties.Store.
func (s *Platforms) Revision(ctx context.Context) (int64, error) {
	revision, err := revisionOf(s.db.read.WithContext(ctx))
	return revision, fault("read the directory revision", err)
}

func revisionOf(tx *gorm.DB) (revision int64, err error) {
	err = tx.Raw("SELECT revision FROM directory").Scan(&revision).Error
	return revision, err
}

// All implements parties.Store. The order of the platforms is that of the ids.
func (s *Platforms) All(ctx context.Context) (record parties.Record, err error) {
	err = s.db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		if record.Revision, err = revisionOf(tx); err != nil {
			return err
		}
		if record.Agreements, err = loadAgreements(tx); err != nil {
			return err
		}
		record.Platforms, err = load(tx, "", s.sealer)
		return err
	})
	if err != nil {
		return parties.Record{}, fault("load the directory", err)
	}
	return record, nil
}

// Get implements parties.Store.
func (s *Platforms) Get(ctx context.Context, id parties.PlatformID) (p parties.Platform, err error) {
	if id == "" || !isText(string(id)) {
		return p, parties.ErrNotFound
	}
	err = s.db.snapshot(ctx, func(tx *gorm.DB) error {
		found, err := load(tx, id, s.sealer)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return parties.ErrNotFound
		}
		p = found[0]
		return nil
	})
	return p, fault("load platform "+string(id), err)
}

// Create implements parties.Store. An id that is taken already is an error
// without a name.
func (s *Platforms) Create(ctx context.Context, p parties.Platform) (int64, error) {
	return s.change(ctx, "create platform "+string(p.ID), func(tx *gorm.DB, revision int64) error {
		row, err := newPlatformRow(p, revision, s.sealer)
		if err != nil {
			return err
		}
		if err := checkClaims(tx, p); err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return insertParts(tx, p)
	})
}

// Update implements parties.Store.
func (s *Platforms) Update(ctx context.Context, p parties.Platform) (int64, error) {
	return s.change(ctx, "update platform "+string(p.ID), func(tx *gorm.DB, revision int64) error {
		row, err := newPlatformRow(p, revision, s.sealer)
		if err != nil {
			return err
		}
		result := tx.Model(&platformRow{}).Where("id = ? AND revision = ?", row.ID, p.Revision).
			Select("*").Omit("id", "last_seen").Updates(row)
		if result.Error != nil {
			return result.Error
		}
		if result.RowsAffected == 0 {
			return missed(tx, p.ID)
		}
		if err := checkClaims(tx, p); err != nil {
			return err
		}
		for _, part := range []any{&partyRow{}, &endpointRow{}, &tokenRow{}} {
			if err := tx.Where("platform_id = ?", row.ID).Delete(part).Error; err != nil {
				return err
			}
		}
		return insertParts(tx, p)
	})
}

// missed says why an update found no row.
func missed(tx *gorm.DB, id parties.PlatformID) error {
	var n int64
	if err := tx.Model(&platformRow{}).Where("id = ?", string(id)).Count(&n).Error; err != nil {
		return err
	}
	if n == 0 {
		return parties.ErrNotFound
	}
	return parties.ErrStale
}

// Delete implements parties.Store.
func (s *Platforms) Delete(ctx context.Context, id parties.PlatformID) (int64, error) {
	if !isText(string(id)) {
		return 0, parties.ErrNotFound
	}
	return s.change(ctx, "delete platform "+string(id), func(tx *gorm.DB, _ int64) error {
		// The other tables follow: ON DELETE CASCADE.
		result := tx.Where("id = ?", string(id)).Delete(&platformRow{})
		if result.Error == nil && result.RowsAffected == 0 {
			return parties.ErrNotFound
		}
		return result.Error
	})
}

// change runs do in one transaction that raises the directory revision. The
// raise comes first: it locks the row, so that changes are made one after the
// other and become visible in the order of their revisions.
func (s *Platforms) change(ctx context.Context, what string, do func(tx *gorm.DB, revision int64) error) (revision int64, err error) {
	err = again(func() error {
		return s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := limitLocks(tx); err != nil {
				return err
			}
			raise := tx.Raw("UPDATE directory SET revision = revision + 1 WHERE id = 1 RETURNING revision").Scan(&revision)
			if raise.Error != nil {
				return raise.Error
			}
			return do(tx, revision)
		})
	})
	if err != nil {
		return 0, fault(what, err)
	}
	return revision, nil
}

// checkClaims fails with a *TakenError naming the first of p's claims that
// another platform holds. Changes are serial, so what it finds stays true.
func checkClaims(tx *gorm.DB, p parties.Platform) error {
	claims := p.Claims()
	countries, ids := make(map[string]bool), make(map[string]bool)
	for _, claim := range claims {
		countries[claim.Party.CountryCode()] = true
		ids[claim.Party.PartyID()] = true
	}
	// Any combination of the countries and ids: row values in IN are not
	// portable, and the few rows too many are sorted out here.
	var rows []partyRow
	if err := tx.Where("platform_id <> ? AND country_code IN ? AND party_id IN ?",
		string(p.ID), slices.Collect(maps.Keys(countries)), slices.Collect(maps.Keys(ids))).Find(&rows).Error; err != nil {
		return err
	}
	taken := make(map[ocpi.PartyRole]bool, len(rows))
	for i := range rows {
		claim, err := rows[i].claim()
		if err != nil {
			return err
		}
		taken[claim] = true
	}
	for _, claim := range claims {
		if taken[claim] {
			return &parties.TakenError{Claim: claim}
		}
	}
	return nil
}

// insertParts writes the platform's rows in the other tables.
func insertParts(tx *gorm.DB, p parties.Platform) error {
	if rows := newPartyRows(p); len(rows) > 0 {
		if err := tx.CreateInBatches(rows, batch).Error; err != nil {
			return err
		}
	}
	if rows := newEndpointRows(p); len(rows) > 0 {
		if err := tx.CreateInBatches(rows, batch).Error; err != nil {
			return err
		}
	}
	if rows := newTokenRows(p); len(rows) > 0 {
		return tx.CreateInBatches(rows, batch).Error
	}
	return nil
}

// fault says what failed, but leaves the refusals that parties.Store names as
// they are.
func fault(what string, err error) error {
	var taken *parties.TakenError
	if err == nil || errors.Is(err, parties.ErrNotFound) || errors.Is(err, parties.ErrStale) ||
		errors.Is(err, parties.ErrNoAgreement) || errors.As(err, &taken) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
