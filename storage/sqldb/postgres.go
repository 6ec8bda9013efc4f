package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"

	"busbar/storage/lines"
)

// The bounds of the Postgres pool. Requests are answered from memory, so few
// connections do; the sum over all replicas must stay below max_connections.
const (
	postgresConnections = 16
	postgresIdle        = 4
	// A connection is renewed now and then, so that a failover or a changed
	// DNS record is noticed.
	postgresLifetime = 30 * time.Minute
	postgresIdleTime = 5 * time.Minute
	postgresConnect  = 5 * time.Second
)

// errPostgresURL stands in for the parser's error, which may quote the password.
var errPostgresURL = errors.New("not a valid Postgres URL: must read postgres://user:password@host:port/database, " +
	"with special characters percent-encoded")

// OpenPostgres opens and migrates the database at a postgres:// URL, waiting
// for it for at most patience. No error holds the password.
func OpenPostgres(ctx context.Context, url string, patience time.Duration) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errPostgresURL
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = postgresConnect
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "busbar"
	}
	open := lines.New()
	config.DialFunc = open.Dial
	pool := stdlib.OpenDB(*config, stdlib.OptionResetSession(notReadOnly))
	pool.SetMaxOpenConns(postgresConnections)
	pool.SetMaxIdleConns(postgresIdle)
	pool.SetConnMaxLifetime(postgresLifetime)
	pool.SetConnMaxIdleTime(postgresIdleTime)

	if err := await(ctx, pool, patience); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if err := migratePostgres(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	db, err := wrap(postgres.New(postgres.Config{Conn: pool}))
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &DB{write: db, read: db, pools: []*sql.DB{pool}, lines: open}, nil
}

// notReadOnly gives up a connection, before it is used again, to a server that
// has said that it takes no writes: one that became a standby, or was told so. A new
// one leads to the primary, once the address does, and is told of what holds now.
// Servers before Postgres 14 do not say it.
func notReadOnly(_ context.Context, conn *pgx.Conn) error {
	for _, setting := range []string{"default_transaction_read_only", "in_hot_standby"} {
		if conn.PgConn().ParameterStatus(setting) == "on" {
			return driver.ErrBadConn
		}
	}
	return nil
}
