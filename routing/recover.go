package routing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

const (
	// readAtOnce is of how many revisions the rows are read by one question. Each may
	// have 32 MB, of which one document at a time is held.
	readAtOnce = 8
	// doubtPause is how long a write may be under way whose answer does not come,
	// and then some.
	doubtPause = 30 * time.Second
)

// doubt is a reason to compare what the record has of this replica with what it
// knows: the answer to a write was lost, so that the record may have more.
type doubt int

const (
	// doubtCommitted: a commit of the catalog failed. Its sender was told so, but
	// if the record has it, it is part of every later state, and is to be sent. If
	// the sender pushes it again, nothing changes (SuppressUnchanged). The catalog
	// sees to it itself, for the few that it remembers.
	doubtCommitted doubt = 1 << iota
	// doubtSaved: saving parcels failed. Their senders were told so; those that the
	// record has all the same are ended, unless another replica takes them over first.
	doubtSaved
	// doubtAdopted: adopting failed. What was adopted is to be sent.
	doubtAdopted
)

// doubts are the reasons to look, since when, and what was found at the first of
// two looks: only what is unknown at both is not just being written.
type doubts struct {
	reasons doubt
	since   time.Time
	looked  bool
	unknown endedRows
	// later are reasons that came after the first look: they need two of their own.
	later doubt
}

func (o *Outbox) doubt(reason doubt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.doubts.looked:
		o.doubts.later |= reason
	case o.doubts.reasons == 0:
		o.doubts.since = time.Now()
		fallthrough
	default:
		o.doubts.reasons |= reason
	}
}

// Doubt notes that the catalog could not keep a push, or does not know whether it
// did.
func (o *Outbox) Doubt() { o.doubt(doubtCommitted) }

// recover sends again what replicas that are gone left open. All of it counts as
// this replica's own from then on.
func (o *Outbox) recover(ctx context.Context) error {
	var errs []error
	short, cancel := context.WithTimeout(ctx, outboxTimeout)
	ids, err := o.cfg.Store.Replicas(short)
	cancel()
	errs = append(errs, err)
	ids = slices.DeleteFunc(ids, func(id ReplicaID) bool { return id == o.cfg.Replica })
	for _, id := range o.cfg.Fleet.Gone(ids) {
		// Of many the record gives some at a time. When too many are open, the next
		// look goes on.
		for more := true; more && !o.crowded(); {
			more, err = o.adopt(ctx, id)
			errs = append(errs, err)
		}
	}
	errs = append(errs, o.clearDoubts(ctx, time.Now()), o.sendAdopted(ctx))
	return errors.Join(errs...)
}

// adopt takes over what another replica left; more tells that there was something.
func (o *Outbox) adopt(ctx context.Context, from ReplicaID) (more bool, err error) {
	short, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	revisions, parcels, err := o.cfg.Store.Adopt(short, from, o.cfg.Replica)
	if err != nil {
		o.doubt(doubtAdopted) // more may be this replica's now, and nobody else's
		err = fmt.Errorf("adopt what replica %s left: %w", from, err)
	}
	more = len(parcels) > 0
	revisions, parcels = o.strange(revisions, parcels)
	o.take(revisions, parcels)
	if len(revisions)+len(parcels) > 0 {
		o.cfg.Logger.Info("sending again what may not have reached every receiver before a replica ended",
			"replica", from, "revisions", len(revisions), "tokens", len(parcels))
	}
	return more && err == nil, err
}

// strange are those that were not adopted before. This replica may have broadcasts
// of such a revision, of pushes that changed nothing; but not all that it is about.
func (o *Outbox) strange(revisions []int64, parcels []*Broadcast) ([]int64, []*Broadcast) {
	o.mu.Lock()
	defer o.mu.Unlock()
	revisions = slices.DeleteFunc(revisions, func(r int64) bool { return o.revisions[r].adopted })
	again := setOf(revisions)
	o.ended.revisions = slices.DeleteFunc(o.ended.revisions, func(r int64) bool { return again[r] })
	parcels = slices.DeleteFunc(parcels, func(b *Broadcast) bool { _, open := o.parcels[b.Parcel]; return open })
	return revisions, parcels
}

// unknown are those of its own rows that this replica neither has under way nor
// has ended; fresh are the parcels among them.
func (o *Outbox) unknown(revisions []int64, parcels []*Broadcast) (rows endedRows, fresh []*Broadcast) {
	o.mu.Lock()
	defer o.mu.Unlock()
	endedRevisions, endedParcels := setOf(o.ended.revisions), setOf(o.ended.parcels)
	for _, revision := range revisions {
		if _, open := o.revisions[revision]; !open && !endedRevisions[revision] {
			rows.revisions = append(rows.revisions, revision)
		}
	}
	for _, b := range parcels {
		if _, open := o.parcels[b.Parcel]; !open && !endedParcels[b.Parcel] {
			rows.parcels, fresh = append(rows.parcels, b.Parcel), append(fresh, b)
		}
	}
	return rows, fresh
}

