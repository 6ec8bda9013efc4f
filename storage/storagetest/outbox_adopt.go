package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/routing"
)

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

func ownIsTold(t *testing.T, a, b OutboxReplica) {
	commit(t, a.Catalog, Location("a", 1, 0))
	commit(t, b.Catalog, Location("b", 2, 0))
	mine, other := Parcel("PUT", "mine"), Parcel("PUT", "other")
	saveParcels(t, a, mine)
	saveParcels(t, b, other)
	for range 2 {
		wantOwn(t, a, []int64{1}, mine)
	}
	wantAdopted(t, a, b.ID, []int64{2}, other)
	wantOwn(t, a, []int64{1, 2}, mine, other)
	ended(t, a, []int64{1}, []int64{mine.Parcel})
	wantOwn(t, a, []int64{2}, other)
	wantOwn(t, b, nil)
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
		parcels[i].Body = []byte{}
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
	wantOwn(t, b, nil, parcels...)
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

// wantOwn reads all that a replica has open.
func wantOwn(t *testing.T, r OutboxReplica, revisions []int64, parcels ...*routing.Broadcast) {
	t.Helper()
	var got []*routing.Broadcast
	for behind, more := int64(0), true; more; {
		own, some, err := r.Outbox.Own(t.Context(), r.ID, behind)
		if want := revisions; err != nil || behind == 0 && !slices.Equal(own, want) || behind > 0 && len(own) > 0 {
			t.Errorf("Own behind %d: revisions %v, %v, want %v", behind, own, err, want)
		}
		if more = len(some) > 0; more {
			behind = some[len(some)-1].Parcel
		}
		got = append(got, some...)
	}
	if d := cmp.Diff(parcels, got); d != "" {
		t.Errorf("Own: parcels differ (-want +got):\n%s", d)
	}
}
