package sqldb_test

import (
	"database/sql"
	"testing"
	"time"

	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// SQLite reads the same migrations, so what only Postgres knows is said when it
// is opened: once, and again when it was undone.
func TestPostgresIsToldHowToStoreDocuments(t *testing.T) {
	t.Parallel()
	url := storagetest.Postgres(t)
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, before := range []string{
		"SELECT 1",
		"SELECT 1",
		"ALTER TABLE catalog ALTER COLUMN document SET COMPRESSION pglz, ALTER COLUMN document SET STORAGE EXTENDED",
	} {
		if _, err := raw.ExecContext(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.OpenPostgres(t.Context(), url, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var known bool
		var compression, storage string
		row := raw.QueryRowContext(t.Context(), "SELECT "+
			"EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)), "+
			"(SELECT attcompression FROM pg_attribute WHERE attrelid = 'catalog'::regclass AND attname = 'document'), "+
			"(SELECT attstorage FROM pg_attribute WHERE attrelid = 'journal_segments'::regclass AND attname = 'filter')")
		if err := row.Scan(&known, &compression, &storage); err != nil {
			t.Fatal(err)
		}
		if known != (compression == "l") || storage != "m" {
			t.Errorf("after %s: lz4 known %v, compression %q, storage of filters %q", before, known, compression, storage)
		}
	}
}

// Somebody who reads for long must not keep a replica from starting.
func TestPostgresIsOpenedBesideALongReader(t *testing.T) {
	t.Parallel()
	url := storagetest.Postgres(t)
	first, err := sqldb.OpenPostgres(t.Context(), url, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	reading, err := raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reading.Rollback() }()
	if _, err := reading.ExecContext(t.Context(), "SELECT count(*) FROM catalog, journal_segments"); err != nil {
		t.Fatal(err)
	}
	second, err := sqldb.OpenPostgres(t.Context(), url, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
