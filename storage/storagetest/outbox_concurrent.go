package storagetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"busbar/routing"
)

func concurrentAdoption(t *testing.T, a, b OutboxReplica) {
	const parcels, commits = 50, 20
	var saved []*routing.Broadcast
	for i := range parcels {
		saved = append(saved, Parcel("PUT", fmt.Sprint(i)))
	}
	saveParcels(t, a, saved...)
	for i := range int64(commits) {
		commit(t, a.Catalog, Location("loc", 1, i+1))
	}
	var mu sync.Mutex
	winners := 0
	together(writers, func(i int) {
		to := routing.ReplicaID(fmt.Sprint("adopter ", i))
		revisions, got, err := []OutboxReplica{a, b}[i%2].Outbox.Adopt(t.Context(), a.ID, to)
		if err != nil {
			t.Errorf("Adopt: %v", err)
		}
		if len(revisions)+len(got) == 0 {
			return
		}
		if len(revisions) != commits || len(got) != parcels {
			t.Errorf("one of several got %d revisions and %d parcels", len(revisions), len(got))
		}
		wantOpen(t, b, to)
		mu.Lock()
		defer mu.Unlock()
		winners++
	})
	if winners != 1 {
		t.Errorf("%d got it", winners)
	}
}

func concurrentSaves(t *testing.T, a, b OutboxReplica) {
	var mu sync.Mutex
	numbers := make(map[int64]bool)
	together(writers, func(i int) {
		from, last := []OutboxReplica{a, b}[i%2], int64(0)
		for n := range pushes {
			parcels := []*routing.Broadcast{Parcel("PATCH", fmt.Sprint(i)), Parcel("PATCH", fmt.Sprint(n))}
			if err := from.Outbox.Save(t.Context(), from.ID, parcels); err != nil {
				t.Errorf("Save: %v", err)
				return
			}
			mu.Lock()
			for _, p := range parcels {
				if p.Parcel <= last || numbers[p.Parcel] {
					t.Errorf("parcel %d comes after %d", p.Parcel, last)
				}
				last, numbers[p.Parcel] = p.Parcel, true
			}
			mu.Unlock()
		}
	})
	if len(numbers) != writers*pushes*2 {
		t.Errorf("%d numbers", len(numbers))
	}
}

// concurrentEnds lets replicas end rows in any order while others adopt them.
func concurrentEnds(t *testing.T, a, b OutboxReplica) {
	const many = 60
	var numbers, revisions []int64
	for i := range int64(many) {
		commit(t, a.Catalog, Location("loc", 1, i+1))
		p := Parcel("PATCH", fmt.Sprint(i))
		saveParcels(t, a, p)
		numbers, revisions = append(numbers, p.Parcel), append(revisions, i+1)
	}
	backwards := func(n []int64) []int64 { n = slices.Clone(n); slices.Reverse(n); return n }
	together(writers, func(i int) {
		var err error
		switch i % 4 {
		case 0:
			_, _, err = b.Outbox.Adopt(t.Context(), a.ID, b.ID)
		case 1:
			_, _, err = a.Outbox.Adopt(t.Context(), b.ID, a.ID)
		case 2:
			err = a.Outbox.Ended(t.Context(), revisions, backwards(numbers))
		case 3:
			err = b.Outbox.Ended(t.Context(), backwards(revisions), numbers)
		}
		if err != nil {
			t.Error(err)
		}
	})
	for _, r := range []OutboxReplica{a, b} { // the rest
		ended(t, r, revisions, numbers)
	}
	wantOpen(t, a)
}
