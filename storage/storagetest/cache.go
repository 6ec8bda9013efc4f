package storagetest

import (
	"testing"

	"busbar/parties"
)

// TestCache runs the conformance suite of a parties.Cache that keeps a copy.
// open returns an empty one. TestNews is part of it.
func TestCache(t *testing.T, open func(*testing.T) parties.Cache) {
	t.Helper()
	tests := map[string]func(*testing.T, parties.Cache){
		"an empty cache has no copy":                           emptyCache,
		"every field survives":                                 cachedFields,
		"a copy of nothing is a copy":                          copyOfNothing,
		"Fill replaces the whole copy":                         fillReplaces,
		"Fill is refused by a newer copy":                      fillRefused,
		"changes in order are brought in":                      announcedInOrder,
		"a change that the copy stands for is old":             announcedLate,
		"a deleted platform leaves no ghost":                   noGhost,
		"changes out of order are brought in":                  announcedOutOfOrder,
		"a lost change holds the revision until the next Fill": lostChange,
		"Fill keeps what was announced beyond it":              fillKeepsNewer,
		"Fill keeps deletions announced beyond it":             fillKeepsDeletions,
		"without a copy a change is told and not kept":         announcedWithoutCopy,
		"a copy that fell far behind is thrown away":           farBehind,
		"an announced platform has the revision of its change": announcedRevision,
		"an older change of a platform never replaces a newer": olderNeverReplaces,
		"agreements are in the copy":                           cachedAgreements,
		"agreements announced in any order are the newest":     announcedAgreements,
		"Fill keeps agreements announced beyond it":            fillKeepsAgreements,
		"what is read tells up to which change it is true":     tellsUpTo,
		"a copy beyond the store is forgotten":                 forgottenBeyond,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	TestNews(t, open)
}

func emptyCache(t *testing.T, c parties.Cache) {
	wantNoCopy(t, c)
	wantNotCached(t, c, parties.NewPlatformID())
}

func cachedFields(t *testing.T, c parties.Cache) {
	full, bare := revised(FullPlatform("NL"), 3), revised(Platform("bare"), 4)
	fill(t, c, 4, full, bare)
	wantCopy(t, c, 4, full, bare)
	wantCached(t, c, full)
	wantCached(t, c, bare)
	announced := revised(FullPlatform("DE"), 5)
	announce(t, c, 5, announced.ID, &announced)
	wantCopy(t, c, 5, full, bare, announced)
	wantCached(t, c, announced)
}

func copyOfNothing(t *testing.T, c parties.Cache) {
	fill(t, c, 0)
	wantCopy(t, c, 0)
	p := revised(Platform("first"), 1)
	announce(t, c, 1, p.ID, &p)
	wantCopy(t, c, 1, p)
}

func fillReplaces(t *testing.T, c parties.Cache) {
	old, kept, fresh := revised(Platform("old"), 1), revised(Platform("kept"), 2), revised(Platform("new"), 4)
	fill(t, c, 2, old, kept)
	kept.Name, kept.Revision = "changed", 5
	fill(t, c, 5, kept, fresh)
	wantCopy(t, c, 5, kept, fresh)
	fill(t, c, 5, kept)
	wantCopy(t, c, 5, kept)
}

func fillRefused(t *testing.T, c parties.Cache) {
	p := revised(Platform("newer"), 5)
	fill(t, c, 5, p)
	fill(t, c, 4, revised(Platform("older"), 4))
	wantCopy(t, c, 5, p)
}

func announcedInOrder(t *testing.T, c parties.Cache) {
	a, b := revised(Platform("a"), 1), revised(Platform("b"), 2)
	fill(t, c, 2, a, b)
	fresh := revised(Platform("fresh"), 3)
	announce(t, c, 3, fresh.ID, &fresh)
	a.Name, a.Revision = "changed", 4
	announce(t, c, 4, a.ID, &a)
	announce(t, c, 5, b.ID, nil)
	wantCopy(t, c, 5, a, fresh)
	wantCached(t, c, a)
	wantNotCached(t, c, b.ID)
}

func announcedLate(t *testing.T, c parties.Cache) {
	p := revised(Platform("p"), 5)
	fill(t, c, 5, p)
	old := revised(p, 4)
	old.Name = "older"
	announce(t, c, 4, p.ID, &old)
	announce(t, c, 3, p.ID, nil)
	again := revised(p, 5)
	announce(t, c, 5, p.ID, &again)
	wantCopy(t, c, 5, p)
}

func noGhost(t *testing.T, c parties.Cache) {
	p := revised(Platform("p"), 1)
	fill(t, c, 1, p)
	older := revised(p, 2)
	announce(t, c, 3, p.ID, nil) // before 2, which arrives late
	announce(t, c, 2, p.ID, &older)
	wantCopy(t, c, 3)
	announce(t, c, 2, p.ID, &older) // and again
	wantCopy(t, c, 3)
	fill(t, c, 3)
	announce(t, c, 2, p.ID, &older)
	wantCopy(t, c, 3)
	// The same id may live again.
	reborn := revised(p, 4)
	announce(t, c, 4, p.ID, &reborn)
	wantCopy(t, c, 4, reborn)
}

func announcedOutOfOrder(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	a, b, d := revised(Platform("a"), 2), revised(Platform("b"), 3), revised(Platform("d"), 5)
	announce(t, c, 5, d.ID, &d)
	wantCopy(t, c, 1, d)
	announce(t, c, 3, b.ID, &b)
	wantCopy(t, c, 1, b, d)
	announce(t, c, 2, a.ID, &a)
	wantCopy(t, c, 3, a, b, d)
	announce(t, c, 4, a.ID, nil)
	wantCopy(t, c, 5, b, d)
}

func lostChange(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	a, b := revised(Platform("a"), 3), revised(Platform("b"), 4)
	announce(t, c, 3, a.ID, &a) // 2 never arrives
	announce(t, c, 4, b.ID, &b)
	wantCopy(t, c, 1, a, b)
	lost := revised(Platform("lost"), 2)
	fill(t, c, 4, a, b, lost)
	wantCopy(t, c, 4, a, b, lost)
	a.Revision = 5
	announce(t, c, 5, a.ID, &a)
	wantCopy(t, c, 5, a, b, lost)
}

func fillKeepsNewer(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	old, next, ahead := revised(Platform("p"), 2), revised(Platform("next"), 4), revised(Platform("ahead"), 6)
	p := revised(old, 4)
	p.Name = "newer"
	announce(t, c, 4, p.ID, &p)
	announce(t, c, 6, ahead.ID, &ahead)
	next.Revision = 3
	fill(t, c, 3, old, next)
	wantCopy(t, c, 4, p, next, ahead)
	late := revised(ahead, 5)
	late.Name = "late"
	announce(t, c, 5, late.ID, &late)
	wantCopy(t, c, 6, p, next, ahead)
}

func fillKeepsDeletions(t *testing.T, c parties.Cache) {
	a, b := revised(Platform("a"), 1), revised(Platform("b"), 2)
	fill(t, c, 2, a, b)
	announce(t, c, 4, a.ID, nil)
	fill(t, c, 2, a, b)
	wantCopy(t, c, 2, b)
	fill(t, c, 3, a, b)
	wantCopy(t, c, 4, b)
}

func announcedWithoutCopy(t *testing.T, c parties.Cache) {
	p := revised(Platform("p"), 1)
	heard := Watch(t, c)
	heard.Want(parties.Change{})
	announce(t, c, 1, p.ID, &p)
	heard.Want(parties.Change{Revision: 1, ID: p.ID})
	wantNoCopy(t, c)
	wantNotCached(t, c, p.ID)
}

func farBehind(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	p := Platform("p")
	announce(t, c, 1_000_000, p.ID, &p)
	wantNoCopy(t, c)
	wantNotCached(t, c, p.ID)
}

func announcedRevision(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	p := Platform("p")
	announce(t, c, 2, p.ID, &p)
	wantCopy(t, c, 2, revised(p, 2))
}

func olderNeverReplaces(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	p := Platform("p")
	newest := int64(0)
	for _, revision := range []int64{4, 3, 6, 2, 5} {
		announce(t, c, revision, p.ID, &p)
		newest = max(newest, revision)
		wantCached(t, c, revised(p, newest))
	}
	wantCopy(t, c, 6, revised(p, 6))
}

func fill(t *testing.T, c parties.Cache, revision int64, list ...parties.Platform) {
	t.Helper()
	fillRecord(t, c, parties.Record{Platforms: list, Revision: revision})
}

func announce(t *testing.T, c parties.Cache, revision int64, id parties.PlatformID, p *parties.Platform) {
	t.Helper()
	if err := c.Announce(t.Context(), parties.Change{Revision: revision, ID: id}, p); err != nil {
		t.Fatalf("Announce %d: %v", revision, err)
	}
}

func fillRecord(t *testing.T, c parties.Cache, record parties.Record) {
	t.Helper()
	if err := c.Fill(t.Context(), record); err != nil {
		t.Fatalf("Fill at %d: %v", record.Revision, err)
	}
}

func wantCopy(t *testing.T, c parties.Cache, revision int64, want ...parties.Platform) {
	t.Helper()
	wantCopied(t, c, parties.Record{Platforms: want, Revision: revision})
}

func wantCopied(t *testing.T, c parties.Cache, want parties.Record) {
	t.Helper()
	got, ok, err := c.Load(t.Context())
	if err != nil || !ok {
		t.Fatalf("Load: ok %v, %v, want a copy", ok, err)
	}
	if got.Revision != want.Revision {
		t.Errorf("the copy stands for revision %d, want %d", got.Revision, want.Revision)
	}
	if diff := diffAll(want.Platforms, got.Platforms); diff != "" {
		t.Errorf("the copy differs (-want +got):\n%s", diff)
	}
	wantAgreements(t, "the copy", got.Agreements, want.Agreements)
}

func wantNoCopy(t *testing.T, c parties.Cache) {
	t.Helper()
	if got, ok, err := c.Load(t.Context()); ok || err != nil {
		t.Errorf("Load = %d platforms at %d, ok %v, %v, want no copy", len(got.Platforms), got.Revision, ok, err)
	}
}

func wantCached(t *testing.T, c parties.Cache, want parties.Platform) {
	t.Helper()
	got, at, err := c.Get(t.Context(), want.ID)
	if err != nil || at < want.Revision {
		t.Fatalf("Get %s: as of %d, %v", want.Name, at, err)
	}
	if diff := Diff(want, got); diff != "" {
		t.Errorf("Get %s differs (-want +got):\n%s", want.Name, diff)
	}
}

func wantNotCached(t *testing.T, c parties.Cache, id parties.PlatformID) {
	t.Helper()
	if p, _, err := c.Get(t.Context(), id); p.ID != "" || err != nil {
		t.Errorf("Get = %s, %v, want nothing", p.Name, err)
	}
}
