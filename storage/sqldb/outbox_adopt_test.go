package sqldb_test

import (
	"database/sql"
	"slices"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// TestAReplicaLeavesMoreThanIsAdoptedInOneTransaction: Redis was gone for long.
func TestAReplicaLeavesMoreThanIsAdoptedInOneTransaction(t *testing.T) {
	t.Parallel()
	url := storagetest.Postgres(t)
	db, err := sqldb.OpenPostgres(t.Context(), url, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	pool, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	const left = 25_000
	if _, err := pool.ExecContext(t.Context(), "INSERT INTO outbox_commits (replica, revision) SELECT 'dead', "+
		"generate_series(1, $1::bigint)", left); err != nil {
		t.Fatal(err)
	}
	next := db.Outbox(sealer(t, 0), "next")
	adopted, _, err := next.Adopt(t.Context(), "dead", "next")
	if err != nil || len(adopted) != left || !slices.IsSorted(adopted) {
		t.Errorf("adopted are %d, in order %t, %v", len(adopted), slices.IsSorted(adopted), err)
	}
	if open, _, err := next.Own(t.Context(), "next", 0); err != nil || !slices.Equal(open, adopted) {
		t.Errorf("it has %d open, %v", len(open), err)
	}
	if err := next.Ended(t.Context(), adopted, nil); err != nil {
		t.Fatal(err)
	}
	if replicas, err := next.Replicas(t.Context()); err != nil || len(replicas) != 0 {
		t.Errorf("something is open of %q, %v", replicas, err)
	}
}
