package sqldb_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// commitRow writes one row behind all that is known, and tells its revision.
func commitRow(t *testing.T, s catalog.Store, id string) int64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), 0, func(_ []catalog.Row, revision, lastSeq int64) []catalog.Row {
		return []catalog.Row{storagetest.Location(id, lastSeq+1, revision)}
	})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// A replica that decides holds nobody back, however long it takes: whoever writes
// meanwhile is first, and it decides anew. When that has happened twice the others
// wait for it.
func TestACommitOnPostgresHoldsOthersBackAtLast(t *testing.T) {
	t.Parallel()
	d := onPostgres(t)
	a, b := opened(t, d).Catalog("a"), opened(t, d).Catalog("b")
	var told []int64
	behind := make(chan int64, 1)
	revision, err := a.Commit(t.Context(), 0, func(newer []catalog.Row, revision, lastSeq int64) []catalog.Row {
		told = append(told, revision)
		if len(newer) != len(told)-1 {
			t.Errorf("decide is told %d rows for revision %d", len(newer), revision)
		}
		if len(told) < 3 {
			commitRow(t, b, []string{"first", "second"}[len(told)-1])
		} else {
			go func() { behind <- commitRow(t, b, "behind") }()
		}
		return []catalog.Row{storagetest.Location("slow", lastSeq+1, revision)}
	})
	if err != nil || revision != 3 || !slices.Equal(told, []int64{1, 2, 3}) {
		t.Errorf("Commit = %d, %v, after revisions %v", revision, err, told)
	}
	if revision := <-behind; revision != 4 {
		t.Errorf("the other's last revision is %d", revision)
	}
}

// What is known of the record may be old: nothing is refused because of it.
func TestADecideWithoutRowsIsToldTheNewest(t *testing.T) {
	t.Parallel()
	d := onPostgres(t)
	a, b := opened(t, d).Catalog("a"), opened(t, d).Catalog("b")
	have := commitRow(t, a, "first")
	commitRow(t, b, "other")
	var told []catalog.Row
	revision, err := a.Commit(t.Context(), have, func(newer []catalog.Row, _, _ int64) []catalog.Row {
		told = newer
		return nil
	})
	if err != nil || revision != 2 || len(told) != 1 || told[0].Key.ID != "other" {
		t.Errorf("Commit = %d, %v, told %v", revision, err, told)
	}
}

// A commit that was overtaken and cannot go on has written nothing, and says so:
// what another replica wrote at its revision must not be taken for its own.
func TestACommitThatWasOvertakenAndFailsWroteNothing(t *testing.T) {
	t.Parallel()
	d := onPostgres(t)
	a, b := opened(t, d).Catalog("a"), opened(t, d).Catalog("b")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := a.Commit(ctx, 0, func(newer []catalog.Row, revision, lastSeq int64) []catalog.Row {
		if len(newer) == 0 {
			commitRow(t, b, "first")
		} else {
			cancel()
		}
		return []catalog.Row{storagetest.Location("late", lastSeq+1, revision)}
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, catalog.ErrNothingWritten) {
		t.Errorf("Commit: %v", err)
	}
	if revision := commitRow(t, b, "next"); revision != 2 {
		t.Errorf("the next revision is %d", revision)
	}
}

// However a commit ends that held the others back, they go on at once.
func TestACommitThatFailsWhileOthersWaitLetsThemGoOn(t *testing.T) {
	t.Parallel()
	d := onPostgres(t)
	a, b := opened(t, d).Catalog("a"), opened(t, d).Catalog("b")
	for name, fail := range map[string]func(cancel func(), lastSeq int64) []catalog.Row{
		"it is given up": func(cancel func(), _ int64) []catalog.Row {
			cancel()
			return []catalog.Row{storagetest.Location("x", 99, 0)}
		},
		"it panics": func(func(), int64) []catalog.Row { panic("decide") },
		"a place is taken": func(_ func(), lastSeq int64) []catalog.Row {
			return []catalog.Row{storagetest.Location("x", lastSeq, 0)}
		},
		"it writes nothing": func(func(), int64) []catalog.Row { return nil },
	} {
		start, err := a.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			runs := 0
			_, _ = a.Commit(ctx, start, func(_ []catalog.Row, revision, lastSeq int64) []catalog.Row {
				if runs++; runs == 3 {
					return fail(cancel, lastSeq)
				}
				commitRow(t, b, name)
				return []catalog.Row{storagetest.Location("never", lastSeq+1, revision)}
			})
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the lock would be kept for 10
		revision, err := b.Commit(ctx, start+2, func(_ []catalog.Row, revision, lastSeq int64) []catalog.Row {
			return []catalog.Row{storagetest.Location("behind", lastSeq+1, revision)}
		})
		cancel()
		if err != nil || revision != start+3 {
			t.Errorf("when %s: revision %d after %d, %v", name, revision, start, err)
		}
	}
}

// The answer was lost, not the commit: the error leaves it open.
func TestACommitWhoseAnswerIsLostLeavesItOpen(t *testing.T) {
	t.Parallel()
	lose, through := storagetest.ForgetfulLine(t, storagetest.Postgres(t))
	db, err := sqldb.OpenPostgres(t.Context(), through, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const name = "the-replica" // stands in what is sent with the statement
	a := db.Catalog(name)
	have := commitRow(t, a, "first")
	lose(name)
	_, err = a.Commit(t.Context(), have, func(_ []catalog.Row, revision, lastSeq int64) []catalog.Row {
		return []catalog.Row{storagetest.Location("second", lastSeq+1, revision)}
	})
	if err == nil || errors.Is(err, catalog.ErrNothingWritten) {
		t.Errorf("Commit: %v", err)
	}
	if written, err := a.Settle(t.Context(), have+1); err != nil || !written {
		t.Errorf("Settle = %v, %v", written, err)
	}
}
