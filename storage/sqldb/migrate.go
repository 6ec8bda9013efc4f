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
	return migrate(ctx, goose.DialectPostgres, pool, goose.WithSessionLocker(locker))
}

// migrateSQLite does the same on a file. goose has no lock for SQLite: of two
// processes that migrate at once, one fails on what the other has created, and
// finds the work done when it looks again.
func migrateSQLite(ctx context.Context, pool *sql.DB) error {
	var err error
	for range 3 {
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
