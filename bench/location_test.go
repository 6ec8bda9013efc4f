//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"busbar/ocpi"
)

func TestSampleLocationsAreValidAndOfTheSizeThatTheGoalsName(t *testing.T) {
	t.Parallel()
	const many = 1000
	total := 0
	seen := make(map[string]bool)
	for n := range many {
		owner := partyNumber(n % 100)
		document := sampleLocation(nil, n, owner)
		if err := ocpi.CheckJSON(document); err != nil {
			t.Fatalf("Location %d: %v: %s", n, err, document)
		}
		var l struct {
			CountryCode string `json:"country_code"`
			PartyID     string `json:"party_id"`
			ID          string
			EVSEs       []struct{ UID string }
		}
		if err := json.Unmarshal(document, &l); err != nil {
			t.Fatal(err)
		}
		if l.CountryCode+l.PartyID != owner.String() || "/"+l.ID != locationPath(n) || "/"+l.ID+"/"+l.EVSEs[0].UID != evsePath(n) {
			t.Fatalf("Location %d of %s is %s%s %s with EVSE %s", n, owner, l.CountryCode, l.PartyID, l.ID, l.EVSEs[0].UID)
		}
		if !bytes.Equal(document, sampleLocation(nil, n, owner)) {
			t.Fatalf("Location %d is another one the second time", n)
		}
		total += len(document)
		seen[l.EVSEs[0].UID] = true
	}
	if mean := total / many; mean < 2700 || mean > 2900 {
		t.Errorf("Locations have %d bytes on average, want 2.8 KB", mean)
	}
	if len(seen) != many {
		t.Errorf("%d different EVSEs in %d Locations", len(seen), many)
	}
}

func TestSampleStatusIsAsLongWhateverItIs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 16, 10, 10, 2, 0, time.UTC)
	for _, status := range statuses {
		body := sampleStatus(status, at)
		if err := ocpi.CheckJSON(body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if len(body) != len(patchEVSE().Body) {
			t.Errorf("%s has %d bytes, P2's %d", body, len(body), len(patchEVSE().Body))
		}
	}
}
