package sqldb

import (
	"context"
	"encoding/json"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"busbar/ocpi"
	"busbar/parties"
)

// agreementRow is a row of migration 00006.
type agreementRow struct {
	Party   string `gorm:"primaryKey"`
	Other   string `gorm:"primaryKey"`
	Modules string
}

func (agreementRow) TableName() string { return "agreements" }

func newAgreementRow(a parties.Agreement) (agreementRow, error) {
	modules, err := json.Marshal(append([]ocpi.ModuleID{}, a.Modules...))
	if err != nil {
		return agreementRow{}, fmt.Errorf("encode modules: %w", err)
	}
	return agreementRow{Party: a.Parties[0].String(), Other: a.Parties[1].String(), Modules: string(modules)}, nil
}

func (row *agreementRow) agreement() (a parties.Agreement, err error) {
	for i, party := range []string{row.Party, row.Other} {
		if err := a.Parties[i].UnmarshalText([]byte(party)); err != nil {
			return a, fmt.Errorf("agreement of %q and %q: %w", row.Party, row.Other, err)
		}
	}
	if err := json.Unmarshal([]byte(row.Modules), &a.Modules); err != nil {
		return a, fmt.Errorf("agreement of %q and %q: modules: %w", row.Party, row.Other, err)
	}
	return a, nil
}

func loadAgreements(tx *gorm.DB) ([]parties.Agreement, error) {
	var rows []agreementRow
	if err := tx.Order("party, other").Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make([]parties.Agreement, len(rows))
	for i := range rows {
		var err error
		if all[i], err = rows[i].agreement(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Agreements implements parties.Store.
func (s *Platforms) Agreements(ctx context.Context) (all []parties.Agreement, revision int64, err error) {
	err = s.db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		if revision, err = revisionOf(tx); err != nil {
			return err
		}
		all, err = loadAgreements(tx)
		return err
	})
	return all, revision, fault("load agreements", err)
}

// PutAgreement implements parties.Store.
func (s *Platforms) PutAgreement(ctx context.Context, a parties.Agreement) (all []parties.Agreement, revision int64, err error) {
	row, err := newAgreementRow(a)
	if err != nil {
		return nil, 0, err
	}
	revision, err = s.change(ctx, "save agreement", func(tx *gorm.DB, _ int64) (err error) {
		if err = tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
			return err
		}
		all, err = loadAgreements(tx)
		return err
	})
	return all, revision, err
}

// DeleteAgreement implements parties.Store.
func (s *Platforms) DeleteAgreement(ctx context.Context, pair [2]ocpi.PartyKey) (left []parties.Agreement, revision int64, err error) {
	revision, err = s.change(ctx, "delete agreement", func(tx *gorm.DB, _ int64) (err error) {
		result := tx.Where("party = ? AND other = ?", pair[0].String(), pair[1].String()).Delete(&agreementRow{})
		if result.Error != nil {
			return result.Error
		}
		if result.RowsAffected == 0 {
			return parties.ErrNoAgreement
		}
		left, err = loadAgreements(tx)
		return err
	})
	return left, revision, err
}
