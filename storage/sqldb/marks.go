package sqldb

import (
	"context"

	"busbar/routing"
)

// Marks is the record of how far the broadcasts have come. It implements
// routing.MarkStore.
type Marks struct{ db *DB }

var _ routing.MarkStore = (*Marks)(nil)

// Marks gives access to the mark.
func (db *DB) Marks() *Marks { return &Marks{db: db} }

// Mark implements routing.MarkStore.
func (s *Marks) Mark(ctx context.Context) (revision int64, saved bool, err error) {
	var row struct{ Mark *int64 }
	err = s.db.read.WithContext(ctx).Raw("SELECT mark FROM catalog_clock WHERE id = 1").Scan(&row).Error
	if err != nil || row.Mark == nil {
		return 0, false, fault("read how far the broadcasts have come", err)
	}
	return *row.Mark, true, nil
}

// SaveMark implements routing.MarkStore.
func (s *Marks) SaveMark(ctx context.Context, revision int64) error {
	err := s.db.write.WithContext(ctx).Exec("UPDATE catalog_clock SET mark = ? WHERE id = 1", revision).Error
	return fault("save how far the broadcasts have come", err)
}
