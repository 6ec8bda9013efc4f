package sqldb

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"busbar/parties"
	"busbar/storage/seal"
)

// Seen implements parties.Store. A failure may leave some of the platforms
// written; seen may be given again.
func (s *Platforms) Seen(ctx context.Context, seen map[parties.PlatformID]time.Time) error {
	ids := slices.Sorted(maps.Keys(seen))
	for part := range slices.Chunk(ids, batch) {
		err := s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			return raiseLastSeen(tx, part, seen)
		})
		if err != nil {
			return fault("record when platforms were seen", err)
		}
	}
	return nil
}

func raiseLastSeen(tx *gorm.DB, ids []parties.PlatformID, seen map[parties.PlatformID]time.Time) error {
	var values strings.Builder
	var arguments []any
	for _, id := range ids {
		if at := micros(seen[id]); at != nil {
			values.WriteString(", (CAST(? AS TEXT), CAST(? AS BIGINT))")
			arguments = append(arguments, string(id), *at)
		}
	}
	if len(arguments) == 0 {
		return nil
	}
	// The rows are locked in one order first: two replicas that write the same
	// platforms at once would deadlock on Postgres. SQLite has no row locks.
	var locked []string
	if err := tx.Model(&platformRow{}).Where("id IN ?", ids).Order("id").
		Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Pluck("id", &locked).Error; err != nil {
		return err
	}
	return tx.Exec("WITH heard (id, seen) AS (VALUES "+values.String()[2:]+") "+
		"UPDATE platforms SET last_seen = heard.seen FROM heard WHERE platforms.id = heard.id "+
		"AND (platforms.last_seen IS NULL OR platforms.last_seen < heard.seen)", arguments...).Error
}

// Reseal seals every outbound token anew that an older key sealed, and tells
// how many. It leaves the revisions alone: the platforms stay what they are. A
// token that no key opens is left as it is, unless none at all is opened: then the
// secrets are wrong.
func (s *Platforms) Reseal(ctx context.Context) (int, error) {
	var rows []platformRow
	err := s.db.read.WithContext(ctx).Select("id", "outbound").
		Where("outbound <> ''").Order("id").Find(&rows).Error
	if err != nil {
		return 0, fault("load sealed tokens", err)
	}
	changed, unopened := 0, 0
	var wrong error
	for _, row := range rows {
		if s.sealer.Current(row.Outbound) {
			continue
		}
		fresh, err := s.reseal(ctx, row)
		switch {
		case errors.Is(err, seal.ErrUnknownKey), errors.Is(err, seal.ErrDamaged):
			unopened++
			wrong = cmp.Or(wrong, fault("seal anew the outbound token of platform "+row.ID, err))
		case err != nil:
			return changed, fault("seal anew the outbound token of platform "+row.ID, err)
		case fresh:
			changed++
		}
	}
	if unopened > 0 && unopened == len(rows) && errors.Is(wrong, seal.ErrUnknownKey) {
		return 0, wrong
	}
	return changed, nil
}

// reseal leaves a token alone that was written meanwhile.
func (s *Platforms) reseal(ctx context.Context, row platformRow) (bool, error) {
	plain, err := s.sealer.Open(row.Outbound, seal.OutboundToken, row.ID)
	if err != nil {
		return false, err
	}
	sealed, err := s.sealer.Seal(plain, seal.OutboundToken, row.ID)
	if err != nil {
		return false, err
	}
	result := s.db.write.WithContext(ctx).Model(&platformRow{}).
		Where("id = ? AND outbound = ?", row.ID, row.Outbound).UpdateColumn("outbound", sealed)
	return result.RowsAffected == 1, result.Error
}
