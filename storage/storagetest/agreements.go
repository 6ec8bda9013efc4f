package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busbar/ocpi"
	"busbar/parties"
)

// Agreement reads "NLCPA DEMSP: locations, sessions"; * stands for every party,
// and no module for all.
func Agreement(s string) parties.Agreement {
	pair, modules, _ := strings.Cut(s, ":")
	var a parties.Agreement
	for i, party := range strings.Fields(pair) {
		if party == "*" {
			continue
		}
		key, err := ocpi.ParseParty(party)
		if err != nil {
			panic(err)
		}
		a.Parties[i] = key
	}
	for m := range strings.FieldsFuncSeq(modules, func(r rune) bool { return r == ' ' || r == ',' }) {
		a.Modules = append(a.Modules, ocpi.ModuleID(m))
	}
	return a
}

func agreements(list ...string) []parties.Agreement {
	as := make([]parties.Agreement, len(list))
	for i, s := range list {
		as[i] = Agreement(s)
	}
	return as
}

func wantAgreements(t *testing.T, what string, got, want []parties.Agreement) {
	t.Helper()
	sorted := cmpopts.SortSlices(func(a, b parties.Agreement) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), sorted); diff != "" {
		t.Errorf("agreements of %s differ (-want +got):\n%s", what, diff)
	}
}

// wantAgreed checks both ways to read the agreements.
func wantAgreed(t *testing.T, s parties.Store, revision int64, want ...string) {
	t.Helper()
	got, at, err := s.Agreements(t.Context())
	if err != nil || at != revision {
		t.Errorf("Agreements stand for revision %d, %v, want %d", at, err, revision)
	}
	wantAgreements(t, "Agreements", got, agreements(want...))
	all, err := s.All(t.Context())
	if err != nil || all.Revision != revision {
		t.Errorf("All stands for revision %d, %v, want %d", all.Revision, err, revision)
	}
	wantAgreements(t, "All", all.Agreements, agreements(want...))
}

func put(t *testing.T, s parties.Store, a string, want ...string) (revision int64) {
	t.Helper()
	all, revision, err := s.PutAgreement(t.Context(), Agreement(a))
	if err != nil {
		t.Fatalf("PutAgreement %s: %v", a, err)
	}
	wantAgreements(t, "PutAgreement", all, agreements(want...))
	return revision
}

func agreementsAreKept(t *testing.T, s parties.Store) {
	wantAgreed(t, s, 0)
	put(t, s, "DEMSP NLCPA: sessions, custom.module", "DEMSP NLCPA: sessions, custom.module")
	put(t, s, "* NLA", "DEMSP NLCPA: sessions, custom.module", "* NLA")
	put(t, s, "* *: cdrs", "DEMSP NLCPA: sessions, custom.module", "* NLA", "* *: cdrs")
	wantAgreed(t, s, 3, "* *: cdrs", "* NLA", "DEMSP NLCPA: sessions, custom.module")

	put(t, s, "DEMSP NLCPA", "* *: cdrs", "* NLA", "DEMSP NLCPA") // replaces
	put(t, s, "* NLA: tokens", "* *: cdrs", "* NLA: tokens", "DEMSP NLCPA")
	wantAgreed(t, s, 5, "* *: cdrs", "* NLA: tokens", "DEMSP NLCPA")

	left, revision, err := s.DeleteAgreement(t.Context(), Agreement("* NLA").Parties)
	if err != nil || revision != 6 {
		t.Errorf("DeleteAgreement = %d, %v", revision, err)
	}
	wantAgreements(t, "DeleteAgreement", left, agreements("* *: cdrs", "DEMSP NLCPA"))
	wantAgreed(t, s, 6, "* *: cdrs", "DEMSP NLCPA")
	if revision, err := s.Revision(t.Context()); err != nil || revision != 6 {
		t.Errorf("Revision = %d, %v", revision, err)
	}
}

func noAgreement(t *testing.T, s parties.Store) {
	put(t, s, "DEMSP NLCPA", "DEMSP NLCPA")
	for _, pair := range []string{"DEMSP NLCPB", "NLCPA DEMSP", "* NLCPA", "* *"} {
		if _, _, err := s.DeleteAgreement(t.Context(), Agreement(pair).Parties); !errors.Is(err, parties.ErrNoAgreement) {
			t.Errorf("DeleteAgreement %s: %v, want ErrNoAgreement", pair, err)
		}
	}
	wantAgreed(t, s, 1, "DEMSP NLCPA")
}

