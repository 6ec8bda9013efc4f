package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"busbar/journal"
)

// segment has records from one second of the tests to another.
func segment(id string, first, last int) journal.Segment {
	return journal.Segment{
		ID: id, First: at(first), Last: at(last), Records: 300,
		Filter: []byte("filter of " + id + "\x00\xff"), Body: []byte("body of " + id + "\x00\xff"),
	}
}

// TestSegments runs the conformance suite of journal.Store. open returns an
// empty store, as two replicas see it.
func TestSegments(t *testing.T, open func(*testing.T) (a, b journal.Store)) {
	t.Helper()
	tests := map[string]func(t *testing.T, a, b journal.Store){
		"every byte survives":                        everySegmentByte,
		"the newest come first":                      newestSegments,
		"a search is bounded by time and id":         boundedSegments,
		"pages meet without a gap":                   segmentPages,
		"a segment that is there is left as it is":   duplicateSegment,
		"a segment without a time is refused":        timelessSegment,
		"a segment is rewritten, if it is there":     rewriteSegment,
		"only what is old is forgotten":              forgetSegments,
		"each is forgotten once by replicas at once": concurrentSegmentForgets,
		"segments are saved at once":                 concurrentSegments,
		"a call that was given up is an error":       segmentsGivenUp,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func everySegmentByte(t *testing.T, a, b journal.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	full, bare := segment("2", 1, 2), journal.Segment{ID: "1", First: at(0), Last: at(0)}
	full.Filter, full.Body = all, bytes.Repeat(all, 40)
	exact := segment("0", 0, 0)
	exact.First = time.Date(2026, 7, 1, 2, 0, 0, 987654321, time.FixedZone("somewhere", 2*3600))
	exact.Last = exact.First.Add(time.Second)
	saveSegments(t, a, full, bare, exact)
	exact.First = time.Date(2026, 7, 1, 0, 0, 0, 987654000, time.UTC)
	exact.Last = exact.First.Add(time.Second)
	wantSegments(t, b, "", 10, full, bare, exact)
}

// newestSegments has ids that languages sort in another order than bytes.
func newestSegments(t *testing.T, a, b journal.Store) {
	ids := []string{"z", "Z", "a-b", "ab", "aa", "a_c", "10", "9", "ä", "é", "~", "0198c0de-1", "0198c0de1", "A"}
	var list []journal.Segment
	for _, id := range ids {
		list = append(list, segment(id, 1, 2))
	}
	saveSegments(t, a, list...)
	slices.SortFunc(list, func(a, b journal.Segment) int { return strings.Compare(b.ID, a.ID) })
	wantSegments(t, b, "", 100, list...)
	for i, s := range list {
		wantSegments(t, b, s.ID, 100, list[i+1:]...)
	}
}

func boundedSegments(t *testing.T, a, b journal.Store) {
	// The second one was written late.
	list := map[string]journal.Segment{
		"1": segment("1", 10, 20), "2": segment("2", 5, 12), "3": segment("3", 21, 30), "4": segment("4", 30, 30),
	}
	for _, s := range list {
		saveSegments(t, a, s)
	}
	tests := []struct {
		since, until int // 0 is open
		before       string
		limit        int
		want         string
	}{
		{0, 0, "", 10, "4321"}, {0, 0, "", 2, "43"}, {0, 0, "3", 10, "21"}, {0, 0, "3", 1, "2"}, {0, 0, "1", 10, ""},
		{12, 0, "", 10, "4321"}, {13, 0, "", 10, "431"}, {20, 0, "", 10, "431"}, {21, 0, "", 10, "43"}, {31, 0, "", 10, ""},
		{0, 31, "", 10, "4321"}, {0, 30, "", 10, "321"}, {0, 10, "", 10, "2"}, {0, 11, "", 10, "21"}, {0, 5, "", 10, ""},
		{20, 21, "", 10, "1"}, {13, 30, "3", 10, "1"}, {12, 30, "3", 1, "2"},
	}
	for _, test := range tests {
		var since, until time.Time
		if test.since > 0 {
			since = at(test.since)
		}
		if test.until > 0 {
			until = at(test.until)
		}
		got, err := b.Segments(t.Context(), since, until, test.before, test.limit)
		ids := ""
		for _, s := range withBodies(t, b, got) {
			ids += s.ID
			if d := diff(list[s.ID], s); d != "" {
				t.Errorf("%s differs (-want +got):\n%s", s.ID, d)
			}
		}
		if err != nil || ids != test.want {
			t.Errorf("Segments %+v: %q, %v", test, ids, err)
		}
	}
}

func segmentPages(t *testing.T, a, b journal.Store) {
	const all, page = 25, 4
	for i := range all {
		saveSegments(t, a, segment(fmt.Sprintf("%03d", i), i, i+1))
	}
	before, n := "", 0
	for {
		got, err := b.Segments(t.Context(), at(1), at(all), before, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got {
			if n++; s.ID != fmt.Sprintf("%03d", all-n) {
				t.Fatalf("segment %d is %s", n, s.ID)
			}
			before = s.ID
		}
		if len(got) < page {
			break
		}
	}
	if n != all {
		t.Errorf("the pages have %d segments, want %d", n, all)
	}
}

func duplicateSegment(t *testing.T, a, b journal.Store) {
	s := segment("taken", 1, 2)
	saveSegments(t, a, s)
	saveSegments(t, b, s, segment("taken", 3, 4))
	wantSegments(t, b, "", 10, s)
}

func timelessSegment(t *testing.T, a, b journal.Store) {
	s := segment("s", 1, 2)
	s.Last = time.Time{}
	if err := a.SaveSegment(t.Context(), s); err == nil {
		t.Error("SaveSegment succeeded")
	}
	wantSegments(t, b, "", 10)
}

func rewriteSegment(t *testing.T, a, b journal.Store) {
	one, two := segment("1", 1, 2), segment("2", 3, 4)
	saveSegments(t, a, one, two)
	rewrite := func(s journal.Segment) {
		t.Helper()
		if err := b.RewriteSegment(t.Context(), s); err != nil {
			t.Errorf("RewriteSegment: %v", err)
		}
	}
	one.Records, one.Body = 299, []byte("another body\x00\xff")
	rewrite(one)
	wantSegments(t, a, "", 10, two, one)
	// Nothing else changes, and none is made.
	changed := journal.Segment{ID: "1", First: at(7), Last: at(9), Records: 298, Filter: []byte("x"), Body: []byte("y")}
	rewrite(changed)
	one.Records, one.Body = 298, []byte("y")
	rewrite(segment("3", 1, 2))
	wantSegments(t, a, "", 10, two, one)
	two.Records = 0
	rewrite(two)
	rewrite(two)
	wantSegments(t, a, "", 10, one)
}

func forgetSegments(t *testing.T, a, b journal.Store) {
	past, now, soon := segment("3", 1, 9), segment("2", 1, 10), segment("1", 1, 11)
	saveSegments(t, a, past, now, soon)
	for _, step := range []struct {
		before    int
		forgotten int64
		left      []journal.Segment
	}{
		{9, 0, []journal.Segment{past, now, soon}}, {10, 1, []journal.Segment{now, soon}},
		{10, 0, []journal.Segment{now, soon}}, {99, 2, nil},
	} {
		if n, err := b.ForgetSegments(t.Context(), at(step.before)); err != nil || n != step.forgotten {
			t.Errorf("ForgetSegments before %d = %d, %v, want %d", step.before, n, err, step.forgotten)
		}
		wantSegments(t, a, "", 10, step.left...)
	}
}

func concurrentSegmentForgets(t *testing.T, a, b journal.Store) {
	const old = 30
	for i := range old {
		saveSegments(t, a, segment(fmt.Sprint(i), 1, 2))
	}
	kept := segment("kept", 1, 3)
	saveSegments(t, a, kept)
	counts := make([]int64, writers)
	together(writers, func(i int) {
		var err error
		if counts[i], err = []journal.Store{a, b}[i%2].ForgetSegments(t.Context(), at(3)); err != nil {
			t.Errorf("ForgetSegments: %v", err)
		}
	})
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	if sum != old {
		t.Errorf("ForgetSegments counted %d in all, want %d", sum, old)
	}
	wantSegments(t, a, "", 100, kept)
}

func concurrentSegments(t *testing.T, a, b journal.Store) {
	together(writers, func(i int) {
		for n := range 5 {
			if err := []journal.Store{a, b}[i%2].SaveSegment(t.Context(), segment(fmt.Sprintf("%d of %d", n, i), 1, 2)); err != nil {
				t.Errorf("SaveSegment: %v", err)
			}
		}
	})
	if got, err := a.Segments(t.Context(), time.Time{}, time.Time{}, "", 1000); err != nil || len(got) != writers*5 {
		t.Errorf("%d segments, %v, want %d", len(got), err, writers*5)
	}
}

func segmentsGivenUp(t *testing.T, a, b journal.Store) {
	s := segment("there", 1, 2)
	saveSegments(t, a, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, loadErr := a.Segments(ctx, time.Time{}, time.Time{}, "", 10)
	_, bodiesErr := a.Bodies(ctx, []string{"there"})
	_, forgetErr := a.ForgetSegments(ctx, at(99))
	for what, err := range map[string]error{
		"Segments": loadErr, "Bodies": bodiesErr, "ForgetSegments": forgetErr, "SaveSegment": a.SaveSegment(ctx, segment("late", 1, 2)),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want Canceled", what, err)
		}
	}
	wantSegments(t, b, "", 10, s)
}

func saveSegments(t *testing.T, s journal.Store, list ...journal.Segment) {
	t.Helper()
	for _, segment := range list {
		if err := s.SaveSegment(t.Context(), segment); err != nil {
			t.Fatalf("SaveSegment %s: %v", segment.ID, err)
		}
	}
}

func wantSegments(t *testing.T, s journal.Store, before string, limit int, want ...journal.Segment) {
	t.Helper()
	got, err := s.Segments(t.Context(), time.Time{}, time.Time{}, before, limit)
	if err != nil {
		t.Fatalf("Segments: %v", err)
	}
	if d := diff(want, withBodies(t, s, got)); d != "" {
		t.Errorf("Segments before %q differ (-want +got):\n%s", before, d)
	}
}

// withBodies puts the bodies where they belong.
func withBodies(t *testing.T, s journal.Store, list []journal.Segment) []journal.Segment {
	t.Helper()
	ids := []string{"never there"}
	for _, segment := range list {
		if segment.Body != nil {
			t.Errorf("segment %s comes with its body", segment.ID)
		}
		ids = append(ids, segment.ID)
	}
	bodies, err := s.Bodies(t.Context(), ids)
	if err != nil || len(bodies) != len(list) {
		t.Fatalf("Bodies: %d of %d, %v", len(bodies), len(list), err)
	}
	for i := range list {
		list[i].Body = bodies[list[i].ID]
	}
	return list
}
