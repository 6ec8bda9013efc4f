package sqldb_test

import (
	"testing"

	"busbar/access"
	"busbar/storage/storagetest"
)

func TestAdminTokensOnSQLiteMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestAdminTokens(t, func(t *testing.T) (a, b access.TokenStore) {
		db := opened(t, onSQLite(t))
		return db.AdminTokens(), db.AdminTokens()
	})
}

func TestAdminTokensOnPostgresMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestAdminTokens(t, func(t *testing.T) (a, b access.TokenStore) {
		d := onPostgres(t)
		return opened(t, d).AdminTokens(), opened(t, d).AdminTokens()
	})
}

func TestAuditOnSQLiteMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestAudit(t, func(t *testing.T) (a, b access.AuditStore) {
		db := opened(t, onSQLite(t))
		return db.Audit(), db.Audit()
	})
}

func TestAuditOnPostgresMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestAudit(t, func(t *testing.T) (a, b access.AuditStore) {
		d := onPostgres(t)
		return opened(t, d).Audit(), opened(t, d).Audit()
	})
}
