package sqldb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"busbar/storage/lines"
)

// DB is an opened database with an up-to-date schema. It is safe for concurrent
// use; Close ends it.
type DB struct {
	// write and read are the same on Postgres. On SQLite write has the one
	// connection that may write, so that no transaction meets a busy file.
	write, read *gorm.DB
	pools       []*sql.DB
	// lines are the connections to a server; nil for a file.
	lines *lines.Lines
}

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	for _, pool := range db.pools {
		if err := pool.PingContext(ctx); err != nil {
			return fmt.Errorf("ping the database: %w", err)
		}
	}
	return nil
}

// Close waits for running queries and ends all connections.
func (db *DB) Close() error {
	errs := make([]error, len(db.pools))
	for i, pool := range db.pools {
		errs[i] = pool.Close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// CutOff ends all connections to a server, with what runs on them: what it was
// asked fails at once, now and from now on.
func (db *DB) CutOff() {
	if db.lines != nil {
		db.lines.Cut()
	}
}

// History names this database for good: another one, even with the same
// address, has another name. What caches its contents elsewhere uses it to not
// take one for the other.
func (db *DB) History(ctx context.Context) (string, error) {
	var history string
	err := db.write.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE directory SET history = ? WHERE history = ''", rand.Text()).Error; err != nil {
			return err
		}
		return tx.Raw("SELECT history FROM directory").Scan(&history).Error
	})
	if err != nil {
		return "", fmt.Errorf("read the database's history: %w", err)
	}
	return history, nil
}

// snapshot runs do in a transaction that sees one state of the database.
func (db *DB) snapshot(ctx context.Context, do func(*gorm.DB) error) error {
	return db.read.WithContext(ctx).Transaction(do,
		&sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// wrap puts gorm on a pool. gorm's own logger would write SQL values, tokens'
// hashes among them; errors are returned instead.
func wrap(dialector gorm.Dialector) (*gorm.DB, error) {
	db, err := gorm.Open(dialector, &gorm.Config{
		Logger:                 logger.Discard,
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

// await pings until the database answers, for at most patience: one that is
// being started together with the hub needs a moment.
func await(ctx context.Context, pool *sql.DB, patience time.Duration) error {
	const pause, attempt = 200 * time.Millisecond, 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ping := func() error {
		ctx, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		return pool.PingContext(ctx)
	}
	err := ping()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for err != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database did not answer within %s: %w", patience, err)
		case <-tick.C:
		}
		// The error of an attempt that the deadline cut short says less than
		// the one before it.
		if next := ping(); next == nil || ctx.Err() == nil {
			err = next
		}
	}
	return nil
}
