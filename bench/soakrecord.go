//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// record is the database of a soaked hub.
type record struct {
	name string
	// env tells the hub of it.
	env []string
	// shared tells that several replicas can use it.
	shared bool
	db     *sql.DB
	// size is what all of it takes, in bytes.
	size  func(context.Context) (int64, error)
	close func()
}

// openRecord is SQLite in the hub's data directory or, for several replicas, a
// new database on the server.
func openRecord(ctx context.Context, o soakOptions, dir, hub string) (*record, error) {
	if o.Replicas > 1 {
		return openPostgres(ctx, o)
	}
	file := filepath.Join(dir, hub, "busbar.db")
	uri := url.URL{Scheme: "file", Path: file, RawQuery: "mode=ro&_pragma=busy_timeout(10000)"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	return &record{name: "SQLite", db: db, close: func() { db.Close() }, size: func(context.Context) (int64, error) {
		var all int64
		for _, part := range []string{"", "-wal"} {
			info, err := os.Stat(file + part)
			if err != nil && part == "" {
				return 0, err
			}
			if err == nil {
				all += info.Size()
			}
		}
		return all, nil
	}}, nil
}

func openPostgres(ctx context.Context, o soakOptions) (*record, error) {
	server, err := sql.Open("pgx", o.Postgres)
	if err != nil {
		return nil, err
	}
	name := "busbar_soak_" + strings.ToLower(rand.Text())
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		server.Close()
		return nil, err
	}
	drop := func() {
		server.Exec("DROP DATABASE " + name + " WITH (FORCE)") // the server is thrown away as well
		server.Close()
	}
	uri, err := url.Parse(o.Postgres)
	if err != nil {
		drop()
		return nil, err
	}
	uri.Path = "/" + name
	db, err := sql.Open("pgx", uri.String())
	if err != nil {
		drop()
		return nil, err
	}
	return &record{
		name: "Postgres and Redis", shared: true, db: db,
		env:   []string{"BUSBAR_DATABASE=" + uri.String(), "BUSBAR_REDIS=" + o.Redis},
		close: func() { db.Close(); drop() },
		size: func(ctx context.Context) (size int64, err error) {
			err = db.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
			return size, err
		},
	}, nil
}

// open is how many accepted broadcasts have not ended by the record, which notes
// that a little later than the receivers do.
func (r *record) open(ctx context.Context) (n uint64, err error) {
	err = r.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM outbox_commits").Scan(&n)
	return n, err
}

// journal is how many messages the journal has, in how many bytes.
func (r *record) journal(ctx context.Context) (records, size int64, err error) {
	err = r.db.QueryRowContext(ctx,
		"SELECT COALESCE(SUM(records), 0), COALESCE(SUM(LENGTH(body) + LENGTH(filter)), 0) FROM journal_segments").Scan(&records, &size)
	return records, size, err
}
