package sqldb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"busbar/catalog"
	"busbar/routing"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// commitInto names the file that a copy of this program, instead of running
// tests, writes to until it is killed.
const commitInto = "BUSBAR_TEST_COMMIT_INTO"

func TestMain(m *testing.M) {
	if file := os.Getenv(commitInto); file != "" {
		if err := commitUntilKilled(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitUntilKilled says after each commit which objects are in it.
func commitUntilKilled(file string) error {
	ctx := context.Background()
	db, err := sqldb.OpenSQLite(ctx, file)
	if err != nil {
		return err
	}
	store, have := db.Catalog("a"), int64(0)
	for {
		var ids []string
		have, err = store.Commit(ctx, have, func(_ []catalog.Row, revision, lastSeq int64) (rows []catalog.Row) {
			for i := range int64(3) {
				row := storagetest.Location(fmt.Sprintf("%d/%d", revision, i), lastSeq+1+i, revision)
				rows, ids = append(rows, row), append(ids, row.Key.ID)
			}
			return rows
		})
		if err != nil {
			return err
		}
		fmt.Println(strings.Join(ids, " "))
	}
}

// What was answered with 1000 is in the record, however the process ends.
func TestACommitOutlivesAKilledProcess(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	for range 3 {
		said := killAfter(t, d.file, 20)
		found := make(map[string]bool)
		db, err := d.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		revision, lastSeq, err := db.Catalog("a").Load(t.Context(), func(row catalog.Row) error {
			found[row.Key.ID] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range said {
			if !found[id] {
				t.Errorf("%s was committed and is lost", id)
			}
		}
		if int64(len(found)) != 3*revision || lastSeq != 3*revision {
			t.Errorf("%d objects up to seq %d at revision %d: a commit of three is there in part", len(found), lastSeq, revision)
		}
		wantOutboxOfEach(t, db, revision)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// wantOutboxOfEach: of every revision the outbox knows that its broadcasts have not
// ended, and of none that was not committed.
func wantOutboxOfEach(t *testing.T, db *sqldb.DB, revision int64) {
	t.Helper()
	outbox := db.Outbox(sealer(t, 0), "b")
	for _, from := range []routing.ReplicaID{"a", "adopted"} {
		if _, _, err := outbox.Adopt(t.Context(), from, "b"); err != nil {
			t.Fatal(err)
		}
	}
	open, _, err := outbox.Adopt(t.Context(), "b", "adopted")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range open {
		if r != int64(i+1) {
			t.Fatalf("the outbox has revision %d in the place of %d", r, i+1)
		}
	}
	if int64(len(open)) != revision {
		t.Errorf("the outbox has %d of %d revisions", len(open), revision)
	}
}

// killAfter lets the program commit and kills it while it goes on. It returns
// all that it said.
func killAfter(t *testing.T, file string, commits int) (said []string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	writer := exec.CommandContext(t.Context(), program)
	writer.Env = append(os.Environ(), commitInto+"="+file)
	writer.Stderr = os.Stderr
	output, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for n := 1; lines.Scan(); n++ {
		said = append(said, strings.Fields(lines.Text())...)
		if n == commits {
			if err := writer.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := writer.Wait(); err == nil || len(said) < 3*commits {
		t.Fatalf("the writer ended by itself after %d objects: %v", len(said), err)
	}
	return said
}