func setOf(ids []int64) map[int64]bool {
	set := make(map[int64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// take begins the broadcasts of parcels, and holds revisions open until theirs
// have begun.
func (o *Outbox) take(revisions []int64, parcels []*Broadcast) {
	for _, revision := range revisions {
		o.begin(revision, 0)
		o.mark(revision, true)
	}
	o.adopted = append(o.adopted, revisions...)
	o.toBegin.Store(int64(len(o.adopted)))
	for _, b := range parcels {
		b.Present, b.Repeated = true, true
		o.metrics.recovered.Inc()
		o.Append(b)
	}
}

// putBack lets adopted revisions go whose broadcasts could not begin: they stay in
// the record, for the next replica.
func (o *Outbox) putBack() {
	for _, revision := range o.adopted {
		o.mark(revision, false)
		o.end(revision, 0)
	}
	o.adopted = nil
	o.toBegin.Store(0)
}

func (o *Outbox) mark(revision int64, adopted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.revisions[revision]
	r.settled, r.adopted = adopted, adopted
	o.revisions[revision] = r
}

// sendAdopted begins the broadcasts of adopted revisions: the present state of each
// object that one wrote. It may have been pushed since: but of another part, whose
// broadcast has nothing of this one. When too many are open, the next look goes on.
func (o *Outbox) sendAdopted(ctx context.Context) error {
	for len(o.adopted) > 0 && !o.crowded() {
		some := o.adopted[:min(len(o.adopted), readAtOnce)]
		short, cancel := context.WithTimeout(ctx, outboxTimeout)
		type left struct {
			revision int64
			*Broadcast
		}
		var broadcasts []left
		err := o.cfg.Store.Left(short, some, func(revision int64, row catalog.Row) error {
			if catalog.Keeps(row.Key.Module) {
				broadcasts = append(broadcasts, left{revision, o.again(row)})
			}
			return nil
		})
		cancel()
		if err != nil {
			return fmt.Errorf("read what adopted revisions were about: %w", err)
		}
		for _, b := range broadcasts {
			o.metrics.recovered.Inc()
			o.appendUnder(b.revision, b.Broadcast)
		}
		for _, revision := range some {
			o.end(revision, 0)
		}
		o.adopted = o.adopted[len(some):]
		o.toBegin.Store(int64(len(o.adopted)))
	}
	if len(o.adopted) == 0 {
		o.adopted = nil
	}
	return nil
}

// clearDoubts looks twice, doubtPause apart, for what the record has of this
// replica without its knowing.
func (o *Outbox) clearDoubts(ctx context.Context, now time.Time) error {
	o.mu.Lock()
	d := o.doubts
	o.mu.Unlock()
	if d.reasons == 0 || now.Sub(d.since) < doubtPause {
		return nil
	}
	rows, fresh, err := o.allUnknown(ctx)
	if err != nil {
		return fmt.Errorf("look for broadcasts of lost answers: %w", err)
	}
	o.mu.Lock()
	switch later := o.doubts.later; {
	case !d.looked && rows.len() > 0:
		o.doubts.since, o.doubts.looked, o.doubts.unknown = now, true, rows
	case later != 0:
		o.doubts = doubts{reasons: later, since: now}
	default:
		o.doubts = doubts{}
	}
	o.mu.Unlock()
	if d.looked {
		o.settleDoubts(d, rows, fresh)
	}
	return nil
}

// allUnknown goes through everything that the record has of this replica, and keeps
// what is unknown.
func (o *Outbox) allUnknown(ctx context.Context) (rows endedRows, fresh []*Broadcast, err error) {
	for behind, more := int64(0), true; more; {
		short, cancel := context.WithTimeout(ctx, outboxTimeout)
		revisions, parcels, err := o.cfg.Store.Own(short, o.cfg.Replica, behind)
		cancel()
		if err != nil {
			return endedRows{}, nil, err
		}
		if more = len(parcels) > 0; more {
			behind = parcels[len(parcels)-1].Parcel
		}
		some, strange := o.unknown(revisions, parcels)
		rows.revisions, rows.parcels = append(rows.revisions, some.revisions...), append(rows.parcels, some.parcels...)
		fresh = append(fresh, strange...)
	}
	return rows, fresh, nil
}

// settleDoubts sends what was unknown at both looks, or ends it.
func (o *Outbox) settleDoubts(d doubts, rows endedRows, fresh []*Broadcast) {
	firstRevisions, firstParcels := setOf(d.unknown.revisions), setOf(d.unknown.parcels)
	revisions := slices.DeleteFunc(rows.revisions, func(r int64) bool { return !firstRevisions[r] })
	fresh = slices.DeleteFunc(fresh, func(b *Broadcast) bool { return !firstParcels[b.Parcel] })
	if d.reasons&doubtAdopted == 0 { // they were refused
		o.mu.Lock()
		for _, b := range fresh {
			o.ended.parcels = append(o.ended.parcels, b.Parcel)
		}
		o.mu.Unlock()
		fresh = nil
	}
	o.take(revisions, fresh)
	if len(revisions)+len(fresh) > 0 {
		o.cfg.Logger.Warn("sending what the record has though its answer was lost", "revisions", len(revisions), "tokens", len(fresh))
	}
}

// again is the broadcast of whatever the object is when it is delivered.
func (o *Outbox) again(row catalog.Row) *Broadcast {
	owner := row.Key.Owner
	b := &Broadcast{
		Object: objectName(row.Key.Module, owner, row.Key.ID), Owner: owner, From: owner, Accepted: time.Now(),
		CorrelationID: ocpi.NewMessageID(), Method: "PUT", Version: ocpi.V221, Module: row.Key.Module, Revision: row.Revision,
		Path:    "/" + owner.CountryCode() + "/" + owner.PartyID() + "/" + url.PathEscape(spelledID(row)),
		Present: true, Repeated: true,
	}
	if row.Deleted {
		b.Method = "DELETE"
	}
	if sender, _ := o.cfg.Directory.Snapshot().Find(owner, row.Key.Module, ocpi.Sender); sender != nil {
		b.Platform = sender.Platform.ID
	}
	return b
}

// spelledID is the object's id as its owner spells it, if the row has it: a
// deleted one has not.
func spelledID(row catalog.Row) string {
	var object struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(row.Document, &object) == nil && strings.EqualFold(object.ID, row.Key.ID) {
		return object.ID
	}
	return row.Key.ID
}
