package sqldb

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"busbar/routing"
	"busbar/storage/seal"
)

// Lessons is the record of what traffic taught. It implements
// routing.LessonStore.
//
// Its write transactions come one after the other on Postgres: replicas learn
// the same things at the same time, and to wait for each other's rows in
// different orders would be a deadlock. They are few and off the request path.
//
// A lesson stands under a pseudonym of its key, since whoever reads the database
// could try all uids on a plain hash. After a rotation, what the older secrets
// named is still found, and goes when it expires.
type Lessons struct {
	db     *DB
	names  *seal.Pseudonyms
	sealer *seal.Sealer
}

var _ routing.LessonStore = (*Lessons)(nil)

// Lessons gives access to the lessons. names hides their keys, and sealer what
// was erased.
func (db *DB) Lessons(names *seal.Pseudonyms, sealer *seal.Sealer) *Lessons {
	return &Lessons{db: db, names: names, sealer: sealer}
}

// lockLessons is for the two-number kind of advisory locks, which the
// migrations' lock is not of.
const lockLessons = "SELECT pg_advisory_xact_lock(1651864162, 4)"

// SaveLessons implements routing.LessonStore. A lesson without an end is an
// error. A failure may leave some of the lessons saved; they may be given again.
func (s *Lessons) SaveLessons(ctx context.Context, lessons []routing.Lesson) error {
	for part := range slices.Chunk(s.rows(lessons), batch) {
		err := s.change(ctx, func(tx *gorm.DB) error { return insertLessons(tx, part) })
		if err != nil {
			return fault("save lessons", err)
		}
	}
	return nil
}

// ReplaceLessons implements routing.LessonStore, in one transaction.
func (s *Lessons) ReplaceLessons(ctx context.Context, lessons []routing.Lesson) error {
	rows := s.rows(lessons)
	if len(rows) == 0 {
		return nil
	}
	return fault("replace lessons", s.change(ctx, func(tx *gorm.DB) error {
		if err := s.takeOut(tx, rows, lessons); err != nil {
			return err
		}
		for part := range slices.Chunk(rows, batch) {
			if err := insertLessons(tx, part); err != nil {
				return err
			}
		}
		return nil
	}))
}

// DropLessons implements routing.LessonStore. A failure may leave some of them
// dropped; they may be given again.
func (s *Lessons) DropLessons(ctx context.Context, lessons []routing.Lesson) error {
	for part := range slices.Chunk(lessons, batch) {
		err := s.change(ctx, func(tx *gorm.DB) error {
			for i := range part {
				pair := &part[i].Pair
				err := tx.Exec("DELETE FROM lessons WHERE key IN ? AND owner = ? AND with_party = ?",
					s.stored(part[i].Key), pair.Owner.String(), pair.With.String()).Error
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fault("drop lessons", err)
		}
	}
	return nil
}

// Lessons implements routing.LessonStore. They are sorted by key, owner and the
// party that it shared with.
func (s *Lessons) Lessons(ctx context.Context, keys []routing.LessonKey, now time.Time) ([]routing.Lesson, error) {
	var lessons []routing.Lesson
	stored, asked := s.storedAll(keys)
	for part := range slices.Chunk(stored, batch) {
		var rows []lessonRow
		err := s.db.read.WithContext(ctx).Where("key IN ? AND expires_at > ?", part, now.UnixMicro()).Find(&rows).Error
		if err != nil {
			return nil, fault("load lessons", err)
		}
		for i := range rows {
			lesson, err := rows[i].lesson()
			if err != nil {
				return nil, fault("load lessons", err)
			}
			lesson.Key = asked[string(rows[i].Key)]
			lessons = append(lessons, lesson)
		}
	}
	return latest(lessons), nil
}

// latest sorts lessons; of those under several secrets it keeps the later end.
func latest(lessons []routing.Lesson) []routing.Lesson {
	place := func(a, b routing.Lesson) int {
		return cmp.Or(bytes.Compare(a.Key[:], b.Key[:]),
			bytes.Compare(a.Pair.Owner[:], b.Pair.Owner[:]), bytes.Compare(a.Pair.With[:], b.Pair.With[:]))
	}
	slices.SortFunc(lessons, func(a, b routing.Lesson) int {
		return cmp.Or(place(a, b), b.ExpiresAt.Compare(a.ExpiresAt))
	})
	return slices.CompactFunc(lessons, func(a, b routing.Lesson) bool { return place(a, b) == 0 })
}

// ForgetLessons implements routing.LessonStore. It works step by step, since a
// long transaction would hold up the one writing connection of SQLite.
func (s *Lessons) ForgetLessons(ctx context.Context, now time.Time, most int) (int64, error) {
	for sum := int64(0); ; {
		var n int64
		err := s.change(ctx, func(tx *gorm.DB) (err error) {
			n, err = forgetSome(tx, now, most)
			return err
		})
		if err != nil {
			return sum, fault("forget lessons", err)
		}
		if sum += n; n == 0 {
			return sum, fault("forget lessons", s.forgetErasures(ctx, now))
		}
	}
}

// forgetSome deletes a limited number of lessons that expired; when there are
// none, of those beyond most.
func forgetSome(tx *gorm.DB, now time.Time, most int) (int64, error) {
	const step = 2000
	n, err := deleteFirst(tx, "WHERE expires_at <= ?", now.UnixMicro(), step)
	if n > 0 || err != nil {
		return n, err
	}
	var kept int64
	if err := tx.Model(&lessonRow{}).Count(&kept).Error; err != nil || kept <= int64(most) {
		return 0, err
	}
	return deleteFirst(tx, "", min(kept-int64(most), step))
}

// deleteFirst deletes lessons that expire first; its last argument is how many.
func deleteFirst(tx *gorm.DB, where string, arguments ...any) (int64, error) {
	result := tx.Exec("DELETE FROM lessons WHERE (key, owner, with_party) IN (SELECT key, owner, with_party FROM lessons "+
		where+" ORDER BY expires_at, key, owner, with_party LIMIT ?)", arguments...)
	return result.RowsAffected, result.Error
}

// change runs do in a transaction beside which no other one changes lessons. On
// SQLite all are so.
func (s *Lessons) change(ctx context.Context, do func(*gorm.DB) error) error {
	return s.db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := limitLocks(tx); err != nil {
			return err
		}
		if tx.Name() == "postgres" {
			if err := tx.Exec(lockLessons).Error; err != nil {
				return err
			}
		}
		return do(tx)
	})
}

