package storagetest

import (
	"context"
	"errors"
	"testing"

	"busbar/catalog"
)

func catalogNewer(t *testing.T, a, b catalog.Store) {
	rows := []catalog.Row{Location("a", 1, 1), Location("b", 5, 2), Location("c", 6, 3), Location("d", 7, 4)}
	commit(t, a, rows[0], rows[1])
	rows[0].Revision = 1
	commit(t, a, rows[1])
	steps := []struct {
		have, revision, lastSeq int64
		newer                   []catalog.Row
		write                   catalog.Row
	}{
		{1, 3, 5, rows[1:2], rows[2]},
		{3, 4, 6, nil, rows[3]},
		{0, 5, 7, rows, gone(rows[3])},
	}
	for _, step := range steps {
		runs := 0
		revision, err := b.Commit(t.Context(), step.have, func(newer []catalog.Row, revision, lastSeq int64) []catalog.Row {
			runs++
			if revision != step.revision || lastSeq != step.lastSeq {
				t.Errorf("decide is told revision %d and seq %d, want %d and %d", revision, lastSeq, step.revision, step.lastSeq)
			}
			wantRows(t, "newer", step.newer, newer)
			return []catalog.Row{step.write}
		})
		if err != nil || revision != step.revision || runs != 1 {
			t.Errorf("Commit = %d, %v after %d runs of decide, want %d", revision, err, runs, step.revision)
		}
	}
}

func catalogNothing(t *testing.T, a, b catalog.Store) {
	row := Location("loc", 1, 1)
	commit(t, a, row)
	for _, rows := range [][]catalog.Row{nil, {}} {
		var told []catalog.Row
		revision, err := b.Commit(t.Context(), 0, func(newer []catalog.Row, _, _ int64) []catalog.Row {
			told = newer
			return rows
		})
		if err != nil || revision != 1 {
			t.Errorf("Commit = %d, %v, want 1, the newest there is", revision, err)
		}
		wantRows(t, "newer", []catalog.Row{row}, told)
		wantCatalog(t, a, 1, 1, row)
	}
}

func catalogPanic(t *testing.T, a, b catalog.Store) {
	row := Location("loc", 1, 1)
	commit(t, a, row)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not come out")
			}
		}()
		_, _ = a.Commit(t.Context(), 1, func([]catalog.Row, int64, int64) []catalog.Row { panic("decide") })
	}()
	wantCatalog(t, a, 1, 1, row)
	next := Location("next", 2, 2)
	commit(t, b, next)
	wantCatalog(t, a, 2, 2, row, next)
}

func catalogGivenUp(t *testing.T, a, b catalog.Store) {
	row := Location("loc", 1, 1)
	commit(t, a, row)
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	_, err := a.Commit(ctx, 1, func([]catalog.Row, int64, int64) []catalog.Row {
		runs++
		cancel()
		return []catalog.Row{Location("late", 2, 2)}
	})
	if !errors.Is(err, context.Canceled) || runs != 1 {
		t.Errorf("Commit: %v after %d runs of decide, want Canceled after one", err, runs)
	}
	wantCatalog(t, a, 1, 1, row)
	next := Location("next", 2, 2)
	commit(t, b, next)
	wantCatalog(t, a, 2, 2, row, next)
}

func catalogNotBegun(t *testing.T, a, _ catalog.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, commitErr := a.Commit(ctx, 0, func([]catalog.Row, int64, int64) []catalog.Row {
		t.Error("decide was called")
		return nil
	})
	_, _, loadErr := a.Load(ctx, func(catalog.Row) error { return nil })
	_, _, sinceErr := a.Since(ctx, 0)
	_, revisionErr := a.Revision(ctx)
	_, settleErr := a.Settle(ctx, 1)
	_, forgetErr := a.ForgetDeleted(ctx, at(0))
	for what, err := range map[string]error{
		"Commit": commitErr, "Load": loadErr, "Since": sinceErr, "Settle": settleErr, "Revision": revisionErr, "ForgetDeleted": forgetErr,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want Canceled", what, err)
		}
	}
	wantCatalog(t, a, 0, 0)
}

func catalogFails(t *testing.T, a, b catalog.Store) {
	first, second := Location("first", 1, 1), Location("second", 2, 1)
	commit(t, a, first, second)
	// A place is given once: two objects at one would be lost to paging.
	clash := Location("clash", 2, 2)
	_, err := a.Commit(t.Context(), 1, func([]catalog.Row, int64, int64) []catalog.Row {
		return []catalog.Row{Location("fine", 3, 2), clash}
	})
	if !errors.Is(err, catalog.ErrNothingWritten) {
		t.Errorf("Commit of a taken place: %v, want ErrNothingWritten", err)
	}
	wantCatalog(t, b, 1, 2, first, second)
}

func catalogSettle(t *testing.T, a, b catalog.Store) {
	first, second := Location("first", 1, 1), Location("second", 2, 2)
	commit(t, a, first)
	commit(t, b, second)
	first.Revision = 3
	commit(t, b, first) // nothing of revision 1 is left
	wantSettled(t, a, []bool{true, false, false})
	wantSettled(t, b, []bool{false, true, true})
	wantCatalog(t, a, 3, 2, first, second)
}

// wantSettled asks for the revisions from 1 on.
func wantSettled(t *testing.T, s catalog.Store, want []bool) {
	t.Helper()
	for i, want := range want {
		if written, err := s.Settle(t.Context(), int64(i+1)); err != nil || written != want {
			t.Errorf("Settle %d = %v, %v, want %v", i+1, written, err, want)
		}
	}
}

func catalogSettleCloses(t *testing.T, a, b catalog.Store) {
	first, second := Location("first", 1, 1), Location("second", 2, 3)
	commit(t, a, first)
	wantSettled(t, a, []bool{true, false, false}) // closes 2 and 3
	if written, err := a.Settle(t.Context(), 7); err != nil || written {
		t.Errorf("Settle of what is far ahead = %v, %v", written, err)
	}
	wantCatalog(t, b, 3, 1, first)
	wantSince(t, b, 1, 3)
	second.Revision = 4
	commit(t, b, second)
	wantCatalog(t, a, 4, 2, first, second)
}

// catalogSettleWaits: what is decided is either seen by Settle, or not written at
// the revision that Settle closed.
func catalogSettleWaits(t *testing.T, a, b catalog.Store) {
	for revision := int64(1); revision < 8; {
		var made, told int64
		var written bool
		together(2, func(i int) {
			var err error
			if i == 0 {
				made, err = a.Commit(t.Context(), revision-1, func(_ []catalog.Row, _, lastSeq int64) []catalog.Row {
					return []catalog.Row{Location("loc", lastSeq+1, 0)}
				})
			} else if written, err = a.Settle(t.Context(), revision); err == nil {
				told, err = b.Revision(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
		if written != (made == revision) || told < revision {
			t.Fatalf("Settle %d = %v, at %d, and it was committed as %d", revision, written, told, made)
		}
		revision = made + 1
	}
}