func agreementsOutlive(t *testing.T, s parties.Store) {
	p := Platform("p")
	p.Approved = claims("NLCPA CPO")
	put(t, s, "DEMSP NLCPA", "DEMSP NLCPA")
	p = create(t, s, p)[0]
	if p.Revision != 2 {
		t.Errorf("the platform has revision %d, want 2", p.Revision)
	}
	if _, err := s.Delete(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	wantAgreed(t, s, 3, "DEMSP NLCPA")
}

// Whoever is told of a revision is told of all agreements made up to it.
func agreementsBesidePlatforms(t *testing.T, s parties.Store) {
	given := make([]int64, writers)
	seen := make([]int, writers)
	together(writers, func(i int) {
		var err error
		if i%2 == 0 {
			given[i], err = s.Create(t.Context(), Platform("one of many"))
		} else {
			var all []parties.Agreement
			all, given[i], err = s.PutAgreement(t.Context(), Agreement(fmt.Sprintf("DEM%d NLCPA", i%10)))
			seen[i] = len(all)
		}
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	})
	all := slices.Sorted(slices.Values(given))
	for i, revision := range all {
		if revision != int64(i+1) {
			t.Fatalf("the revisions given out are %v, want 1 to %d", all, writers)
		}
	}
	// In the order of their revisions, each sees no fewer than the one before.
	byRevision := make(map[int64]int)
	for i, revision := range given {
		byRevision[revision] = seen[i]
	}
	most := 0
	for revision := range int64(writers) {
		if n := byRevision[revision+1]; n != 0 && n < most {
			t.Errorf("revision %d shows %d agreements, an earlier one %d", revision+1, n, most)
		} else {
			most = max(most, n)
		}
	}
}

func announceAgreements(t *testing.T, c parties.Cache, revision int64, list ...string) {
	t.Helper()
	if err := c.AnnounceAgreements(t.Context(), agreements(list...), revision); err != nil {
		t.Fatalf("AnnounceAgreements %d: %v", revision, err)
	}
}

func cachedAgreements(t *testing.T, c parties.Cache) {
	p := revised(Platform("p"), 3)
	record := parties.Record{
		Platforms: []parties.Platform{p}, Revision: 3, Agreements: agreements("* *: cdrs", "* NLA", "DEMSP NLCPA: x, y"),
	}
	fillRecord(t, c, record)
	wantCopied(t, c, record)
	announceAgreements(t, c, 4, "DEMSP NLCPA")
	record.Revision, record.Agreements = 4, agreements("DEMSP NLCPA")
	wantCopied(t, c, record)
	announceAgreements(t, c, 5)
	record.Revision, record.Agreements = 5, nil
	wantCopied(t, c, record)
}

func announcedAgreements(t *testing.T, c parties.Cache) {
	p := revised(Platform("p"), 3)
	fill(t, c, 1)
	announceAgreements(t, c, 4, "* NLA", "* NLB")
	announceAgreements(t, c, 2, "* NLA")
	announce(t, c, 3, p.ID, &p)
	want := parties.Record{Platforms: []parties.Platform{p}, Revision: 4, Agreements: agreements("* NLA", "* NLB")}
	wantCopied(t, c, want)
	announceAgreements(t, c, 2, "* NLA") // and again
	wantCopied(t, c, want)
}

func fillKeepsAgreements(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	announceAgreements(t, c, 4, "* NLA")
	fillRecord(t, c, parties.Record{Revision: 2, Agreements: agreements("* NLB")})
	wantCopied(t, c, parties.Record{Revision: 2, Agreements: agreements("* NLA")})
	fillRecord(t, c, parties.Record{Revision: 3, Agreements: agreements("* NLB")})
	wantCopied(t, c, parties.Record{Revision: 4, Agreements: agreements("* NLA")})
	fillRecord(t, c, parties.Record{Revision: 5, Agreements: agreements("* NLB")})
	wantCopied(t, c, parties.Record{Revision: 5, Agreements: agreements("* NLB")})
}

func forgottenBeyond(t *testing.T, c parties.Cache) {
	forget := func(newest int64) {
		t.Helper()
		if err := c.ForgetBeyond(t.Context(), newest); err != nil {
			t.Fatal(err)
		}
	}
	forget(0) // nothing
	p := revised(Platform("p"), 5)
	fill(t, c, 5, p)
	forget(5)
	wantCopy(t, c, 5, p)
	forget(4)
	wantNoCopy(t, c)
	fill(t, c, 4)
	wantCopy(t, c, 4)
}

// tellsUpTo holds that what is read of one field says up to which change it is true.
func tellsUpTo(t *testing.T, c parties.Cache) {
	a, b := revised(Platform("a"), 1), revised(Platform("b"), 6)
	tells := func(copied bool, stands, ofA, ofB, ofAgreements int64, want ...string) {
		t.Helper()
		revision, ok, err := c.Revision(t.Context())
		if revision != stands || ok != copied || err != nil {
			t.Errorf("Revision = %d, %v, %v, want %d", revision, ok, err, stands)
		}
		for _, field := range []struct {
			id   parties.PlatformID
			want int64
		}{{a.ID, ofA}, {b.ID, ofB}} {
			if _, at, err := c.Get(t.Context(), field.id); at != field.want || err != nil {
				t.Errorf("Get is as of %d, %v, want %d", at, err, field.want)
			}
		}
		all, at, err := c.Agreements(t.Context())
		if at != ofAgreements || err != nil {
			t.Errorf("Agreements are as of %d, %v, want %d", at, err, ofAgreements)
		}
		wantAgreements(t, "Agreements", all, agreements(want...))
	}
	tells(false, 0, 0, 0, 0)
	fillRecord(t, c, parties.Record{Platforms: []parties.Platform{a}, Agreements: agreements("* NLA"), Revision: 3})
	tells(true, 3, 3, 3, 3, "* NLA")
	announceAgreements(t, c, 5)
	announce(t, c, 6, b.ID, &b)
	announce(t, c, 7, a.ID, nil)
	tells(true, 3, 7, 6, 5)
	wantNotCached(t, c, a.ID)
	announce(t, c, 4, b.ID, nil)
	tells(true, 7, 7, 7, 7)
	wantCached(t, c, b)
}

func newsOfAgreements(t *testing.T, c parties.Cache) {
	fill(t, c, 0)
	heard := Watch(t, c)
	heard.Want(parties.Change{})
	announceAgreements(t, c, 1, "* *")
	heard.Want(parties.Change{Revision: 1, Agreements: true})
}
