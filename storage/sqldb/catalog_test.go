package sqldb_test

import (
	"testing"

	"busbar/catalog"
	"busbar/journal"
	"busbar/routing"
	"busbar/storage/storagetest"
)

func TestCatalogOnSQLiteMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCatalog(t, func(t *testing.T) (a, b catalog.Store) {
		db := opened(t, onSQLite(t))
		return db.Catalog("a"), db.Catalog("b")
	})
}

func TestCatalogOnPostgresMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCatalog(t, func(t *testing.T) (a, b catalog.Store) {
		d := onPostgres(t)
		return opened(t, d).Catalog("a"), opened(t, d).Catalog("b")
	})
}

func TestLessonsOnSQLiteMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestLessons(t, func(t *testing.T) (a, b routing.LessonStore) {
		db := opened(t, onSQLite(t))
		return lessons(t, db), lessons(t, db)
	})
}

func TestLessonsOnPostgresMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestLessons(t, func(t *testing.T) (a, b routing.LessonStore) {
		d := onPostgres(t)
		return lessons(t, opened(t, d)), lessons(t, opened(t, d))
	})
}

func TestSegmentsOnSQLiteMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestSegments(t, func(t *testing.T) (a, b journal.Store) {
		db := opened(t, onSQLite(t))
		return db.Segments(), db.Segments()
	})
}

func TestSegmentsOnPostgresMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestSegments(t, func(t *testing.T) (a, b journal.Store) {
		d := onPostgres(t)
		return opened(t, d).Segments(), opened(t, d).Segments()
	})
}
