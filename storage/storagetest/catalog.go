package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

// Location is a Location of the catalog as it is stored at a revision.
func Location(id string, seq, revision int64) catalog.Row {
	return catalog.Row{
		Key: catalog.Key{Module: ocpi.ModuleLocations, Owner: claim("NLCPA CPO").Party, ID: id},
		Seq: seq, Revision: revision, LastUpdated: at(int(seq)), ChangedAt: at(int(revision)),
		Document: []byte(`{ "id":"` + id + `", "name":"Ä \u0000 ⚡", "x":1.0 }`),
	}
}

// TestCatalog runs the conformance suite of catalog.Store. open returns an empty
// record, as two replicas see it.
func TestCatalog(t *testing.T, open func(*testing.T) (a, b catalog.Store)) {
	t.Helper()
	tests := map[string]func(t *testing.T, a, b catalog.Store){
		"an empty record is at revision 0":                    emptyCatalog,
		"every field survives":                                everyCatalogField,
		"times are kept in UTC to the microsecond":            catalogTimes,
		"ids of any bytes and any length are kept apart":      anyID,
		"a document that is no text harms nobody":             documentNoText,
		"a write replaces the row of its key":                 catalogReplace,
		"of two writes to a key the last counts":              catalogTwice,
		"a deleted row is in Since and not in Load":           catalogDelete,
		"an object that comes back has a new place":           catalogComeBack,
		"rows come in their order":                            catalogOrder,
		"Since tells what is newer":                           catalogSince,
		"much that is newer comes in whole revisions":         catalogParts,
		"large documents come in parts, too":                  catalogLargeParts,
		"Settle tells of a replica's own commits":             catalogSettle,
		"Settle closes a revision that is open":               catalogSettleCloses,
		"Settle waits for a commit that is under way":         catalogSettleWaits,
		"decide is told what others wrote":                    catalogNewer,
		"a decide without rows commits nothing":               catalogNothing,
		"a decide that panics leaves nothing":                 catalogPanic,
		"a commit that is given up leaves nothing":            catalogGivenUp,
		"an end before the commit does not come to decide":    catalogNotBegun,
		"a batch that fails leaves nothing":                   catalogFails,
		"an each that fails ends Load":                        catalogLoadFails,
		"a large record is loaded whole":                      catalogLarge,
		"only what was deleted long ago is forgotten":         catalogForget,
		"deleted objects are forgotten once, beside commits":  concurrentCatalogForgets,
		"commits at once tell each other and lose nothing":    concurrentCommits,
		"what is loaded beside commits is of one revision":    loadBesideCommits,
		"revisions become visible in their order":             revisionsInOrder,
		"who follows sees each revision once, and whole":      func(t *testing.T, a, b catalog.Store) { FollowCommits(t, a, b) },
		"replicas that change one object build on each other": concurrentChanges,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func emptyCatalog(t *testing.T, a, b catalog.Store) {
	wantCatalog(t, a, 0, 0)
	wantSince(t, b, 0, 0)
}

func everyCatalogField(t *testing.T, a, b catalog.Store) {
	full := Location("loc1", 1, 1)
	tariff, bare := Location("loc1", 2, 1), catalog.Row{Key: catalog.Key{Module: ocpi.ModuleTariffs, ID: "bare"}, Seq: 3}
	tariff.Key.Module, tariff.Key.Owner = ocpi.ModuleTariffs, claim("DEC CPO").Party
	bare.Document, bare.Revision = []byte(`{}`), 1
	commit(t, a, full, tariff, bare)
	wantCatalog(t, b, 1, 3, full, tariff, bare)
	wantSince(t, b, 0, 1, full, tariff, bare)
}

func catalogTimes(t *testing.T, a, b catalog.Store) {
	row := Location("clock", 1, 1)
	row.LastUpdated = time.Date(2026, 7, 1, 2, 0, 0, 987654321, time.FixedZone("somewhere", 2*3600))
	row.ChangedAt = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
	ancient := Location("ancient", 2, 1)
	ancient.LastUpdated = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
	commit(t, a, row, ancient)
	row.LastUpdated = time.Date(2026, 7, 1, 0, 0, 0, 987654000, time.UTC)
	row.ChangedAt = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	wantCatalog(t, b, 1, 2, row, ancient)
}

func anyID(t *testing.T, a, b catalog.Store) {
	ids := []string{"", " ", "loc", "loc ", "LOC", "löc", "lo\u0308c", "🔌", "\x00", "loc\x00", "\xff", "\xfe", "'; --", "%", "_",
		strings.Repeat("long", 10_000), strings.Repeat("long", 10_000) + "er"}
	var rows []catalog.Row
	for i, id := range ids {
		rows = append(rows, Location("document", int64(i+1), 1))
		rows[i].Key.ID = id
	}
	// Keys whose parts, run together, read the same.
	for i, owner := range []string{"NLABC CPO", "NLAB CPO"} {
		row := Location("document", int64(len(ids)+i+1), 1)
		row.Key.Owner, row.Key.ID = claim(owner).Party, []string{"1", "C1"}[i]
		rows = append(rows, row)
	}
	commit(t, a, rows...)
	wantCatalog(t, b, 1, int64(len(rows)), rows...)
	for i := range rows {
		rows[i].Revision = 2
	}
	commit(t, a, rows...)
	wantCatalog(t, b, 2, int64(len(rows)), rows...)
}

func documentNoText(t *testing.T, a, b catalog.Store) {
	good, bad := Location("good", 1, 1), Location("bad", 2, 1)
	bad.Document = []byte("{\"name\":\"caf\xe9\x00\"}")
	commit(t, a, good, bad)
	bad.Document = []byte("{\"name\":\"caf\uFFFD\uFFFD\"}")
	wantCatalog(t, b, 1, 2, good, bad)
}

func catalogReplace(t *testing.T, a, b catalog.Store) {
	row, other := Location("loc", 1, 1), Location("other", 2, 1)
	commit(t, a, row, other)
	row.Revision, row.LastUpdated, row.ChangedAt, row.Document = 2, at(100), at(101), []byte(`{"id":"loc"}`)
	commit(t, b, row)
	wantCatalog(t, a, 2, 2, row, other)
}

func catalogTwice(t *testing.T, a, b catalog.Store) {
	first, last, other := Location("loc", 1, 1), Location("loc", 3, 1), Location("other", 2, 1)
	first.Document = []byte(`{"first":true}`)
	commit(t, a, first, other, last)
	wantCatalog(t, b, 1, 3, other, last)
}

func catalogDelete(t *testing.T, a, b catalog.Store) {
	row, kept := Location("loc", 1, 1), Location("kept", 2, 1)
	commit(t, a, row, kept)
	row.Deleted, row.Revision = true, 2
	commit(t, a, row) // a document that it still holds is not kept
	row.Document = nil
	wantCatalog(t, b, 2, 2, kept)
	wantSince(t, b, 1, 2, row)
	wantSince(t, b, 0, 2, kept, row)
}

func catalogComeBack(t *testing.T, a, b catalog.Store) {
	row, other := Location("loc", 1, 1), Location("other", 2, 1)
	commit(t, a, row, other)
	commit(t, a, gone(row))
	back := Location("loc", 3, 3)
	commit(t, a, back)
	wantCatalog(t, b, 3, 3, other, back)
	wantSince(t, b, 1, 3, back)
}

func catalogOrder(t *testing.T, a, b catalog.Store) {
	rows := []catalog.Row{Location("b", 1, 2), Location("d", 2, 1), Location("a", 3, 1), Location("c", 4, 3)}
	first := slices.Clone(rows[:3])
	slices.Reverse(first)
	commit(t, a, first...)
	commit(t, b, rows[0])
	commit(t, a, rows[3])
	wantCatalog(t, b, 3, 4, rows...)
	wantSince(t, b, 0, 3, rows[1], rows[2], rows[0], rows[3])
}

func catalogSince(t *testing.T, a, b catalog.Store) {
	rows := []catalog.Row{Location("a", 1, 1), Location("b", 2, 2), Location("c", 3, 3)}
	for _, row := range rows {
		commit(t, a, row)
	}
	for revision := range 4 {
		wantSince(t, b, int64(revision), 3, rows[revision:]...)
	}
	wantSince(t, b, 99, 3)
}

// catalogLargeParts: what is read at once is bounded in bytes, not only in
// objects, and a commit does not read more either while it holds others back.
func catalogLargeParts(t *testing.T, a, b catalog.Store) {
	var rows []catalog.Row
	for i := range 3 {
		row := Location(fmt.Sprint("large", i), int64(i+1), int64(i+1))
		row.Document = []byte(`{"id":"` + strings.Repeat("x", 12<<20) + `"}`)
		commit(t, a, row)
		rows = append(rows, row)
	}
	for _, step := range []struct {
		revision, upTo int64
		want           []catalog.Row
	}{{0, 2, rows[:2]}, {2, 3, rows[2:]}} {
		wantSince(t, b, step.revision, step.upTo, step.want...)
	}
	_, err := b.Commit(t.Context(), 0, func([]catalog.Row, int64, int64) []catalog.Row {
		t.Error("decide runs with a part of what others wrote")
		return nil
	})
	if !errors.Is(err, catalog.ErrBehind) {
		t.Errorf("Commit = %v, want ErrBehind", err)
	}
	small := Location("small", 4, 4)
	if revision, err := b.Commit(t.Context(), 2, func(newer []catalog.Row, _, _ int64) []catalog.Row {
		wantRows(t, "newer", rows[2:], newer)
		return []catalog.Row{small}
	}); err != nil || revision != 4 {
		t.Errorf("Commit = %d, %v, want 4", revision, err)
	}
}

func catalogLoadFails(t *testing.T, a, _ catalog.Store) {
	commit(t, a, Location("first", 1, 1), Location("second", 2, 1))
	broken := errors.New("broken")
	n := 0
	_, _, err := a.Load(t.Context(), func(catalog.Row) error {
		n++
		return broken
	})
	if !errors.Is(err, broken) || n != 1 {
		t.Errorf("Load: %v after %d rows, want the error of each after one", err, n)
	}
}

func catalogLarge(t *testing.T, a, b catalog.Store) {
	const objects = 4001 // more than Load reads at once
	rows := make([]catalog.Row, objects)
	for i := range rows {
		rows[i] = Location(fmt.Sprint("loc", i), int64(i+1), 1)
	}
	commit(t, a, rows...)
	wantCatalog(t, b, 1, objects, rows...)
}

func catalogForget(t *testing.T, a, b catalog.Store) {
	var rows []catalog.Row
	for i, id := range []string{"old", "now", "new", "living"} {
		row := Location(id, int64(i+1), 1)
		row.Deleted, row.Document, row.ChangedAt = id != "living", nil, at([]int{9, 10, 11, 1}[i])
		if !row.Deleted {
			row.Document = []byte(`{}`)
		}
		rows = append(rows, row)
	}
	commit(t, a, rows...)
	for _, step := range []struct {
		before    int
		forgotten int64
		left      []catalog.Row
	}{{9, 0, rows}, {10, 1, rows[1:]}, {10, 0, rows[1:]}, {99, 2, rows[3:]}} {
		if n, err := b.ForgetDeleted(t.Context(), at(step.before)); err != nil || n != step.forgotten {
			t.Errorf("ForgetDeleted before %d = %d, %v, want %d", step.before, n, err, step.forgotten)
		}
		wantSince(t, a, 0, 1, step.left...)
	}
	wantCatalog(t, a, 1, 4, rows[3])
}

// gone is a row's deletion.
func gone(row catalog.Row) catalog.Row {
	row.Deleted, row.Document = true, nil
	return row
}

// commit writes rows without looking at what is there.
func commit(t *testing.T, s catalog.Store, rows ...catalog.Row) {
	t.Helper()
	have, err := s.Revision(t.Context())
	if err == nil {
		_, err = s.Commit(t.Context(), have, func([]catalog.Row, int64, int64) []catalog.Row { return rows })
	}
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func wantCatalog(t *testing.T, s catalog.Store, revision, lastSeq int64, want ...catalog.Row) {
	t.Helper()
	var got []catalog.Row
	gotRevision, gotSeq, err := s.Load(t.Context(), func(row catalog.Row) error {
		got = append(got, row)
		return nil
	})
	if err != nil || gotRevision != revision || gotSeq != lastSeq {
		t.Fatalf("Load stands for revision %d and seq %d, %v, want %d and %d", gotRevision, gotSeq, err, revision, lastSeq)
	}
	wantRows(t, "Load", want, got)
	if got, err := s.Revision(t.Context()); err != nil || got != revision {
		t.Errorf("Revision = %d, %v, want %d", got, err, revision)
	}
}

func wantSince(t *testing.T, s catalog.Store, revision, upTo int64, want ...catalog.Row) {
	t.Helper()
	got, gotUpTo, err := s.Since(t.Context(), revision)
	if err != nil || gotUpTo != upTo {
		t.Errorf("Since %d goes up to %d, %v, want %d", revision, gotUpTo, err, upTo)
	}
	wantRows(t, fmt.Sprint("Since ", revision), want, got)
}

func wantRows(t *testing.T, what string, want, got []catalog.Row) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if d := diff(want[i], got[i]); d != "" {
			t.Errorf("%s: row %d differs (-want +got):\n%s", what, i, d)
		}
	}
}
