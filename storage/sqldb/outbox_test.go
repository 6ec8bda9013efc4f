package sqldb_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"busbar/catalog"
	"busbar/routing"
	"busbar/storage/seal"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// outboxOf is what a replica has of a database.
func outboxOf(db *sqldb.DB, id routing.ReplicaID, s *seal.Sealer) storagetest.OutboxReplica {
	return storagetest.OutboxReplica{ID: id, Outbox: db.Outbox(s, id), Catalog: db.Catalog(id)}
}

func TestOutboxOnSQLiteMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestOutbox(t, func(t *testing.T) (a, b storagetest.OutboxReplica) {
		db := opened(t, onSQLite(t))
		return outboxOf(db, "a", sealer(t, 0)), outboxOf(db, "b", sealer(t, 0))
	})
}

func TestOutboxOnPostgresMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestOutbox(t, func(t *testing.T) (a, b storagetest.OutboxReplica) {
		d := onPostgres(t)
		return outboxOf(opened(t, d), "a", sealer(t, 0)), outboxOf(opened(t, d), "b", sealer(t, 0))
	})
}

// A driver's token stands nowhere in the file, nor in a table, nor can it be
// guessed from what stands there.
func TestParcelsAreSealedAtRest(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		db := opened(t, d)
		parcel := storagetest.Parcel("PUT", storagetest.TokenUID)
		saveParcels(t, outboxOf(db, "a", sealer(t, 0)), parcel)
		secret := []byte(strings.ToLower(storagetest.TokenUID))
		for what, stored := range atRest(t, d) {
			if bytes.Contains(bytes.ToLower(stored), secret) || bytes.Contains(stored, []byte("/NL/EMS/")) {
				t.Errorf("the token's uid stands in %s", what)
			}
		}
	})
}

// atRest is what the database keeps: all bytes of SQLite's files, or all rows.
func atRest(t *testing.T, d database) map[string][]byte {
	t.Helper()
	stored := make(map[string][]byte)
	if d.file != "" {
		for _, name := range []string{d.file, d.file + "-wal"} {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			stored[name] = content
		}
		return stored
	}
	raw := rawPool(t, d)
	var text string
	row := raw.QueryRowContext(t.Context(), "SELECT string_agg(p::text || encode(object_hash, 'escape'), '') FROM outbox_parcels p")
	if err := row.Scan(&text); err != nil {
		t.Fatal(err)
	}
	stored["outbox_parcels"] = []byte(text)
	return stored
}

// rawPool asks a database behind the package's back.
func rawPool(t *testing.T, d database) *sql.DB {
	t.Helper()
	driver, source := "pgx", d.url
	if d.file != "" {
		file := url.URL{Scheme: "file", Path: d.file}
		driver, source = "sqlite", file.String()
	}
	pool, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

// What a replica had open another finds after both were started anew, with a new
// key before the old; what no key opens any more is ended.
func TestParcelsOutliveTheirKeyAsLongAsItIsListed(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		db, err := d.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one, other := storagetest.Parcel("PATCH", "one"), storagetest.Parcel("PUT", "other")
		saveParcels(t, outboxOf(db, "a", sealer(t, 0)), one, other)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = opened(t, d)
		rotated := outboxOf(db, "b", sealer(t, 1, 0))
		put := storagetest.Parcel("PUT", "other")
		saveParcels(t, rotated, put)
		if later, open, err := rotated.Outbox.Later(t.Context(), other, other.Parcel); !open || err != nil || !cmp.Equal(later, []*routing.Broadcast{put}) {
			t.Errorf("Later = %v, %t, %v", later, open, err)
		}
		wantAdoption(t, rotated, "a", one, other)
		wantAdoption(t, outboxOf(db, "c", sealer(t, 1)), "b", put) // the others cannot be opened
		wantAdoption(t, outboxOf(db, "d", sealer(t, 1, 0)), "b")
		wantAdoption(t, outboxOf(db, "d", sealer(t, 1, 0)), "c", put)
	})
}

// Whoever asks for a driver's token to be erased knows its uid alone.
func TestParcelsAreErasedByTheirTokensUID(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		db := opened(t, d)
		a := outboxOf(db, "a", sealer(t, 0))
		open, ended, foreign := storagetest.Parcel("PUT", "Uid"), storagetest.Parcel("PUT", "uid"), storagetest.Parcel("PUT", "UID")
		foreign.Object = "tokens/DEEMS/uid"
		kept := storagetest.Parcel("PUT", "uid2")
		saveParcels(t, a, open, ended, foreign, kept)
		if err := a.Outbox.Ended(t.Context(), nil, []int64{ended.Parcel}); err != nil {
			t.Fatal(err)
		}
		if n, err := db.Outbox(sealer(t, 1, 0), "b").EraseParcels(t.Context(), "tokens", "UID"); n != 3 || err != nil {
			t.Errorf("EraseParcels = %d, %v", n, err)
		}
		wantAdoption(t, outboxOf(db, "b", sealer(t, 0)), "a", kept)
	})
}

