package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// OutboxReplica is what a replica of a hub has of the outbox.
type OutboxReplica struct {
	ID      routing.ReplicaID
	Outbox  routing.OutboxStore
	Catalog catalog.Store
}

// TokenUID is the uid of the Tokens of Parcel: it must not be found at rest.
const TokenUID = "Uid-That-Nobody-May-Read"

// Parcel is a broadcast of a Token with every field set.
func Parcel(method, uid string) *routing.Broadcast {
	return &routing.Broadcast{
		Object: "tokens/NLEMS/" + strings.ToLower(uid), Owner: claim("NLEMS EMSP").Party, From: claim("NLHUB EMSP").Party,
		Platform: parties.NewPlatformID(), Accepted: at(7).Add(time.Nanosecond),
		CorrelationID: "correlation \xff of " + uid, Method: method, Version: ocpi.V221, Module: ocpi.ModuleTokens,
		Path: "/NL/EMS/" + uid, Query: "type=RFID&x=\xfe%20" + uid, Body: []byte("{ \"uid\":\"" + uid + "\",\n\"x\":\"\xff\" }"),
	}
}

// TestOutbox runs the conformance suite of routing.OutboxStore, and of what
// catalog.Store.Commit notes for it. open returns an empty record, as two replicas
// of different ids see it.
func TestOutbox(t *testing.T, open func(*testing.T) (a, b OutboxReplica)) {
	t.Helper()
	tests := map[string]func(t *testing.T, a, b OutboxReplica){
		"nothing is open at first":                          emptyOutbox,
		"every commit of the catalog is open":               commitsAreOpen,
		"a commit that writes nothing is not open":          emptyCommitsAreNot,
		"every field of a parcel survives":                  everyParcelField,
		"parcels are numbered in their order":               parcelsRise,
		"of an empty list nothing is saved":                 saveNothing,
		"what ended is not adopted":                         endedIsGone,
		"what is unknown or ended twice harms nobody":       endedTwice,
		"another replica's revision cannot be ended":        endedOfAnother,
		"what was adopted is open under the new name":       adoptedIsOwn,
		"what an open commit wrote is told as it is now":    writtenAgain,
		"a replica is told what it has open itself":         adoptedFromItself,
		"much is adopted and ended":                         muchIsAdopted,
		"very many parcels are adopted in parts":            parcelsInParts,
		"a later PUT makes parcels pointless":               pointlessParcels,
		"a later PUT that ended makes them pointless too":   pointlessByEnded,
		"parcels of other objects are not pointless":        notPointless,
		"what is behind an open parcel is kept":             laterIsKept,
		"a later PUT is all that need be sent":              nothingBehindAPut,
		"much that is behind is told in parts":              laterInParts,
		"what is forgotten ended before":                    forgetParcels,
		"a PUT is remembered while an older push is open":   forgetNotYet,
		"of two that adopt at once one gets it":             concurrentAdoption,
		"replicas save at once, and each number once":       concurrentSaves,
		"replicas end and adopt at once without a deadlock": concurrentEnds,
		"a call that was given up leaves nothing":           outboxGivenUp,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func emptyOutbox(t *testing.T, a, b OutboxReplica) {
	wantOpen(t, a)
	wantAdopted(t, b, a.ID, nil)
	wantAdopted(t, b, "unknown", nil)
	wantLater(t, a, Parcel("PUT", "uid"))
}

func commitsAreOpen(t *testing.T, a, b OutboxReplica) {
	for n := range int64(3) {
		commit(t, a.Catalog, Location(fmt.Sprint("a", n), 2*n+1, 0), Location(fmt.Sprint("x", n), 1000+n, 0))
		commit(t, b.Catalog, Location(fmt.Sprint("b", n), 2*n+2, 0))
	}
	wantOpen(t, a, a.ID, b.ID)
	wantAdopted(t, b, a.ID, []int64{1, 3, 5})
	wantOpen(t, a, b.ID)
	wantAdopted(t, a, b.ID, []int64{1, 2, 3, 4, 5, 6})
}

func adoptedFromItself(t *testing.T, a, b OutboxReplica) {
	commit(t, a.Catalog, Location("a", 1, 0))
	commit(t, b.Catalog, Location("b", 2, 0))
	mine, other := Parcel("PUT", "mine"), Parcel("PUT", "other")
	saveParcels(t, a, mine)
	saveParcels(t, b, other)
	for range 2 {
		wantAdopted(t, a, a.ID, []int64{1}, mine)
	}
	wantAdopted(t, a, b.ID, []int64{2}, other)
	wantAdopted(t, a, a.ID, []int64{1, 2}, mine, other)
}

func emptyCommitsAreNot(t *testing.T, a, b OutboxReplica) {
	commit(t, a.Catalog)
	_, err := a.Catalog.Commit(cancelled(t), 0, func([]catalog.Row, int64, int64) []catalog.Row { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	commit(t, b.Catalog, Location("first", 1, 1))
	// A place that is taken: the commit fails.
	if _, err := a.Catalog.Commit(t.Context(), 1, func([]catalog.Row, int64, int64) []catalog.Row {
		return []catalog.Row{Location("second", 1, 2)}
	}); err == nil {
		t.Error("the commit did not fail")
	}
	wantOpen(t, a, b.ID)
	wantAdopted(t, a, b.ID, []int64{1})
}

func everyParcelField(t *testing.T, a, b OutboxReplica) {
	full, bare := Parcel("PUT", TokenUID), &routing.Broadcast{Method: "PATCH", Object: "tokens/NLEMS/bare", Body: []byte{}}
	large := Parcel("PATCH", "large")
	large.Body = []byte(strings.Repeat("\x00large\n", 3000))
	saveParcels(t, a, full, bare, large)
	wantOpen(t, b, a.ID)
	wantAdopted(t, b, a.ID, nil, full, bare, large)
}

func parcelsRise(t *testing.T, a, b OutboxReplica) {
	var all []*routing.Broadcast
	for n := range 20 {
		parcels := []*routing.Broadcast{Parcel("PATCH", fmt.Sprint(n)), Parcel("PATCH", fmt.Sprint(n, "b"))}
		saveParcels(t, []OutboxReplica{a, b}[n%2], parcels...)
		all = append(all, parcels...)
	}
	for i := range all[1:] {
		if all[i].Parcel <= 0 || all[i+1].Parcel <= all[i].Parcel {
			t.Errorf("parcel %d is followed by %d", all[i].Parcel, all[i+1].Parcel)
		}
	}
	wantAdopted(t, a, "nobody", nil)
	c := OutboxReplica{"c", a.Outbox, a.Catalog}
	var ofA []*routing.Broadcast
	for i, p := range all {
		if i/2%2 == 0 {
			ofA = append(ofA, p)
		}
	}
	wantAdopted(t, c, a.ID, nil, ofA...)
	wantAdopted(t, c, b.ID, nil, slices.DeleteFunc(all, func(p *routing.Broadcast) bool { return slices.Contains(ofA, p) })...)
}

func saveNothing(t *testing.T, a, _ OutboxReplica) {
	saveParcels(t, a)
	wantOpen(t, a)
}

func endedIsGone(t *testing.T, a, b OutboxReplica) {
	parcels := []*routing.Broadcast{Parcel("PUT", "one"), Parcel("PUT", "two"), Parcel("PUT", "three")}
	saveParcels(t, a, parcels...)
	for n := range int64(3) {
		commit(t, a.Catalog, Location(fmt.Sprint(n), n+1, n+1))
	}
	ended(t, a, []int64{2}, []int64{parcels[1].Parcel})
	wantAdopted(t, b, a.ID, []int64{1, 3}, parcels[0], parcels[2])
	ended(t, b, []int64{1, 3}, []int64{parcels[0].Parcel, parcels[2].Parcel})
	wantOpen(t, a)
}

func endedTwice(t *testing.T, a, b OutboxReplica) {
	first, second := Parcel("PUT", "one"), Parcel("PUT", "two")
	saveParcels(t, a, first, second)
	commit(t, a.Catalog, Location("loc", 1, 1))
	commit(t, a.Catalog, Location("loc2", 2, 2))
	ended(t, a, nil, nil)
	ended(t, a, []int64{1, 1, 99, -1}, []int64{first.Parcel, first.Parcel, 0, 1 << 60})
	ended(t, a, []int64{1}, []int64{first.Parcel})
	wantAdopted(t, b, a.ID, []int64{2}, second)
}

// A push that changes nothing is of the revision that the record has, which may be
// another replica's.
func endedOfAnother(t *testing.T, a, b OutboxReplica) {
	commit(t, a.Catalog, Location("loc", 1, 1))
	ended(t, b, []int64{1}, nil)
	wantOpen(t, b, a.ID)
	wantAdopted(t, b, a.ID, []int64{1})
	ended(t, a, []int64{1}, nil)
	wantOpen(t, b, b.ID)
}

func adoptedIsOwn(t *testing.T, a, b OutboxReplica) {
	parcel := Parcel("PUT", "one")
	saveParcels(t, a, parcel)
	commit(t, a.Catalog, Location("loc", 1, 1))
	wantAdopted(t, b, a.ID, []int64{1}, parcel)
	wantAdopted(t, b, a.ID, nil)
	wantOpen(t, a, b.ID)
	wantAdopted(t, a, b.ID, []int64{1}, parcel)
	ended(t, a, []int64{1}, []int64{parcel.Parcel})
	wantOpen(t, a)
}

// writtenAgain: the later commit may be about another part of the object.
func writtenAgain(t *testing.T, a, b OutboxReplica) {
	commit(t, a.Catalog, Location("x", 1, 0), Location("y", 2, 0))
	commit(t, b.Catalog, Location("y", 2, 0))
	ended(t, b, []int64{2}, nil)
	wantAdopted(t, b, a.ID, []int64{1})
	var got []string
	err := b.Outbox.Left(t.Context(), []int64{1}, func(revision int64, row catalog.Row) error {
		got = append(got, fmt.Sprint(row.Key.ID, " of ", revision, " at ", row.Revision))
		return nil
	})
	if want := []string{"x of 1 at 1", "y of 1 at 2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Left = %q, %v, want %q", got, err, want)
	}
	err = a.Outbox.Left(t.Context(), []int64{1, 2, 7}, func(int64, catalog.Row) error { return errors.New("not its own") })
	if err != nil {
		t.Errorf("Left of what another has or what has ended: %v", err)
	}
	failing := errors.New("no more")
	if err := b.Outbox.Left(t.Context(), []int64{1}, func(int64, catalog.Row) error { return failing }); !errors.Is(err, failing) {
		t.Errorf("Left with an each that fails: %v", err)
	}
}

func muchIsAdopted(t *testing.T, a, b OutboxReplica) {
	const many = 1100 // more than one statement takes
	parcels, numbers, revisions := make([]*routing.Broadcast, many), make([]int64, many), make([]int64, many)
	for i := range many {
		parcels[i], revisions[i] = Parcel("PUT", fmt.Sprint(i)), int64(i+1)
	}
	saveParcels(t, a, parcels...)
	commit(t, a.Catalog, Location("loc", 1, 1))
	commit(t, a.Catalog, Location("loc", 1, 2))
	wantAdopted(t, b, a.ID, []int64{1, 2}, parcels...)
	for i, p := range parcels {
		numbers[i] = p.Parcel
	}
	ended(t, b, revisions, numbers)
	wantOpen(t, a)
}

func parcelsInParts(t *testing.T, a, b OutboxReplica) {
	parcels := make([]*routing.Broadcast, 2001)
	for i := range parcels {
		parcels[i] = Parcel("PUT", fmt.Sprint(i))
		parcels[i].Body = nil
	}
	saveParcels(t, a, parcels...)
	for first := range 2 {
		_, got, err := b.Outbox.Adopt(t.Context(), a.ID, b.ID)
		want := [][]*routing.Broadcast{parcels[:2000], parcels[2000:]}[first]
		if err != nil || len(got) != len(want) || got[0].Object != want[0].Object || got[len(got)-1].Object != want[len(want)-1].Object {
			t.Fatalf("adopted %d in part %d, %v; want %d", len(got), first, err, len(want))
		}
	}
	wantOpen(t, a, b.ID)
	if _, got, err := b.Outbox.Adopt(t.Context(), b.ID, b.ID); err != nil || len(got) != len(parcels) {
		t.Errorf("of its own it is told %d, %v, want %d", len(got), err, len(parcels))
	}
}

func pointlessParcels(t *testing.T, a, b OutboxReplica) {
	one, patch, put, after := Parcel("PUT", "uid"), Parcel("PATCH", "uid"), Parcel("PUT", "UID"), Parcel("PATCH", "uid")
	saveParcels(t, a, one, patch)
	wantOutdated(t, b, false, one, patch)
	saveParcels(t, b, put)
	saveParcels(t, a, after)
	wantOutdated(t, b, true, one, patch)
	wantOutdated(t, a, false, put, after)
	wantAdopted(t, b, a.ID, nil, after)
	wantAdopted(t, a, b.ID, nil, put, after)
}

func pointlessByEnded(t *testing.T, a, b OutboxReplica) {
	patch, put := Parcel("PATCH", "uid"), Parcel("PUT", "uid")
	saveParcels(t, a, patch)
	saveParcels(t, b, put)
	ended(t, b, nil, []int64{put.Parcel})
	wantOutdated(t, a, true, patch)
	wantAdopted(t, b, a.ID, nil)
	wantOpen(t, a)
}

func notPointless(t *testing.T, a, b OutboxReplica) {
	parcels := []*routing.Broadcast{Parcel("PUT", "uid"), Parcel("PATCH", "uid2"), Parcel("PUT", "uid3"), Parcel("PUT", "uid2/")}
	foreign, session := Parcel("PUT", "uid"), Parcel("PUT", "uid")
	foreign.Object, session.Object = "tokens/DEEMS/uid", "sessions/NLEMS/uid"
	parcels = append(parcels, foreign, session)
	saveParcels(t, a, parcels...)
	wantOutdated(t, a, false, parcels...)
	wantAdopted(t, b, a.ID, nil, parcels...)
}

// X dies when its PUT has arrived and Z's PATCH as well: whoever sends the PUT again
// must send the PATCH behind it.
func laterIsKept(t *testing.T, x, z OutboxReplica) {
	put, patch, other := Parcel("PUT", "uid"), Parcel("PATCH", "UID"), Parcel("PATCH", "other")
	saveParcels(t, x, put)
	saveParcels(t, z, patch, other)
	wantLater(t, z, put, patch)
	ended(t, z, nil, []int64{patch.Parcel, other.Parcel})
	wantOpen(t, z, x.ID)
	wantAdopted(t, z, z.ID, nil)
	wantLater(t, z, put, patch)
	wantParcelsForgotten(t, z, time.Now().Add(time.Minute), 1) // the other one
	wantAdopted(t, z, x.ID, nil, put)
	wantLater(t, z, put, patch)
	newer := Parcel("PATCH", "uid")
	saveParcels(t, x, newer)
	wantLater(t, z, put, patch, newer)
	wantLater(t, z, patch, newer)
	ended(t, z, nil, []int64{put.Parcel})
	wantLater(t, z, put, newer) // what ended is forgotten
	wantParcelsForgotten(t, z, time.Now().Add(time.Minute), 2)
	wantAdopted(t, z, x.ID, nil, newer)
}

func nothingBehindAPut(t *testing.T, x, z OutboxReplica) {
	first, patch, put, last := Parcel("PUT", "uid"), Parcel("PATCH", "uid"), Parcel("PUT", "uid"), Parcel("PATCH", "uid")
	saveParcels(t, x, first)
	saveParcels(t, z, patch, put, last)
	ended(t, z, nil, []int64{patch.Parcel, put.Parcel, last.Parcel})
	wantOutdated(t, x, true, first, patch)
	wantLater(t, x, first)
	wantAdopted(t, z, x.ID, nil)
	wantOpen(t, z)
	wantLater(t, z, put)
}

func laterInParts(t *testing.T, x, z OutboxReplica) {
	put, patches, numbers := Parcel("PUT", "uid"), make([]*routing.Broadcast, 250), make([]int64, 250)
	for i := range patches {
		patches[i] = Parcel("PATCH", "uid")
	}
	saveParcels(t, x, put)
	saveParcels(t, z, patches...)
	for i, p := range patches {
		numbers[i] = p.Parcel
	}
	ended(t, z, nil, numbers)
	var got []*routing.Broadcast
	for b := put; b != nil; {
		later, outdated, err := z.Outbox.Later(t.Context(), b)
		if outdated || err != nil {
			t.Fatalf("outdated %t, %v", outdated, err)
		}
		if b = nil; len(later) > 0 {
			b = later[len(later)-1]
		}
		got = append(got, later...)
	}
	if d := cmp.Diff(patches, got); d != "" {
		t.Errorf("parcels differ (-want +got):\n%s", d)
	}
}

func forgetParcels(t *testing.T, a, b OutboxReplica) {
	before := time.Now().Add(-time.Minute)
	old, open := Parcel("PUT", "old"), Parcel("PUT", "open")
	saveParcels(t, a, old, open)
	ended(t, a, nil, []int64{old.Parcel})
	wantParcelsForgotten(t, b, before, 0)
	wantParcelsForgotten(t, b, time.Now().Add(time.Minute), 1)
	wantParcelsForgotten(t, b, time.Now().Add(time.Minute), 0)
	wantAdopted(t, b, a.ID, nil, open)
}

func forgetNotYet(t *testing.T, a, b OutboxReplica) {
	older, put, other := Parcel("PATCH", "uid"), Parcel("PUT", "uid"), Parcel("PUT", "other")
	saveParcels(t, a, older)
	saveParcels(t, b, put, other)
	ended(t, b, nil, []int64{put.Parcel, other.Parcel})
	wantParcelsForgotten(t, b, time.Now().Add(time.Minute), 1)
	wantOutdated(t, a, true, older)
	ended(t, a, nil, []int64{older.Parcel})
	wantParcelsForgotten(t, b, time.Now().Add(time.Minute), 2)
	wantOutdated(t, a, false, older)
}

func outboxGivenUp(t *testing.T, a, b OutboxReplica) {
	ctx, parcel := cancelled(t), Parcel("PUT", "uid")
	kept := Parcel("PUT", "kept")
	saveParcels(t, b, kept)
	_, replicasErr := a.Outbox.Replicas(ctx)
	_, _, adoptErr := a.Outbox.Adopt(ctx, b.ID, a.ID)
	_, _, laterErr := a.Outbox.Later(ctx, kept)
	_, forgetErr := a.Outbox.Forget(ctx, at(0))
	for what, err := range map[string]error{
		"Save": a.Outbox.Save(ctx, a.ID, []*routing.Broadcast{parcel}), "Replicas": replicasErr, "Adopt": adoptErr,
		"Later": laterErr, "Forget": forgetErr,
		"Ended of revisions": a.Outbox.Ended(ctx, []int64{1}, nil), "Ended of parcels": a.Outbox.Ended(ctx, nil, []int64{1}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want Canceled", what, err)
		}
	}
	if parcel.Parcel != 0 {
		t.Errorf("what was not saved has number %d", parcel.Parcel)
	}
	wantOpen(t, a, b.ID)
	wantAdopted(t, a, b.ID, nil, kept)
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func saveParcels(t *testing.T, r OutboxReplica, parcels ...*routing.Broadcast) {
	t.Helper()
	if err := r.Outbox.Save(t.Context(), r.ID, parcels); err != nil {
		t.Fatalf("Save: %v", err)
	}
}

func ended(t *testing.T, r OutboxReplica, revisions, parcels []int64) {
	t.Helper()
	if err := r.Outbox.Ended(t.Context(), revisions, parcels); err != nil {
		t.Fatalf("Ended: %v", err)
	}
}

func wantOpen(t *testing.T, r OutboxReplica, want ...routing.ReplicaID) {
	t.Helper()
	got, err := r.Outbox.Replicas(t.Context())
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Replicas = %q, %v, want %q", got, err, want)
	}
}

func wantAdopted(t *testing.T, r OutboxReplica, from routing.ReplicaID, revisions []int64, parcels ...*routing.Broadcast) {
	t.Helper()
	got, opened, err := r.Outbox.Adopt(t.Context(), from, r.ID)
	if err != nil || !slices.Equal(got, revisions) {
		t.Errorf("Adopt from %s: revisions %v, %v, want %v", from, got, err, revisions)
	}
	if d := cmp.Diff(parcels, opened); d != "" {
		t.Errorf("Adopt from %s: parcels differ (-want +got):\n%s", from, d)
	}
}

func wantOutdated(t *testing.T, r OutboxReplica, want bool, parcels ...*routing.Broadcast) {
	t.Helper()
	for _, p := range parcels {
		if _, got, err := r.Outbox.Later(t.Context(), p); err != nil || got != want {
			t.Errorf("%s %s, parcel %d: outdated %t, %v, want %t", p.Method, p.Object, p.Parcel, got, err, want)
		}
	}
}

func wantLater(t *testing.T, r OutboxReplica, b *routing.Broadcast, want ...*routing.Broadcast) {
	t.Helper()
	got, _, err := r.Outbox.Later(t.Context(), b)
	if err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Later than %s: parcels differ (-want +got):\n%s", b.Method, d)
	}
}

func wantParcelsForgotten(t *testing.T, r OutboxReplica, before time.Time, want int64) {
	t.Helper()
	if n, err := r.Outbox.Forget(t.Context(), before); err != nil || n != want {
		t.Errorf("Forget = %d, %v, want %d", n, err, want)
	}
}
