package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// TestStore runs the conformance suite of parties.Store. open returns an empty
// store.
func TestStore(t *testing.T, open func(*testing.T) parties.Store) {
	t.Helper()
	tests := map[string]func(*testing.T, parties.Store){
		"an empty store holds nothing at revision 0":            emptyStore,
		"every field survives":                                  everyField,
		"a bare platform survives":                              barePlatform,
		"times are kept in UTC to the microsecond":              timePrecision,
		"an update replaces all but LastSeen":                   updateReplaces,
		"an update leaves other platforms alone":                updateIsOnePlatform,
		"every change raises the revision by one":               revisionRises,
		"a refused change leaves everything as it was":          refusalChangesNothing,
		"what is unknown is not found":                          notFound,
		"an update of an old state is stale":                    stale,
		"a deleted platform is gone whole":                      deleteRemoves,
		"C8 a claim is one platform's":                          claimsAreUnique,
		"C8 a claim is freed by update and delete":              claimsAreFreed,
		"C8 the first taken claim is named":                     takenNamesTheClaim,
		"C8 of concurrent creates of a claim one wins":          concurrentClaims,
		"of concurrent updates of a state one wins":             concurrentUpdates,
		"revisions become visible in order":                     visibleInOrder,
		"LastSeen rises, never falls, and is no change":         seen,
		"LastSeen is written beside updates without a deadlock": seenBesideUpdates,
		"an agreement is kept, replaced and removed":            agreementsAreKept,
		"an agreement that is not there is not removed":         noAgreement,
		"agreements outlive platforms":                          agreementsOutlive,
		"agreements and platforms share one row of revisions":   agreementsBesidePlatforms,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func emptyStore(t *testing.T, s parties.Store) {
	wantAll(t, s, 0)
}

func everyField(t *testing.T, s parties.Store) {
	stored := create(t, s, FullPlatform("NL"), FullPlatform("DE"))
	wantStored(t, s, stored[0])
	wantAll(t, s, 2, stored...)
}

func barePlatform(t *testing.T, s parties.Store) {
	stored := create(t, s, parties.Platform{ID: parties.NewPlatformID()})
	wantStored(t, s, stored[0])
	wantAll(t, s, 1, stored...)
}

func timePrecision(t *testing.T, s parties.Store) {
	zone := time.FixedZone("somewhere", 2*3600)
	exact := time.Date(2026, 7, 1, 2, 0, 0, 987654321, zone)
	kept := time.Date(2026, 7, 1, 0, 0, 0, 987654000, time.UTC)
	p := Platform("clock")
	p.CreatedAt, p.UpdatedAt, p.StatusSince, p.LastSeen = exact, exact, exact, exact
	p.Inbound = []parties.InboundToken{{Hash: ocpi.TokenHash{1}, Kind: parties.TokenOffered, ExpiresAt: exact}}
	p = create(t, s, p)[0]
	p.CreatedAt, p.UpdatedAt, p.StatusSince, p.LastSeen = kept, kept, kept, kept
	p.Inbound[0].ExpiresAt = kept
	wantStored(t, s, p)
}

func updateReplaces(t *testing.T, s parties.Store) {
	full := create(t, s, FullPlatform("NL"))[0]
	bare := parties.Platform{ID: full.ID, Revision: full.Revision, LastSeen: at(60)}
	revision, err := s.Update(t.Context(), bare)
	if err != nil {
		t.Fatal(err)
	}
	bare.LastSeen = full.LastSeen
	wantStored(t, s, revised(bare, revision))

	again := FullPlatform("FR")
	again.ID, again.LastSeen, again.Revision = full.ID, full.LastSeen, revision
	if revision, err = s.Update(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	wantAll(t, s, revision, revised(again, revision))
}

func updateIsOnePlatform(t *testing.T, s parties.Store) {
	stored := create(t, s, FullPlatform("NL"), FullPlatform("DE"))
	stored[1].Endpoints = nil
	revision, err := s.Update(t.Context(), stored[1])
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, s, 3, stored[0], revised(stored[1], revision))
}

func revisionRises(t *testing.T, s parties.Store) {
	p := Platform("counted")
	p.Revision = 77 // Create ignores it
	steps := []func() (int64, error){
		func() (int64, error) { return s.Create(t.Context(), p) },
		func() (int64, error) { return s.Update(t.Context(), revised(p, 1)) },
		func() (int64, error) { return s.Update(t.Context(), revised(p, 2)) },
		func() (int64, error) { return s.Delete(t.Context(), p.ID) },
		func() (int64, error) { return s.Create(t.Context(), p) },
	}
	for i, step := range steps {
		want := int64(i + 1)
		if revision, err := step(); err != nil || revision != want {
			t.Fatalf("step %d: revision %d, %v, want %d", i+1, revision, err, want)
		}
		if revision, err := s.Revision(t.Context()); err != nil || revision != want {
			t.Fatalf("after step %d: Revision = %d, %v, want %d", i+1, revision, err, want)
		}
	}
	wantAll(t, s, 5, revised(p, 5))
}

func refusalChangesNothing(t *testing.T, s parties.Store) {
	stored := create(t, s, FullPlatform("NL"), FullPlatform("DE"))
	taken := stored[1].Clone()
	taken.Name, taken.Approved, taken.Inbound = "changed", stored[0].Approved, nil
	if _, err := s.Update(t.Context(), taken); err == nil {
		t.Fatal("an update to taken claims succeeded")
	}
	fresh := Platform("fresh")
	fresh.Approved = stored[0].Approved
	if _, err := s.Create(t.Context(), fresh); err == nil {
		t.Fatal("a create of taken claims succeeded")
	}
	old := stored[1].Clone()
	old.Name, old.Revision = "changed", 1
	if _, err := s.Update(t.Context(), old); err == nil {
		t.Fatal("an update of an old state succeeded")
	}
	same := Platform("same id")
	same.ID = stored[0].ID
	if _, err := s.Create(t.Context(), same); err == nil {
		t.Fatal("a create of a stored id succeeded")
	}
	token := Platform("same token")
	token.Inbound = stored[0].Inbound[:1]
	if _, err := s.Create(t.Context(), token); err == nil {
		t.Fatal("a create with another platform's inbound token succeeded")
	}
	wantAll(t, s, 2, stored...)
}

func notFound(t *testing.T, s parties.Store) {
	create(t, s, Platform("another"))
	missing := Platform("missing")
	_, getErr := s.Get(t.Context(), missing.ID)
	_, emptyErr := s.Get(t.Context(), "")
	_, updateErr := s.Update(t.Context(), missing)
	_, deleteErr := s.Delete(t.Context(), missing.ID)
	for what, err := range map[string]error{
		"Get": getErr, "Get of no id": emptyErr, "Update": updateErr, "Delete": deleteErr,
	} {
		if !errors.Is(err, parties.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", what, err)
		}
	}
}

func stale(t *testing.T, s parties.Store) {
	p := create(t, s, Platform("contended"))[0]
	newer := p.Clone()
	newer.Name = "newer"
	revision, err := s.Update(t.Context(), newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range []int64{0, p.Revision, revision + 1} {
		if _, err := s.Update(t.Context(), revised(p, old)); !errors.Is(err, parties.ErrStale) {
			t.Errorf("Update at revision %d: %v, want ErrStale", old, err)
		}
	}
	wantAll(t, s, revision, revised(newer, revision))
}

func deleteRemoves(t *testing.T, s parties.Store) {
	stored := create(t, s, FullPlatform("NL"), FullPlatform("DE"))
	if revision, err := s.Delete(t.Context(), stored[0].ID); err != nil || revision != 3 {
		t.Fatalf("Delete = %d, %v", revision, err)
	}
	if _, err := s.Get(t.Context(), stored[0].ID); !errors.Is(err, parties.ErrNotFound) {
		t.Errorf("Get of the deleted: %v, want ErrNotFound", err)
	}
	wantAll(t, s, 3, stored[1])
	// The same platform again: no row of the old one is in the way.
	again := revised(stored[0], 4)
	if _, err := s.Create(t.Context(), stored[0]); err != nil {
		t.Fatal(err)
	}
	wantAll(t, s, 4, stored[1], again)
}

func claimsAreUnique(t *testing.T, s parties.Store) {
	holder := Platform("holder")
	holder.Approved, holder.Roles = claims("NLAPP CPO", "NLAPP NSP"), roles("NLREG CPO", "NLAPP NSP")
	create(t, s, holder)
	tests := []struct {
		approved []ocpi.PartyRole
		roles    []ocpi.CredentialsRole
		taken    string // empty: free
	}{
		{approved: claims("NLAPP CPO"), taken: "NLAPP CPO"},
		{approved: claims("NLREG CPO"), taken: "NLREG CPO"},
		{roles: roles("NLAPP CPO"), taken: "NLAPP CPO"},
		{roles: roles("NLREG CPO"), taken: "NLREG CPO"},
		{roles: roles("NLAPP NSP"), taken: "NLAPP NSP"},
		{approved: claims("NLAPP EMSP"), roles: roles("NLREG EMSP")}, // other roles
		{approved: claims("DEAPP CPO"), roles: roles("DEREG CPO")},   // other countries
		{approved: claims("NLAP CPO"), roles: roles("NLRE CPO")},     // prefixes
		{approved: claims("BEOWN CPO"), roles: roles("BEOWN CPO")},   // its own, twice
	}
	for i, test := range tests {
		p := Platform(fmt.Sprintf("challenger %d", i))
		p.Approved, p.Roles = test.approved, test.roles
		_, err := s.Create(t.Context(), p)
		wantTaken(t, fmt.Sprintf("Create with %v and %v", test.approved, test.roles), err, test.taken)
	}
}

func claimsAreFreed(t *testing.T, s parties.Store) {
	holder, heir := Platform("holder"), Platform("heir")
	holder.Approved, holder.Roles = claims("NLA CPO"), roles("NLB CPO", "NLC CPO")
	stored := create(t, s, holder, heir)
	holder, heir = stored[0], stored[1]

	holder.Roles = roles("NLC CPO")
	if _, err := s.Update(t.Context(), holder); err != nil {
		t.Fatal(err)
	}
	heir.Roles = roles("NLB CPO", "NLA CPO")
	_, err := s.Update(t.Context(), heir)
	wantTaken(t, "Update to a claim still held", err, "NLA CPO")
	heir.Roles = roles("NLB CPO")
	if heir.Revision, err = s.Update(t.Context(), heir); err != nil {
		t.Fatalf("Update to a claim that was given up: %v", err)
	}
	if _, err := s.Delete(t.Context(), holder.ID); err != nil {
		t.Fatal(err)
	}
	heir.Approved, heir.Roles = claims("NLC CPO"), roles("NLA CPO")
	if _, err = s.Update(t.Context(), heir); err != nil {
		t.Errorf("Update to the claims of a deleted platform: %v", err)
	}
}

func takenNamesTheClaim(t *testing.T, s parties.Store) {
	first, second, late := Platform("first"), Platform("second"), Platform("late")
	first.Roles, second.Roles = roles("NLA CPO"), roles("DEB EMSP")
	late.Approved, late.Roles = claims("NLB CPO", "DEB EMSP"), roles("NLA CPO")
	create(t, s, first, second)
	_, err := s.Create(t.Context(), late)
	wantTaken(t, "Create", err, "DEB EMSP")
}

// wantTaken checks for a *TakenError that names the claim, or none.
func wantTaken(t *testing.T, what string, err error, taken string) {
	t.Helper()
	if taken == "" {
		if err != nil {
			t.Errorf("%s: %v, want it to succeed", what, err)
		}
		return
	}
	var got *parties.TakenError
	if !errors.As(err, &got) {
		t.Errorf("%s: %v, want %s taken", what, err, taken)
		return
	}
	if got.Claim != claim(taken) {
		t.Errorf("%s: %s is taken, want %s", what, got.Claim, taken)
	}
}

func seen(t *testing.T, s parties.Store) {
	never, earlier := Platform("never seen"), Platform("seen earlier")
	earlier.LastSeen = at(10)
	stored := create(t, s, never, earlier)
	steps := []struct {
		said   map[int]int // platform: second
		expect [2]int      // 0 is never
	}{
		{map[int]int{0: 5, 1: 5}, [2]int{5, 10}},
		{map[int]int{0: 6, 1: 20}, [2]int{6, 20}},
		{map[int]int{0: 6}, [2]int{6, 20}},
		{nil, [2]int{6, 20}},
	}
	for _, step := range steps {
		news := map[parties.PlatformID]time.Time{"unknown": at(99)}
		for i, second := range step.said {
			news[stored[i].ID] = at(second)
		}
		if err := s.Seen(t.Context(), news); err != nil {
			t.Fatal(err)
		}
		for i, second := range step.expect {
			stored[i].LastSeen = at(second)
		}
		wantAll(t, s, 2, stored...)
	}
	if err := s.Seen(t.Context(), map[parties.PlatformID]time.Time{stored[0].ID: {}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Seen(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantAll(t, s, 2, stored...)
}