// takeOut deletes all lessons of the keys. A row whose pair was among them takes
// over the later expiry.
func (s *Lessons) takeOut(tx *gorm.DB, rows []lessonRow, lessons []routing.Lesson) error {
	keys := make([]routing.LessonKey, len(lessons))
	for i := range lessons {
		keys[i] = lessons[i].Key
	}
	stored, _ := s.storedAll(keys)
	for part := range slices.Chunk(stored, batch) {
		var old []lessonRow
		if err := tx.Where("key IN ?", part).Find(&old).Error; err != nil {
			return err
		}
		for i := range old {
			if at, ok := slices.BinarySearchFunc(rows, old[i], compareLessons); ok {
				rows[at].ExpiresAt = later(rows[at].ExpiresAt, old[i].ExpiresAt)
			}
		}
		if err := tx.Where("key IN ?", part).Delete(&lessonRow{}).Error; err != nil {
			return err
		}
	}
	return nil
}

func insertLessons(tx *gorm.DB, rows []lessonRow) error {
	n := len(rows)
	keys, kinds, owners, with, expiries := make([][]byte, n), make([]string, n), make([]string, n), make([]string, n), make([]*int64, n)
	for i, row := range rows {
		keys[i], kinds[i], owners[i], with[i], expiries[i] = row.Key, row.Kind, row.Owner, row.WithParty, row.ExpiresAt
	}
	return insertMany(tx, "lessons", []column{
		{"key", "bytea", keys}, {"kind", "text", kinds},
		{"owner", "text", owners}, {"with_party", "text", with}, {"expires_at", "bigint", expiries},
	}, "ON CONFLICT (key, owner, with_party) DO UPDATE SET expires_at = excluded.expires_at "+
		"WHERE lessons.expires_at < excluded.expires_at")
}

// lessonRow is a row of migration 00004.
type lessonRow struct {
	Key       []byte
	Kind      string
	Owner     string
	WithParty string
	ExpiresAt *int64
}

func (lessonRow) TableName() string { return "lessons" }

// rows sorts lessons and drops those that are given twice, but for the later
// expiry.
func (s *Lessons) rows(lessons []routing.Lesson) []lessonRow {
	rows := make([]lessonRow, 0, len(lessons))
	for i := range lessons {
		l := &lessons[i]
		rows = append(rows, lessonRow{
			Key: s.stored(l.Key)[0], Kind: string(l.Kind),
			Owner: l.Pair.Owner.String(), WithParty: l.Pair.With.String(), ExpiresAt: micros(l.ExpiresAt),
		})
	}
	slices.SortFunc(rows, compareLessons)
	kept := rows[:0]
	for _, row := range rows {
		if last := len(kept) - 1; last >= 0 && compareLessons(kept[last], row) == 0 {
			kept[last].ExpiresAt = later(kept[last].ExpiresAt, row.ExpiresAt)
			continue
		}
		kept = append(kept, row)
	}
	return kept
}

// compareLessons orders by the primary key.
func compareLessons(a, b lessonRow) int {
	return cmp.Or(bytes.Compare(a.Key, b.Key), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.WithParty, b.WithParty))
}

// later keeps the want of an end, which the database refuses.
func later(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	return new(max(*a, *b))
}

// stored are the keys under which lessons of a key stand, that of the first
// secret first.
func (s *Lessons) stored(key routing.LessonKey) [][]byte {
	names := s.names.All(seal.Lesson, string(key[:]))
	stored := make([][]byte, len(names))
	for i := range names {
		stored[i] = names[i][:len(key)]
	}
	return stored
}

// storedAll are those of many keys, each once, and which is whose.
func (s *Lessons) storedAll(keys []routing.LessonKey) (stored [][]byte, asked map[string]routing.LessonKey) {
	asked = make(map[string]routing.LessonKey, len(keys))
	for _, key := range keys {
		for _, name := range s.stored(key) {
			if _, twice := asked[string(name)]; !twice {
				asked[string(name)] = key
				stored = append(stored, name)
			}
		}
	}
	return stored, asked
}

// lesson is the row without its key.
func (row *lessonRow) lesson() (routing.Lesson, error) {
	l := routing.Lesson{Kind: routing.LessonKind(row.Kind), ExpiresAt: moment(row.ExpiresAt)}
	if err := l.Pair.Owner.UnmarshalText([]byte(row.Owner)); err != nil {
		return l, fmt.Errorf("lesson: owner: %w", err)
	}
	if err := l.Pair.With.UnmarshalText([]byte(row.WithParty)); err != nil {
		return l, fmt.Errorf("lesson: with: %w", err)
	}
	return l, nil
}
