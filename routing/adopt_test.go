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

func (adoptsInPart) At(_ context.Context, revisions []int64, each func(catalog.Row) error) error {
	for _, revision := range revisions {
		if err := each(catalog.Row{Key: catalog.Key{Module: ocpi.ModuleLocations, ID: "a"}, Revision: revision}); err != nil {
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
	o.cfg.Store, o.cfg.Record = adoptsInPart{record}, adoptsInPart{record}
	if err := o.recover(t.Context()); err == nil {
		t.Error("the failure is not told")
	}
	if sent := log.all(); len(sent) != 1 || sent[0].Revision != 5 {
		t.Errorf("%d broadcasts were sent, want that of revision 5", len(sent))
	}
}
