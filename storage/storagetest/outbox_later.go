package storagetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/routing"
)

// X dies when its PUT has arrived and Z's PATCH as well: whoever sends the PUT again
// must send the PATCH behind it.
func laterIsKept(t *testing.T, x, z OutboxReplica) {
	put, patch, other := Parcel("PUT", "uid"), Parcel("PATCH", "UID"), Parcel("PATCH", "other")
	saveParcels(t, x, put)
	saveParcels(t, z, patch, other)
	wantLater(t, z, put, patch)
	ended(t, z, nil, []int64{patch.Parcel, other.Parcel})
	wantOpen(t, z, x.ID)
	wantOwn(t, z, nil)
	wantLater(t, z, put, patch)
	wantParcelsForgotten(t, z, time.Now().Add(time.Minute), 1) // the other one
	wantAdopted(t, z, x.ID, nil, put)
	wantLater(t, z, put, patch)
	newer := Parcel("PATCH", "uid")
	saveParcels(t, x, newer)
	wantLater(t, z, put, patch, newer)
	wantLater(t, z, newer)
	ended(t, z, nil, []int64{put.Parcel})
	wantEnded(t, z, put)
	wantParcelsForgotten(t, z, time.Now().Add(time.Minute), 2)
	wantEnded(t, z, put)
	wantAdopted(t, z, x.ID, nil, newer)
}

// laterOfTheToken: of one uid there may be Tokens of several types (2.2.1
// mod_tokens, PUT), and an uid is one issuer's.
func laterOfTheToken(t *testing.T, a, b OutboxReplica) {
	first, app, other, foreign := Parcel("PUT", "uid"), Parcel("PUT", "uid"), Parcel("PUT", "uid2"), Parcel("PUT", "uid")
	app.Query, foreign.Object = "type=APP_USER", "tokens/DEEMS/uid"
	patch, put, appPatch := Parcel("PATCH", "UID"), Parcel("PUT", "uid"), Parcel("PATCH", "uid")
	patch.Query, appPatch.Query = "", "x=1&type=app_user" // RFID is what no type means
	saveParcels(t, a, first, app, other, foreign)
	saveParcels(t, b, patch, put, appPatch)
	wantLastParcel(t, a, appPatch.Parcel)
	for _, r := range []OutboxReplica{a, b} {
		wantLater(t, r, first, patch, put)
		wantLater(t, r, patch, put)
		wantLater(t, r, app, appPatch)
		wantLater(t, r, other)
		wantLater(t, r, foreign)
	}
	many := make([]*routing.Broadcast, 250)
	for i := range many {
		many[i] = Parcel("PATCH", "uid")
	}
	saveParcels(t, a, many...)
	wantLater(t, b, app, appPatch)
	last := Parcel("PATCH", "uid")
	last.Query = "type=APP_USER"
	saveParcels(t, a, last)
	wantLater(t, b, appPatch, last)
	wantAdopted(t, b, a.ID, nil, append(append([]*routing.Broadcast{first, app, other, foreign}, many...), last)...)
}

func laterOfTheEnded(t *testing.T, a, b OutboxReplica) {
	put, patch, unknown := Parcel("PUT", "uid"), Parcel("PATCH", "uid"), Parcel("PUT", "uid")
	saveParcels(t, a, put, patch)
	ended(t, a, nil, []int64{put.Parcel})
	wantEnded(t, b, put)
	unknown.Parcel = 1000
	wantEnded(t, b, unknown)
	wantLater(t, b, patch)
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
	for behind, more := put.Parcel, true; more; more = behind < numbers[len(numbers)-1] {
		later, open, err := z.Outbox.Later(t.Context(), put, behind)
		if !open || err != nil || len(later) == 0 {
			t.Fatalf("%d are behind %d, open %t, %v", len(later), behind, open, err)
		}
		got, behind = append(got, later...), later[len(later)-1].Parcel
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
	wantLater(t, a, older, put)
	ended(t, a, nil, []int64{older.Parcel})
	wantParcelsForgotten(t, b, time.Now().Add(time.Minute), 2)
	wantEnded(t, a, older)
}

func wantLater(t *testing.T, r OutboxReplica, b *routing.Broadcast, want ...*routing.Broadcast) {
	t.Helper()
	got, open, err := r.Outbox.Later(t.Context(), b, b.Parcel)
	if err != nil || !open {
		t.Errorf("Later than %s, parcel %d: open %t, %v", b.Method, b.Parcel, open, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Later than %s, parcel %d: parcels differ (-want +got):\n%s", b.Method, b.Parcel, d)
	}
}

func wantEnded(t *testing.T, r OutboxReplica, b *routing.Broadcast) {
	t.Helper()
	if _, open, err := r.Outbox.Later(t.Context(), b, b.Parcel); err != nil || open {
		t.Errorf("%s, parcel %d: open %t, %v", b.Method, b.Parcel, open, err)
	}
}

func wantLastParcel(t *testing.T, r OutboxReplica, want int64) {
	t.Helper()
	if got, err := r.Outbox.LastParcel(t.Context()); err != nil || got != want {
		t.Errorf("LastParcel = %d, %v, want %d", got, err, want)
	}
}
