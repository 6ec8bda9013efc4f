package sqldb_test

import (
	"testing"

	"busbar/catalog"
	"busbar/storage/storagetest"
)

func TestCatalogOnSQLiteMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCatalog(t, func(t *testing.T) (a, b catalog.Store) {
		db := opened(t, onSQLite(t))
		return db.Catalog(), db.Catalog()
	})
}

func TestCatalogOnPostgresMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCatalog(t, func(t *testing.T) (a, b catalog.Store) {
		d := onPostgres(t)
		return opened(t, d).Catalog(), opened(t, d).Catalog()
	})
}
