package sqldb_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/seal"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// lessons is the record of lessons under secrets, by their numbers.
func lessons(t testing.TB, db *sqldb.DB, secrets ...int) *sqldb.Lessons {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []int{0}
	}
	var list []string
	for _, n := range secrets {
		list = append(list, storagetest.Secret(n))
	}
	names, err := seal.NewPseudonyms(list)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return db.Lessons(names, sealer)
}

func tokenLesson(t testing.TB, key byte, owner string, expires time.Time) routing.Lesson {
	t.Helper()
	p, err := ocpi.ParseParty(owner)
	if err != nil {
		t.Fatal(err)
	}
	return routing.Lesson{
		Key: routing.LessonKey(bytes.Repeat([]byte{key}, 16)), Kind: routing.LessonToken,
		Pair: routing.Pair{Owner: p}, ExpiresAt: expires,
	}
}

func TestALessonStandsUnderAKeyThatNobodyCanGuess(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	db := opened(t, d)
	l := tokenLesson(t, 7, "NLTNM", time.Unix(2_000_000_000, 0))
	if err := lessons(t, db).SaveLessons(t.Context(), []routing.Lesson{l}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(d.file), "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, l.Key[:]) {
			t.Errorf("%s holds the plain hash", file)
		}
		found = found || bytes.Contains(content, []byte("NLTNM"))
	}
	if !found {
		t.Error("the lesson is in none of the files: the test looks in the wrong place")
	}
	others, err := lessons(t, db, 1).Lessons(t.Context(), []routing.LessonKey{l.Key}, time.Unix(0, 0))
	if err != nil || len(others) != 0 {
		t.Errorf("another secret finds %v, %v", others, err)
	}
}

func TestLessonsOfAnOldSecretAreFoundDroppedReplacedAndErased(t *testing.T) {
	t.Parallel()
	soon, late := time.Unix(2_000_000_000, 0).UTC(), time.Unix(2_100_000_000, 0).UTC()
	for name, change := range map[string]func(*sqldb.Lessons, routing.Lesson) error{
		"dropped": func(s *sqldb.Lessons, l routing.Lesson) error { return s.DropLessons(t.Context(), []routing.Lesson{l}) },
		"replaced": func(s *sqldb.Lessons, l routing.Lesson) error {
			return s.ReplaceLessons(t.Context(), []routing.Lesson{tokenLesson(t, 7, "DEMSP", soon)})
		},
		"erased": func(s *sqldb.Lessons, l routing.Lesson) error {
			_, err := s.EraseLessons(t.Context(), []routing.Erasure{{Key: l.Key}}, soon)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := opened(t, onSQLite(t))
			l := tokenLesson(t, 7, "NLTNM", late)
			old, rotated := lessons(t, db, 0), lessons(t, db, 1, 0)
			if err := old.SaveLessons(t.Context(), []routing.Lesson{l}); err != nil {
				t.Fatal(err)
			}
			// Learned again after the rotation: one lesson, with the later end.
			if err := rotated.SaveLessons(t.Context(), []routing.Lesson{tokenLesson(t, 7, "NLTNM", soon)}); err != nil {
				t.Fatal(err)
			}
			found, err := rotated.Lessons(t.Context(), []routing.LessonKey{l.Key}, time.Unix(0, 0))
			if err != nil || len(found) != 1 || found[0] != l {
				t.Fatalf("found %v, %v, want %v", found, err, l)
			}
			if err := change(rotated, l); err != nil {
				t.Fatal(err)
			}
			found, err = rotated.Lessons(t.Context(), []routing.LessonKey{l.Key}, time.Unix(0, 0))
			if err != nil || len(found) > 1 || len(found) == 1 && found[0].Pair == l.Pair {
				t.Errorf("left: %v, %v", found, err)
			}
		})
	}
}
