package sqldb

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/seal"
)

// EraseLessons implements routing.LessonStore, in one transaction.
func (s *Lessons) EraseLessons(ctx context.Context, erasures []routing.Erasure, now time.Time) (int64, error) {
	rows := make([]erasureRow, len(erasures))
	for i, e := range erasures {
		var err error
		if rows[i], err = newErasureRow(e, s.sealer, now); err != nil {
			return 0, fault("erase lessons", err)
		}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	erased := int64(0)
	err := s.change(ctx, func(tx *gorm.DB) error {
		erased = 0
		for _, e := range erasures {
			from := tx.Where("key IN ?", s.stored(e.Key))
			if !e.Owner.IsZero() {
				from = from.Where("owner = ?", e.Owner.String())
			}
			result := from.Delete(&lessonRow{})
			if result.Error != nil {
				return result.Error
			}
			erased += result.RowsAffected
		}
		return tx.Create(&rows).Error
	})
	return erased, fault("erase lessons", err)
}

// Erasures implements routing.LessonStore. One that no secret opens any more is
// left out: it is older than the secrets.
func (s *Lessons) Erasures(ctx context.Context) ([]routing.Erasure, error) {
	var rows []erasureRow
	if err := s.db.read.WithContext(ctx).Order("at, sealed").Find(&rows).Error; err != nil {
		return nil, fault("load erasures", err)
	}
	erasures := make([]routing.Erasure, 0, len(rows))
	for i := range rows {
		if e, err := rows[i].erasure(s.sealer); err == nil {
			erasures = append(erasures, e)
		}
	}
	return erasures, nil
}

func (s *Lessons) forgetErasures(ctx context.Context, now time.Time) error {
	old := now.Add(-routing.ErasureLife).UnixMicro()
	return s.db.write.WithContext(ctx).Where("at <= ?", old).Delete(&erasureRow{}).Error
}

// erasureRow is a row of migration 00012. Sealed is different each time that the
// same is erased.
type erasureRow struct {
	Sealed string `gorm:"primaryKey"`
	At     int64
}

func (erasureRow) TableName() string { return "erasures" }

func newErasureRow(e routing.Erasure, sealer *seal.Sealer, now time.Time) (erasureRow, error) {
	sealed, err := sealer.Seal(string(e.Key[:])+e.Owner.String(), seal.Erasure, "")
	return erasureRow{Sealed: sealed, At: now.UnixMicro()}, err
}

func (row *erasureRow) erasure(sealer *seal.Sealer) (routing.Erasure, error) {
	e := routing.Erasure{ID: row.Sealed}
	plain, err := sealer.Open(row.Sealed, seal.Erasure, "")
	if err != nil || len(plain) < len(e.Key) {
		return e, fmt.Errorf("erasure of %d bytes: %w", len(plain), err)
	}
	owner := plain[copy(e.Key[:], plain):]
	if owner == "" {
		return e, nil
	}
	e.Owner, err = ocpi.ParseParty(owner)
	return e, err
}
