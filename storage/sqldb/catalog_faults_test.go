package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/routing"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// administered is a database and its operator's connection past the hub.
func administered(t *testing.T) (database, *sql.DB) {
	t.Helper()
	d := onPostgres(t)
	pool, err := sql.Open("pgx", d.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return d, pool
}

func execute(t *testing.T, pool *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// oneRow decides to write one.
func oneRow(id string) catalog.Decide {
	return func(_ []catalog.Row, revision, lastSeq int64) []catalog.Row {
		return []catalog.Row{storagetest.Location(id, lastSeq+1, revision)}
	}
}

// wantKept holds that the record is at a revision, and has so many objects and so
// many commits whose broadcasts are open.
func wantKept(t *testing.T, d database, revision, objects, open int) {
	t.Helper()
	pool, err := sql.Open("pgx", d.url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var at, kept, noted int
	if err := pool.QueryRow("SELECT (SELECT revision FROM catalog_clock), (SELECT count(*) FROM catalog), "+
		"(SELECT count(*) FROM outbox_commits)").Scan(&at, &kept, &noted); err != nil {
		t.Fatal(err)
	}
	if at != revision || kept != objects || noted != open {
		t.Errorf("the record is at %d with %d objects and %d open commits, want %d, %d and %d", at, kept, noted, revision, objects, open)
	}
}

// Postgres may refuse at the very end what it had executed.
func TestACommitThatIsRefusedAtItsEndLeavesNothing(t *testing.T) {
	t.Parallel()
	d, operator := administered(t)
	a := opened(t, d).Catalog("a")
	have := commitRow(t, a, "first")
	execute(t, operator, `CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'refused'; END $$ LANGUAGE plpgsql`,
		`CREATE CONSTRAINT TRIGGER refuses AFTER UPDATE ON catalog_clock DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION refuse()`)
	if _, err := a.Commit(t.Context(), have, oneRow("second")); !errors.Is(err, catalog.ErrNothingWritten) {
		t.Errorf("Commit: %v", err)
	}
	wantKept(t, d, 1, 1, 1)
	execute(t, operator, "DROP TRIGGER refuses ON catalog_clock")
	if revision := commitRow(t, a, "third"); revision != 2 {
		t.Errorf("the next revision is %d", revision)
	}
}

// committers are stores of four replicas.
func committers(t *testing.T, d database) (stores []catalog.Store) {
	t.Helper()
	for _, name := range []routing.ReplicaID{"a", "b", "c", "d"} {
		stores = append(stores, opened(t, d).Catalog(name))
	}
	return stores
}

func TestReplicasCommitAndFollowEachOther(t *testing.T) {
	t.Parallel()
	storagetest.FollowCommits(t, committers(t, onPostgres(t))...)
}

// Where transactions see one state each by default, the loser of a race is told by
// an error (SQLSTATE 40001).
func TestCommitsInRepeatableReadFollowEachOther(t *testing.T) {
	t.Parallel()
	d, operator := administered(t)
	execute(t, operator, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$")
	storagetest.FollowCommits(t, committers(t, d)...)
}

// Somebody locks an object first and the clock behind it, a commit the other way
// round (SQLSTATE 40P01).
func TestACommitGoesOnAfterADeadlock(t *testing.T) {
	t.Parallel()
	d, operator := administered(t)
	execute(t, operator, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''50ms''', current_database()); END $$")
	a := opened(t, d).Catalog("a")
	have := commitRow(t, a, "loc")
	other, err := operator.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback() }()
	if _, err := other.Exec("SELECT FROM catalog FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	change := func() error {
		_, err := a.Commit(t.Context(), have, func([]catalog.Row, int64, int64) []catalog.Row {
			return []catalog.Row{storagetest.Location("loc", 1, 2)}
		})
		return err
	}
	done := make(chan error, 1)
	go func() { done <- change() }()
	awaitLocked(t, operator)
	if _, err := other.Exec("SELECT FROM catalog_clock FOR UPDATE"); err == nil { // else this one is ended
		if err := other.Commit(); err != nil {
			t.Error(err)
		}
	} else if err := other.Rollback(); err != nil {
		t.Error(err)
	}
	err = <-done
	if errors.Is(err, catalog.ErrInterrupted) { // it was faster than the other each time
		err = change()
	}
	if err != nil {
		t.Errorf("Commit: %v", err)
	}
	wantKept(t, d, 2, 1, 2)
}

// awaitLocked waits until a transaction waits for another, and tells its process.
func awaitLocked(t *testing.T, operator *sql.DB) (process int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := operator.QueryRow("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&process)
		if err == nil {
			return process
		}
		if !errors.Is(err, sql.ErrNoRows) || time.Now().After(deadline) {
			t.Fatalf("nothing waits: %v", err)
		}
	}
}

// The server ends the connection of a commit, and does not say whether before it or
// behind it. Settle finds out, and closes the revision.
func TestACommitWhoseConnectionIsEndedIsSettled(t *testing.T) {
	t.Parallel()
	d, operator := administered(t)
	a := opened(t, d).Catalog("a")
	have := commitRow(t, a, "first")
	other, err := operator.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback() }()
	if _, err := other.Exec("SELECT FROM catalog_clock FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := a.Commit(t.Context(), have, oneRow("second"))
		done <- err
	}()
	if _, err := operator.Exec("SELECT pg_terminate_backend($1)", awaitLocked(t, operator)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || errors.Is(err, catalog.ErrNothingWritten) || errors.Is(err, catalog.ErrInterrupted) {
		t.Errorf("Commit: %v", err)
	}
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	if written, err := a.Settle(t.Context(), 2); err != nil || written {
		t.Errorf("Settle = %v, %v", written, err)
	}
	wantKept(t, d, 2, 1, 1)
}

// A fail-over may lead to a standby: it takes no writes. Nothing is kept, and it is
// known that nothing is; once the same address leads to a primary, it goes on by itself.
func TestADatabaseThatIsReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	d, _ := administered(t)
	db := opened(t, d)
	a := db.Catalog("a")
	have := commitRow(t, a, "first")
	storagetest.SetReadOnly(t, d.url, true)
	awaitPing(t, db)
	for range 3 {
		_, err := a.Commit(t.Context(), have, oneRow("refused"))
		if !errors.Is(err, catalog.ErrNothingWritten) || !strings.Contains(err.Error(), "25006") {
			t.Errorf("Commit: %v", err)
		}
	}
	if _, _, err := a.Since(t.Context(), 0); err != nil {
		t.Errorf("Since: %v", err)
	}
	wantKept(t, d, 1, 1, 1)
	storagetest.SetReadOnly(t, d.url, false)
	if revision, err := a.Commit(t.Context(), have, oneRow("second")); err != nil || revision != 2 {
		t.Errorf("Commit = %d, %v", revision, err)
	}
	wantKept(t, d, 2, 2, 2)
}

// awaitPing waits until no connection is left that has ended.
func awaitPing(t *testing.T, db *sqldb.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for db.Ping(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("the database does not answer")
		}
	}
}
