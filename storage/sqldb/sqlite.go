package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"gorm.io/driver/sqlite"
	modernc "modernc.org/sqlite"
	result "modernc.org/sqlite/lib"
)

// sqliteReaders bounds the connections that read beside the one that writes.
const sqliteReaders = 4

// OpenSQLite opens and migrates the database in a file, which it creates when
// it is missing, together with its directory. Both are the owner's alone. One
// process at a time may use the file.
func OpenSQLite(ctx context.Context, file string) (*DB, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := createPrivate(file); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	// FULL: a commit is on disk when it returns; with WAL the default would
	// lose the newest ones in a power cut.
	writer, err := openSQLitePool(file, 1, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
	})
	if err != nil {
		return nil, err
	}
	if err := migrateSQLite(ctx, writer); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader, err := openSQLitePool(file, sqliteReaders, url.Values{
		"_pragma": {"busy_timeout(10000)", "query_only(1)"},
	})
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	db, err := onSQLite(writer, reader)
	if err != nil {
		return nil, errors.Join(err, reader.Close(), writer.Close())
	}
	return db, nil
}

func onSQLite(writer, reader *sql.DB) (*DB, error) {
	write, err := wrap(&sqlite.Dialector{Conn: writer})
	if err != nil {
		return nil, err
	}
	read, err := wrap(&sqlite.Dialector{Conn: reader})
	if err != nil {
		return nil, err
	}
	// The reader is closed first: the last connection folds the log into the
	// file, which a query_only one could not.
	return &DB{write: write, read: read, pools: []*sql.DB{reader, writer}}, nil
}

func openSQLitePool(file string, connections int, settings url.Values) (*sql.DB, error) {
	// A URI, so that no character of the path is taken for a setting.
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: settings.Encode()}
	connector, err := modernc.NewConnector(uri.String())
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// createPrivate makes sure that the file exists and that nobody else can read
// it. SQLite gives the files beside it (-wal, -shm) the same mode.
func createPrivate(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return f.Chmod(0o600)
	}
	return nil
}

// noRoom tells of an error that the log could not be written to: a full disk, or a
// file at its limit. The mark of a commit is the last that is written of it, and
// what is not marked was never there. An error of bringing it to the disk, which
// comes after that, would leave it open.
func noRoom(err error) bool {
	var failed *modernc.Error
	return errors.As(err, &failed) && (failed.Code() == result.SQLITE_FULL || failed.Code() == result.SQLITE_IOERR_WRITE)
}
