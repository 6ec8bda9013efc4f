package routing

import (
	"encoding/json"
	"strings"

	"busbar/catalog"
	"busbar/ocpi"
)

// mostOwed bounds the objects that all lanes together owe: half a gigabyte.
const mostOwed = 1_000_000

// debts are the objects that a full lane owes to its parties, the oldest first.
// Of what the catalog keeps, the last state is enough: it is sent once there is
// room, and pushes of the object that come meanwhile are in it.
type debts struct {
	of          map[objectKey]*debt
	first, last *debt
}

type debt struct {
	key objectKey
	// of is the last broadcast that found no room, without its body. Its Revision
	// is the first one's, which stays open until the state is sent.
	of   *Broadcast
	next *debt
}

// absorb tells whether the object is owed: then the leg need not be sent.
func (d *debts) absorb(key objectKey, g *leg) bool {
	owed := d.of[key]
	if owed == nil {
		return false
	}
	owed.of.CorrelationID, owed.of.Accepted = strings.Clone(g.of.CorrelationID), g.of.Accepted
	owed.of.From, owed.of.Platform = g.of.From, g.of.Platform
	return true
}

// owe takes note of a leg's object, for which the lane has no room. It is false
// for what the hub does not keep, and when too much is owed.
func (l *lane) owe(key objectKey, g *leg) bool {
	f := l.fanout
	if f.cfg.Present == nil || !catalog.Keeps(g.of.Module) {
		return false
	}
	if f.owed.Add(1) > mostOwed {
		f.owed.Add(-1)
		return false
	}
	f.waiting.Add(1)
	b := *g.of.Broadcast
	f.cfg.Marks.begin(b.Revision)
	// Clones: the sender's strings may be parts of larger ones.
	b.Present, b.Path, b.CorrelationID = true, strings.Clone(topPath(b.Path)), strings.Clone(b.CorrelationID)
	b.Query, b.Body = "", nil
	owed := &debt{key: key, of: &b}
	if l.debts.first == nil {
		l.debts = debts{of: make(map[objectKey]*debt), first: owed}
	} else {
		l.debts.last.next = owed
	}
	l.debts.of[key], l.debts.last = owed, owed
	return true
}

// relieved tells that half of the lane is free. While all lanes together hold too
// much, an empty lane is.
func (l *lane) relieved() bool {
	return l.queued < maxQueued/2 && l.bytes < maxQueuedBytes/2 && (l.queued == 0 || l.fanout.held.Load() <= maxHeldBytes)
}

// settle queues the present state of what the lane owes, as long as half of the
// lane is free. It runs whenever a leg has landed: a lane that owes has some in
// flight.
func (l *lane) settle() {
	for l.debts.first != nil && l.relieved() {
		owed := l.debts.take()
		f := l.fanout
		f.owed.Add(-1)
		b := f.present(owed.of)
		if b.Method == "" {
			f.cfg.Marks.end(b.Revision)
			f.landed()
			continue
		}
		d := &delivery{Broadcast: b, fanout: f, done: func() {}, total: 1, counters: f.metrics.of(b.Module)}
		d.left.Store(1)
		d.hold()
		g := &leg{of: d, to: owed.key.to}
		l.approach(g)
		l.put(l.objects[owed.key], owed.key, g)
	}
}

// forgive drops what the lane owes.
func (l *lane) forgive() {
	for l.debts.first != nil {
		owed := l.debts.take()
		l.fanout.owed.Add(-1)
		l.fanout.cfg.Marks.end(owed.of.Revision)
		l.fanout.landed()
	}
}

func (d *debts) take() *debt {
	owed := d.first
	delete(d.of, owed.key)
	if d.first = owed.next; d.first == nil {
		*d = debts{}
	}
	return owed
}

// present makes a broadcast of what its object is now. Whatever was delivered
// before is in it, since the catalog has a push before the log has; what is
// delivered later comes behind it. It has no Method when there is nothing to
// send.
func (f *Fanout) present(b *Broadcast) *Broadcast {
	now := *b
	now.Method, now.Body, now.Present = "", nil, false
	document, there := []byte(nil), false
	if f.cfg.Present != nil {
		document, there = f.cfg.Present(b.key())
	}
	switch {
	case there:
		now.Method, now.Body = "PUT", document
	case b.Module == ocpi.ModuleTariffs: // a Location is never deleted
		now.Method = "DELETE"
	}
	return &now
}

// key is the object in the catalog.
func (b *Broadcast) key() catalog.Key {
	id := strings.TrimPrefix(b.Object, objectName(b.Module, b.Owner, ""))
	return catalog.Key{Module: b.Module, Owner: b.Owner, ID: id}
}

// topPath is the path of the object that a path is of or inside of:
// /{country_code}/{party_id}/{id}.
func topPath(path string) string {
	slashes := 0
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			if slashes++; slashes == 3 {
				return path[:i]
			}
		}
	}
	return path
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
