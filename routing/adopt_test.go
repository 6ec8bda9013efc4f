package routing

import (
	"context"
	"errors"
	"testing"

	"busbar/catalog"
	"busbar/ocpi"
)

// adoptsInPart is a record that fails when a part is adopted.
type adoptsInPart struct{ *outboxRecord }

func (r adoptsInPart) Adopt(ctx context.Context, from, to ReplicaID) ([]int64, []*Broadcast, error) {
	revisions, parcels, err := r.outboxRecord.Adopt(ctx, from, to)
	return revisions, parcels, errors.Join(err, errors.New("the connection broke"))
}

func (adoptsInPart) Left(_ context.Context, revisions []int64, each func(int64, catalog.Row) error) error {
	for _, revision := range revisions {
		if err := each(revision, catalog.Row{Key: catalog.Key{Module: ocpi.ModuleLocations, ID: "a"}, Revision: revision}); err != nil {
			return err
		}
	}
	return nil
}

// TestP4_APartOfWhatWasLeftIsSent: the rest is adopted by the next try.
func TestP4_APartOfWhatWasLeftIsSent(t *testing.T) {
	t.Parallel()
	record, log := newOutboxRecord(), &pending{}
	record.commits("dead", 5)
	o := newOutbox(log, record)
	o.cfg.Store = adoptsInPart{record}
	if err := o.recover(t.Context()); err == nil {
		t.Error("the failure is not told")
	}
	if sent := log.all(); len(sent) != 1 || sent[0].Revision != 5 {
		t.Errorf("%d broadcasts were sent, want that of revision 5", len(sent))
	}
}

// TestP4_WhatWasWrittenAgainSinceIsSentToo: the later push may have been of another
// part of the object.
func TestP4_WhatWasWrittenAgainSinceIsSentToo(t *testing.T) {
	t.Parallel()
	record, log := newOutboxRecord(), &pending{}
	record.commits("dead", 5)
	record.rows = []catalog.Row{{Key: catalog.Key{Module: ocpi.ModuleLocations, ID: "a"}, Revision: 9}}
	record.again = map[int64]int64{9: 5}
	o := newOutbox(log, record)
	if err := o.recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := log.all()
	if len(sent) != 1 || sent[0].Revision != 9 || !sent[0].Present {
		t.Fatalf("%+v were sent, want the state of revision 9", sent)
	}
	if record.revisions[5] != me {
		t.Error("the revision was ended before it was sent")
	}
	log.end(0)
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, open := record.revisions[5]; open {
		t.Error("the revision stays open")
	}
}
