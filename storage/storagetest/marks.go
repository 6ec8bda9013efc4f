package storagetest

import (
	"testing"

	"busbar/catalog"
	"busbar/routing"
)

// TestMarks runs the conformance suite of routing.MarkStore. open returns an
// empty record, as two replicas see it, and the catalog in it.
func TestMarks(t *testing.T, open func(*testing.T) (a, b routing.MarkStore, catalog catalog.Store)) {
	t.Helper()
	a, b, catalog := open(t)
	wantMark(t, a, 0, false)
	commit(t, catalog, Location("loc1", 1, 1))
	wantMark(t, a, 0, false)
	for _, mark := range []int64{1, 7, 7, 3, 0} { // a restored record may take it back
		if err := a.SaveMark(t.Context(), mark); err != nil {
			t.Fatal(err)
		}
		wantMark(t, b, mark, true)
	}
	commit(t, catalog, Location("loc2", 2, 2))
	wantMark(t, b, 0, true)
	wantCatalog(t, catalog, 2, 2, Location("loc1", 1, 1), Location("loc2", 2, 2))
}

func wantMark(t *testing.T, s routing.MarkStore, want int64, saved bool) {
	t.Helper()
	if got, ok, err := s.Mark(t.Context()); got != want || ok != saved || err != nil {
		t.Errorf("the mark is %d, %t, %v; want %d, %t", got, ok, err, want, saved)
	}
}
