package sqldb

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A replica asks for the lock once a second while another one migrates, and
// gives up after lockAttempts.
const lockAttempts = 300

// migratePostgres brings the schema up to date. Replicas that start at once
// take turns through an advisory lock, which lives in a session: it does not
// work through a pooler in transaction mode.
func migratePostgres(ctx context.Context, pool *sql.DB) error {
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockTimeout(1, lockAttempts), lock.WithUnlockTimeout(1, lockAttempts))
	if err != nil {
		return fmt.Errorf("prepare the migration lock: %w", err)
	}
	if err := migrate(ctx, goose.DialectPostgres, pool, goose.WithSessionLocker(locker)); err != nil {
		return err
	}
	if _, err := pool.ExecContext(ctx, tunePostgres); err != nil {
		return fmt.Errorf("tell the database how to store documents: %w", err)
	}
	return nil
}

// tunePostgres says what the migrations cannot, since SQLite reads them too, and
// changes nothing once it is said.
//
// Documents are compressed by lz4, where Postgres has it: since 14, and only if
// it was built with it; the setting's values tell. The names of 14 stand in a
// block that older ones do not look into.
//
// The filters of journal segments stay in their rows, where a search reads one
// after the other; bodies leave them.
const tunePostgres = `DO $$
BEGIN
	PERFORM set_config('lock_timeout', '10s', true);
	IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
		IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'catalog'::regclass AND attname = 'document' AND attcompression <> 'l') THEN
			ALTER TABLE catalog ALTER COLUMN document SET COMPRESSION lz4;
		END IF;
	END IF;
	IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'journal_segments'::regclass AND attname = 'filter' AND attstorage <> 'm') THEN
		ALTER TABLE journal_segments ALTER COLUMN filter SET STORAGE MAIN;
	END IF;
EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
	NULL; -- the next start says it; until then documents are stored somehow
END $$`

// migrateSQLite does the same on a file. goose has no lock for SQLite: of two
// processes that migrate at once, one fails on what the other has created, and
// finds that done when it looks again. So it may fail once for each migration.
func migrateSQLite(ctx context.Context, pool *sql.DB) error {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	for range len(files) + 3 {
		if err = migrate(ctx, goose.DialectSQLite3, pool); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func migrate(ctx context.Context, dialect goose.Dialect, pool *sql.DB, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	options = append(options,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	provider, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}
