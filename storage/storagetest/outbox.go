package storagetest

import (
	"context"
	"errors"
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
		"a replica is told what it has open itself":         ownIsTold,
		"much is adopted and ended":                         muchIsAdopted,
		"very many parcels are adopted in parts":            parcelsInParts,
		"what is behind an open parcel is kept":             laterIsKept,
		"what is behind is of the same Token":               laterOfTheToken,
		"of what has ended nothing need be sent":            laterOfTheEnded,
		"much that is behind is told in parts":              laterInParts,
		"what is forgotten ended before":                    forgetParcels,
		"a push is remembered while an older one is open":   forgetNotYet,
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
	wantLastParcel(t, a, 0)
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

func saveNothing(t *testing.T, a, _ OutboxReplica) {
	saveParcels(t, a)
	wantOpen(t, a)
}

func outboxGivenUp(t *testing.T, a, b OutboxReplica) {
	ctx, parcel := cancelled(t), Parcel("PUT", "uid")
	kept := Parcel("PUT", "kept")
	saveParcels(t, b, kept)
	_, _, ownErr := a.Outbox.Own(ctx, a.ID, 0)
	_, replicasErr := a.Outbox.Replicas(ctx)
	_, _, adoptErr := a.Outbox.Adopt(ctx, b.ID, a.ID)
	_, _, laterErr := a.Outbox.Later(ctx, kept, kept.Parcel)
	_, lastErr := a.Outbox.LastParcel(ctx)
	_, forgetErr := a.Outbox.Forget(ctx, at(0))
	for what, err := range map[string]error{
		"Save": a.Outbox.Save(ctx, a.ID, []*routing.Broadcast{parcel}), "Replicas": replicasErr, "Adopt": adoptErr,
		"Later": laterErr, "LastParcel": lastErr, "Own": ownErr, "Forget": forgetErr,
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

func wantParcelsForgotten(t *testing.T, r OutboxReplica, before time.Time, want int64) {
	t.Helper()
	if n, err := r.Outbox.Forget(t.Context(), before); err != nil || n != want {
		t.Errorf("Forget = %d, %v, want %d", n, err, want)
	}
}