// What a previous binary, which knew how far it had come, left unsent is open when
// the table is made: nobody's, so that its owner is dead.
func TestTheMarkOfAPreviousBinaryBecomesTheOutbox(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		raw, dialect := rawPool(t, d), goose.DialectPostgres
		if d.file != "" {
			dialect = goose.DialectSQLite3
			if err := os.MkdirAll(filepath.Dir(d.file), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		previous, err := goose.NewProvider(dialect, raw, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := previous.UpTo(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			if _, err := raw.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO catalog (key, module, owner, id, seq, revision, deleted, document) "+
				"VALUES ('key%d', 'locations', 'NLCPA', 'id%d', %d, %d, FALSE, '{}')", n+1, n+1, n+1, n+1)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := raw.ExecContext(t.Context(), "UPDATE catalog_clock SET revision = 4, last_seq = 4, mark = 2"); err != nil {
			t.Fatal(err)
		}
		next := outboxOf(opened(t, d), "b", sealer(t, 0))
		replicas, err := next.Outbox.Replicas(t.Context())
		if err != nil || !cmp.Equal(replicas, []routing.ReplicaID{""}) {
			t.Errorf("Replicas = %q, %v", replicas, err)
		}
		revisions, _, err := next.Outbox.Adopt(t.Context(), "", "b")
		if err != nil || !cmp.Equal(revisions, []int64{3, 4}) {
			t.Errorf("Adopt = %v, %v", revisions, err)
		}
	})
}

// What could not be saved has no number, is not there, and may be saved again.
func TestParcelsAreNotSavedWithoutAServer(t *testing.T) {
	t.Parallel()
	line, through := storagetest.NewLine(t, storagetest.Postgres(t))
	db, err := sqldb.OpenPostgres(t.Context(), through, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	a, b := outboxOf(db, "a", sealer(t, 0)), outboxOf(db, "b", sealer(t, 0))
	line.Cut()
	parcel := storagetest.Parcel("PUT", "uid")
	if err := a.Outbox.Save(t.Context(), "a", []*routing.Broadcast{parcel}); err == nil || parcel.Parcel != 0 {
		t.Errorf("Save without a server: %v, number %d", err, parcel.Parcel)
	}
	line.Mend()
	saveParcels(t, a, parcel)
	wantAdoption(t, b, "a", parcel)
}

func saveParcels(t *testing.T, r storagetest.OutboxReplica, parcels ...*routing.Broadcast) {
	t.Helper()
	if err := r.Outbox.Save(t.Context(), r.ID, parcels); err != nil {
		t.Fatal(err)
	}
}

func wantAdoption(t *testing.T, r storagetest.OutboxReplica, from routing.ReplicaID, want ...*routing.Broadcast) {
	t.Helper()
	_, got, err := r.Outbox.Adopt(t.Context(), from, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s adopts from %s (-want +got):\n%s", r.ID, from, d)
	}
}

// The record has what was committed although the answer was lost: then that is
// the truth, also for whoever asked. A replica that did not know would keep it
// open as long as it lives.
func TestACommitOfTheOutboxIsLookedUpWhenItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	lose, through := storagetest.ForgetfulLine(t, storagetest.Postgres(t))
	db, err := sqldb.OpenPostgres(t.Context(), through, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const theCommit = "commit\x00" // as it stands in a Query message
	a, b := outboxOf(db, "a", sealer(t, 0)), outboxOf(db, "b", sealer(t, 0))
	first, second := storagetest.Parcel("PUT", "one"), storagetest.Parcel("PUT", "two")
	lose(theCommit)
	saveParcels(t, a, first, second)
	lose(theCommit)
	wantAdoption(t, b, "a", first, second)
	wantAdoption(t, a, "b", first, second)
	if _, err := a.Catalog.Commit(t.Context(), 0, func([]catalog.Row, int64, int64) []catalog.Row {
		return []catalog.Row{storagetest.Location("loc", 1, 1)}
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.Outbox.Ended(t.Context(), nil, []int64{first.Parcel, second.Parcel}); err != nil {
		t.Fatal(err)
	}
	lose(theCommit)
	revisions, _, err := b.Outbox.Adopt(t.Context(), "a", "b")
	if err != nil || !cmp.Equal(revisions, []int64{1}) {
		t.Errorf("Adopt = %v, %v", revisions, err)
	}
	lose("INSERT") // before the commit: nothing is there
	third := storagetest.Parcel("PUT", "three")
	if err := a.Outbox.Save(t.Context(), "a", []*routing.Broadcast{third}); err == nil || third.Parcel != 0 {
		t.Errorf("Save of what the record gave up: %v, number %d", err, third.Parcel)
	}
	wantAdoption(t, b, "a")
}
