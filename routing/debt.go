package routing

import (
	"strings"

	"busbar/catalog"
)

// mostOwed bounds the objects that all lanes together owe: a hundred megabytes.
const mostOwed = 200_000

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
	// is the newest that was absorbed: no older state is sent.
	of *Broadcast
	// receipt is held until the state is sent: that of the newest delivery which
	// was absorbed. After a take-over that comes again, and stands for the earlier
	// ones.
	receipt *receipt
	next    *debt
}

// absorb tells whether the object is owed: then the leg ends with the debt, and the
// one before it is superseded.
func (l *lane) absorb(key objectKey, g *leg) bool {
	owed := l.debts.of[key]
	if owed == nil {
		return false
	}
	l.fanout.metrics.of(g.of.Module).count(OutcomeSuperseded, owed.of)
	owed.of.CorrelationID, owed.of.Accepted = strings.Clone(g.of.CorrelationID), g.of.Accepted
	owed.of.From, owed.of.Platform, owed.of.Repeated = g.of.From, g.of.Platform, g.of.Repeated
	if g.of.Revision >= owed.of.Revision {
		owed.of.Revision, owed.of.Overtaken = g.of.Revision, g.of.Overtaken
	}
	g.of.receipt.hold()
	owed.receipt.overtaken.Add(1)
	l.freed = append(l.freed, owed.receipt)
	owed.receipt = g.of.receipt
	return true
}

// owe takes note of a leg's object, for which the lane has no room. The leg ends with
// the debt. It is false for what the hub does not keep, and when
// too much is owed.
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
	g.of.receipt.hold()
	owed := &debt{key: key, of: g.of.with("", nil), receipt: g.of.receipt}
	owed.of.Overtaken = g.of.Overtaken
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
// flight, or waits for the catalog to have what it owes.
func (l *lane) settle() {
	f := l.fanout
	for l.debts.first != nil && l.relieved() {
		owed := l.debts.first
		if owed.receipt.lost() {
			l.writeOff(OutcomeCancelled)
			continue
		}
		now, revision, _ := f.present(owed.of)
		if max(revision, f.reached.Load()) < owed.of.Revision {
			f.pursue(l, owed.of.Revision)
			return
		}
		if now.Method == "" {
			l.writeOff(OutcomeSuperseded)
			continue
		}
		l.goAhead(owed, revision)
		g := l.redeem(now)
		l.approach(g)
		l.put(l.objects[owed.key], owed.key, g)
	}
}

// lead is how far a lane is ahead of the broadcasts of an object, because it has
// queued a state that is newer than what it owed.
type lead struct {
	revision int64
	tenure   *Tenure
}

// goAhead notes that the state which the revision wrote is queued for a debt.
func (l *lane) goAhead(owed *debt, revision int64) {
	if !owed.of.olderThan(revision) {
		return
	}
	if l.ahead == nil || len(l.ahead) >= mostAhead {
		l.ahead = make(map[objectKey]lead)
	}
	l.ahead[owed.key] = lead{revision, owed.receipt.tenure}
}

// passed tells that a state is queued which has the leg's push. It counts as long
// as the replica works that part of the log: else the state may have been dropped.
func (l *lane) passed(key objectKey, g *leg) bool {
	at, ok := l.ahead[key]
	if !ok || g.of.receipt == nil {
		return false
	}
	if at.tenure == g.of.receipt.tenure && g.of.olderThan(at.revision) {
		return true
	}
	delete(l.ahead, key)
	return at.tenure == g.of.receipt.tenure && g.of.Revision == at.revision
}

// resume settles what waited for the catalog.
func (l *lane) resume() {
	l.mu.Lock()
	l.settle()
	l.staff()
	l.unlock()
}

// redeem makes a leg of the oldest debt. It is the leg for which there was no room,
// and holds its receipt.
func (l *lane) redeem(now *Broadcast) *leg {
	f, owed := l.fanout, l.debts.take()
	f.owed.Add(-1)
	d := &delivery{Broadcast: now, fanout: f, receipt: owed.receipt, total: 1, counters: f.metrics.of(now.Module)}
	d.left.Store(1)
	d.hold()
	return &leg{of: d, to: owed.key.to}
}

// writeOff ends the oldest debt unsent.
func (l *lane) writeOff(o Outcome) {
	g := l.redeem(l.debts.first.of)
	g.outcome, g.next = o, l.written
	l.written = g
}

// forgive drops what the lane owes.
func (l *lane) forgive(o Outcome) {
	for l.debts.first != nil {
		l.writeOff(o)
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

// unlock ends what was done under the lane's lock: logs and journals hear of ends
// without it.
func (l *lane) unlock() {
	freed, written := l.freed, l.written
	l.freed, l.written = nil, nil
	l.mu.Unlock()
	for _, r := range freed {
		r.release()
	}
	l.end(written)
}
