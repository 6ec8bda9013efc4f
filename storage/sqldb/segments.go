package sqldb

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"busbar/journal"
)

// Segments is the record of the journal. It implements journal.Store.
type Segments struct{ db *DB }

var _ journal.Store = (*Segments)(nil)

// Segments gives access to the journal's segments.
func (db *DB) Segments() *Segments { return &Segments{db: db} }

// SaveSegment implements journal.Store. A segment without a time is an error
// without a name.
func (s *Segments) SaveSegment(ctx context.Context, segment journal.Segment) error {
	row := newSegmentRow(segment)
	taken := clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoNothing: true}
	return fault("save journal segment", s.db.write.WithContext(ctx).Clauses(taken).Create(&row).Error)
}

// Segments implements journal.Store.
func (s *Segments) Segments(ctx context.Context, since, until time.Time, before string, limit int) ([]journal.Segment, error) {
	db := s.db.read.WithContext(ctx)
	// The ids are found in an index, so that nothing is sorted or skipped
	// together with its filter.
	found := db.Model(&segmentRow{}).Select("id").Order("id DESC").Limit(limit)
	if at := micros(since); at != nil {
		found = found.Where("last_at >= ?", *at)
	}
	if at := micros(until); at != nil {
		found = found.Where("first_at < ?", *at)
	}
	if before != "" {
		found = found.Where("id < ?", []byte(before))
	}
	var rows []segmentRow
	if err := db.Select("id, first_at, last_at, records, filter").
		Where("id IN (?)", found).Order("id DESC").Find(&rows).Error; err != nil {
		return nil, fault("load journal segments", err)
	}
	segments := make([]journal.Segment, len(rows))
	for i := range rows {
		segments[i] = rows[i].segment()
	}
	return segments, nil
}

// Bodies implements journal.Store.
func (s *Segments) Bodies(ctx context.Context, ids []string) (map[string][]byte, error) {
	bodies := make(map[string][]byte, len(ids))
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = []byte(id)
	}
	for part := range slices.Chunk(keys, batch) {
		var rows []segmentRow
		if err := s.db.read.WithContext(ctx).Select("id, body").Where("id IN ?", part).Find(&rows).Error; err != nil {
			return nil, fault("load bodies of journal segments", err)
		}
		for i := range rows {
			bodies[string(rows[i].ID)] = rows[i].Body
		}
	}
	return bodies, nil
}

// RewriteSegment implements journal.Store.
func (s *Segments) RewriteSegment(ctx context.Context, segment journal.Segment) error {
	row := s.db.write.WithContext(ctx).Where("id = ?", []byte(segment.ID))
	if segment.Records == 0 {
		return fault("rewrite journal segment", row.Delete(&segmentRow{}).Error)
	}
	return fault("rewrite journal segment", row.Model(&segmentRow{}).
		Updates(map[string]any{"body": present(segment.Body), "records": segment.Records}).Error)
}

// ForgetSegments implements journal.Store.
func (s *Segments) ForgetSegments(ctx context.Context, before time.Time) (int64, error) {
	return forget(ctx, "forget journal segments", s.db, func(tx *gorm.DB) *gorm.DB {
		// Replicas that clean up at once leave each other's rows alone.
		old := tx.Model(&segmentRow{}).Select("id").Where("last_at < ?", before.UnixMicro()).
			Limit(batch).Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
		return tx.Where("id IN (?)", old).Delete(&segmentRow{})
	})
}

// segmentRow is a row of migration 00005.
type segmentRow struct {
	ID      []byte
	FirstAt *int64
	LastAt  *int64
	Records int
	Filter  []byte
	Body    []byte
}

func (segmentRow) TableName() string { return "journal_segments" }

func newSegmentRow(s journal.Segment) segmentRow {
	return segmentRow{
		ID: []byte(s.ID), FirstAt: micros(s.First), LastAt: micros(s.Last), Records: s.Records,
		Filter: present(s.Filter), Body: present(s.Body),
	}
}

// present makes no bytes of none, which would be NULL.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (row *segmentRow) segment() journal.Segment {
	return journal.Segment{
		ID: string(row.ID), First: moment(row.FirstAt), Last: moment(row.LastAt), Records: row.Records,
		Filter: row.Filter,
	}
}
