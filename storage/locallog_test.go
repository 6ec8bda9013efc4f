package storage

import (
	"testing"
	"time"

	"busbar/routing"
	"busbar/storage/storagetest"
)

func TestBroadcastsWithinAProcessMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestBroadcasts(t, func(_ *testing.T, patience time.Duration) func() routing.BroadcastLog {
		log := newLocalLog()
		log.patience = patience
		return func() routing.BroadcastLog { return log }
	})
}

func TestALocalFleetIsOneReplica(t *testing.T) {
	t.Parallel()
	f := localFleet{"self"}
	if gone := f.Gone([]routing.ReplicaID{"a", "self", "b"}); len(gone) != 2 || gone[0] != "a" || gone[1] != "b" {
		t.Errorf("Gone = %q", gone)
	}
	if !f.Mine("anything") {
		t.Error("something is not this replica's to do")
	}
}
