package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/access"
)

// auditEntry is an entry with every field set, which has not ended.
func auditEntry(id string, second int) access.Entry {
	return access.Entry{
		ID: id, Time: at(second),
		Actor:  access.Actor{Kind: access.KindToken, ID: "t1", Name: "deploy", Role: access.Operator},
		Remote: "192.0.2.1", Forwarded: "198.51.100.7, 203.0.113.9", Action: "platform.change",
		Method: "PATCH", Route: "/api/v1/platforms/:id", Target: "p1", Outcome: access.Attempted,
		Changes: []access.Change{},
	}
}

// ended is the entry as it ended.
func endedEntry(e access.Entry, outcome access.Outcome, status int) access.Entry {
	e.Outcome, e.Status, e.Detail = outcome, status, "a 'detail' \"é\" \\u0000"
	e.Changes = []access.Change{{Field: "name", Before: "old ' name", After: `new \ "name" é`}, {Field: "quirks"}}
	return e
}

// TestAudit runs the conformance suite of access.AuditStore. open returns an
// empty store, as two replicas see it.
func TestAudit(t *testing.T, open func(*testing.T) (a, b access.AuditStore)) {
	t.Helper()
	tests := map[string]func(t *testing.T, a, b access.AuditStore){
		"every field survives":                       everyEntryField,
		"an entry ends once":                         entryEndsOnce,
		"an entry may be saved when it has ended":    entryOfTheEnd,
		"the newest come first":                      newestEntries,
		"a search is bounded by what it names":       filteredEntries,
		"pages meet without a gap":                   entryPages,
		"entries are saved at once":                  concurrentEntries,
		"only what is old is forgotten":              forgetEntries,
		"each is forgotten once by replicas at once": concurrentEntryForgets,
		"a call that was given up is an error":       auditGivenUp,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func saveEntries(t *testing.T, s access.AuditStore, list ...access.Entry) {
	t.Helper()
	for _, e := range list {
		if err := s.SaveEntry(t.Context(), e); err != nil {
			t.Fatalf("SaveEntry %s: %v", e.ID, err)
		}
	}
}

func wantEntries(t *testing.T, s access.AuditStore, want ...access.Entry) {
	t.Helper()
	got, err := s.Entries(t.Context(), access.Query{Limit: 100})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Entries: %v, differ (-want +got):\n%s", err, diff)
	}
}

func wantEntryIDs(t *testing.T, s access.AuditStore, q access.Query, want ...string) {
	t.Helper()
	got, err := s.Entries(t.Context(), q)
	if err != nil {
		t.Fatalf("Entries of %+v: %v", q, err)
	}
	ids := []string{}
	for _, e := range got {
		ids = append(ids, e.ID)
	}
	if !slices.Equal(ids, want) && len(ids)+len(want) > 0 {
		t.Errorf("Entries of %+v: %v, want %v", q, ids, want)
	}
}

func everyEntryField(t *testing.T, a, b access.AuditStore) {
	full, bare := auditEntry("2", 1), access.Entry{ID: "1", Time: at(0), Outcome: access.Attempted, Changes: []access.Change{}}
	full.Time = time.Date(2026, 7, 1, 0, 0, 0, 987654000, time.UTC)
	saveEntries(t, a, full, bare)
	wantEntries(t, b, full, bare)
	full = endedEntry(full, access.Failed, 422)
	saveEntries(t, b, full)
	wantEntries(t, a, full, bare)
}

func entryEndsOnce(t *testing.T, a, b access.AuditStore) {
	e := auditEntry("1", 0)
	saveEntries(t, a, e, e)
	done := endedEntry(e, access.Done, 201)
	done.Target = "known only now"
	saveEntries(t, a, done)
	wantEntries(t, b, done)
	// Neither a second end nor the beginning, come late, changes it.
	saveEntries(t, b, endedEntry(e, access.Failed, 500), e)
	wantEntries(t, a, done)
	// Who did it, when, and what was asked was said at the beginning.
	another := endedEntry(auditEntry("2", 5), access.Done, 200)
	saveEntries(t, a, auditEntry("2", 5))
	forged := another
	forged.Actor.Name, forged.Actor.ID, forged.Time, forged.Remote, forged.Action = "x", "x", at(9), "x", "x"
	saveEntries(t, a, forged)
	wantEntries(t, b, another, done)
}

func entryOfTheEnd(t *testing.T, a, b access.AuditStore) {
	refused := endedEntry(auditEntry("1", 0), access.Refused, 403)
	saveEntries(t, a, refused, auditEntry("1", 0))
	wantEntries(t, b, refused)
}

func newestEntries(t *testing.T, a, b access.AuditStore) {
	ids := []string{"9", "a", "10", "Z", "z", "0a", "00", "f"}
	for i, id := range ids {
		saveEntries(t, a, auditEntry(id, 100-i)) // ids sort, times do not
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	wantEntryIDs(t, b, access.Query{Limit: 100}, ids...)
}

func filteredEntries(t *testing.T, a, b access.AuditStore) {
	second, third, root := auditEntry("2", 20), auditEntry("3", 30), auditEntry("4", 40)
	second.Actor = access.Actor{Kind: access.KindToken, ID: "t2", Name: "other", Role: access.Viewer}
	third.Target, third.Action = "p2", "platform.delete"
	root.Actor = access.Root()
	saveEntries(t, a, auditEntry("1", 10), second, third, root)
	for _, c := range []struct {
		query access.Query
		want  []string
	}{
		{access.Query{}, []string{"4", "3", "2", "1"}},
		{access.Query{Actor: "t1"}, []string{"3", "1"}},
		{access.Query{Actor: "deploy"}, []string{"3", "1"}},
		{access.Query{Actor: "root"}, []string{"4"}},
		{access.Query{Actor: "DEPLOY"}, nil},
		{access.Query{Actor: "' OR '1'='1"}, nil},
		{access.Query{Actor: "a\x00"}, nil},
		{access.Query{Target: "p2"}, []string{"3"}},
		{access.Query{Target: "%"}, nil},
		{access.Query{Target: "\xff"}, nil},
		{access.Query{Action: "platform.change"}, []string{"4", "2", "1"}},
		{access.Query{Actor: "t1", Target: "p1"}, []string{"1"}},
		{access.Query{Since: at(20)}, []string{"4", "3", "2"}},
		{access.Query{Until: at(20)}, []string{"1"}},
		{access.Query{Since: at(20), Until: at(40), Actor: "deploy"}, []string{"3"}},
		{access.Query{Before: "3"}, []string{"2", "1"}},
		{access.Query{Before: "0"}, nil},
	} {
		c.query.Limit = 10
		wantEntryIDs(t, b, c.query, c.want...)
	}
}

func entryPages(t *testing.T, a, b access.AuditStore) {
	var want []string
	for i := range 7 {
		saveEntries(t, a, auditEntry(fmt.Sprint(i), i))
		want = append([]string{fmt.Sprint(i)}, want...)
	}
	for limit := 1; limit <= 8; limit++ {
		var got []string
		before := ""
		for {
			page, err := b.Entries(t.Context(), access.Query{Before: before, Limit: limit})
			if err != nil || len(page) > limit {
				t.Fatalf("Entries: %d of them, %v, want at most %d", len(page), err, limit)
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				got = append(got, e.ID)
			}
			before = page[len(page)-1].ID
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
}

func concurrentEntries(t *testing.T, a, b access.AuditStore) {
	together(writers, func(i int) {
		s := []access.AuditStore{a, b}[i%2]
		e := auditEntry(fmt.Sprintf("%04d", i), i)
		if err := errors.Join(s.SaveEntry(t.Context(), e), s.SaveEntry(t.Context(), endedEntry(e, access.Done, 200))); err != nil {
			t.Errorf("SaveEntry: %v", err)
		}
	})
	got, err := a.Entries(t.Context(), access.Query{Limit: 2 * writers})
	if err != nil || len(got) != writers {
		t.Errorf("%d entries, %v, want %d", len(got), err, writers)
	}
	for _, e := range got {
		if e.Outcome != access.Done {
			t.Errorf("entry %s is %s", e.ID, e.Outcome)
		}
	}
}

func forgetEntries(t *testing.T, a, b access.AuditStore) {
	saveEntries(t, a, auditEntry("3", 10), auditEntry("2", 11), endedEntry(auditEntry("1", 12), access.Done, 200))
	steps := []struct {
		before    int
		forgotten int64
		left      []string
	}{{10, 0, []string{"3", "2", "1"}}, {11, 1, []string{"2", "1"}}, {11, 0, []string{"2", "1"}}, {60, 2, nil}, {60, 0, nil}}
	for _, step := range steps {
		n, err := b.ForgetEntries(t.Context(), at(step.before))
		if err != nil || n != step.forgotten {
			t.Errorf("ForgetEntries before second %d = %d, %v, want %d", step.before, n, err, step.forgotten)
		}
		wantEntryIDs(t, a, access.Query{Limit: 10}, step.left...)
	}
}

func concurrentEntryForgets(t *testing.T, a, b access.AuditStore) {
	const old = 50
	for i := range old {
		saveEntries(t, a, auditEntry(fmt.Sprintf("%04d", i), i))
	}
	saveEntries(t, a, auditEntry("9999", 3600))
	counts := make([]int64, writers)
	together(writers, func(i int) {
		var err error
		if counts[i], err = []access.AuditStore{a, b}[i%2].ForgetEntries(t.Context(), at(3600)); err != nil {
			t.Errorf("ForgetEntries: %v", err)
		}
	})
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	if sum != old {
		t.Errorf("ForgetEntries counted %d in all, want %d", sum, old)
	}
	wantEntryIDs(t, b, access.Query{Limit: 10}, "9999")
}

func auditGivenUp(t *testing.T, a, _ access.AuditStore) {
	saveEntries(t, a, auditEntry("1", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.SaveEntry(ctx, auditEntry("2", 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("SaveEntry: %v, want Canceled", err)
	}
	if _, err := a.Entries(ctx, access.Query{Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Entries: %v, want Canceled", err)
	}
	if _, err := a.ForgetEntries(ctx, at(60)); !errors.Is(err, context.Canceled) {
		t.Errorf("ForgetEntries: %v, want Canceled", err)
	}
	wantEntryIDs(t, a, access.Query{Limit: 10}, "1")
}
