package routing

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"busbar/ocpi"
)

// delivery is a broadcast on its way: what its legs share.
type delivery struct {
	*Broadcast
	fanout   *Fanout
	counters *legCounters
	// announces is the role that a ClientInfo is of; empty for a broadcast.
	announces ocpi.Role
	// receipt is released when all legs have ended; nil for a ClientInfo, which no
	// journal takes note of either.
	receipt *receipt
	total   int
	// held is what it adds to Fanout.held until it ends.
	held int64

	left, ok, superseded atomic.Int32
	// moved legs are debts' of full lanes now, and counted with those.
	moved atomic.Int32

	mu     sync.Mutex
	failed []FailedLeg

	readBody sync.Once
	members  map[string]present
	readTime sync.Once
	updated  time.Time
}

// leg is one receiver of a delivery, while it waits and while it is sent.
type leg struct {
	of *delivery
	to ocpi.PartyKey
	// behind is the gate that the leg waits for or, for a ClientInfo, that waits
	// for it.
	behind *gate
	// chain is set once the leg is in flight. next and previous link the legs that
	// wait in a chain; next links those that ended together.
	chain          *chain
	next, previous *leg
	// outcome is set when the leg ended without being sent.
	outcome Outcome
}

func (c *chain) append(g *leg) {
	if g.previous = c.last; c.last == nil {
		c.first = g
	} else {
		c.last.next = g
	}
	c.last = g
}

func (c *chain) remove(g *leg) {
	if g.previous == nil {
		c.first = g.next
	} else {
		g.previous.next = g.next
	}
	if g.next == nil {
		c.last = g.previous
	} else {
		g.next.previous = g.previous
	}
	g.next, g.previous = nil, nil
}

// end takes note of how one leg ended: with a reason, or well. One that was cut off
// and that another replica sends has not ended.
func (d *delivery) end(o Outcome, failed *FailedLeg) {
	if o == OutcomeCancelled && d.receipt.shared() {
		d.handOver()
		return
	}
	d.counters.count(o, d.Broadcast)
	switch {
	case failed != nil:
		d.mu.Lock()
		d.failed = append(d.failed, *failed)
		d.mu.Unlock()
	case o == OutcomeSuperseded:
		d.superseded.Add(1)
	default:
		d.ok.Add(1)
	}
	d.release()
	d.fanout.landed()
}

// handOver leaves one leg to another replica: then all of the broadcast comes to
// that one again, and neither journal nor log hear of it here.
func (d *delivery) handOver() {
	d.receipt.dropped.Store(true)
	d.counters.count(handedOver, d.Broadcast)
	d.release()
	d.fanout.landed()
}

// leave gives a leg to the debt of a full lane.
func (d *delivery) leave() {
	d.moved.Add(1)
	d.release()
	d.fanout.landed()
}

// hold counts the body until the delivery ends.
func (d *delivery) hold() {
	d.held = int64(len(d.Body))
	d.fanout.held.Add(d.held)
}

// release settles the delivery when it was the last hold on it.
func (d *delivery) release() {
	if d.left.Add(-1) > 0 {
		return
	}
	d.fanout.held.Add(-d.held)
	if d.receipt == nil {
		return
	}
	d.receipt.add(d)
	d.receipt.release()
}

// supersedes tells that the older delivery of the same object need not be sent
// to a party that will get this one. Only the very same URL counts: a Location
// that is PUT again may leave out an EVSE that was pushed between, and a
// receiver keeps that. Nor does one count that came later and says that it is
// older: a receiver goes by last_updated.
func (d *delivery) supersedes(older *delivery) bool {
	if d.Path != older.Path || d.Query != older.Query || d.announces != older.announces {
		return false
	}
	switch d.Method {
	case "PUT": // the whole object; what a DELETE took away comes back new
		return (older.Method == "PUT" || older.Method == "PATCH") && !d.outdatedBy(older)
	case "PATCH": // 2.2.1 transport_and_format, PATCH: a field that is given replaces the old one
		return older.Method == "PATCH" && d.covers(older) && !d.outdatedBy(older)
	case "DELETE":
		return older.Method == "PUT" || older.Method == "PATCH" || older.Method == "DELETE"
	}
	return false
}

// holds tells that a URL is of a part of the object that this delivery is about.
func (d *delivery) holds(path string) bool {
	rest, inside := strings.CutPrefix(path, d.Path)
	return inside && strings.HasPrefix(rest, "/")
}

// covers tells that every member of the older body is in this one, too.
func (d *delivery) covers(older *delivery) bool {
	mine, theirs := d.fields(), older.fields()
	if mine == nil || theirs == nil {
		return false
	}
	for name := range theirs {
		if _, ok := mine[name]; !ok {
			return false
		}
	}
	return true
}

// outdatedBy tells that by their last_updated the other's state is the later one.
// It is not known of a body that has none, or one that cannot be read.
func (d *delivery) outdatedBy(other *delivery) bool {
	mine, theirs := d.lastUpdated(), other.lastUpdated()
	return !mine.IsZero() && mine.Before(theirs)
}

// lastUpdated reads the body's last_updated; zero when it cannot be. Nobody needs
// it until a push waits behind another.
func (d *delivery) lastUpdated() time.Time {
	d.readTime.Do(func() {
		text := textMember(d.Body, "last_updated")
		at, err := ocpi.ParseTime(text)
		if err != nil { // field-quirks: offsets
			at, err = time.Parse(time.RFC3339, text)
		}
		if err == nil {
			d.updated = at
		}
	})
	return d.updated
}

// fields are the names of the body's members; nil when it is no JSON object.
// Nobody needs them until a patch waits behind another.
func (d *delivery) fields() map[string]present {
	d.readBody.Do(func() {
		if json.Unmarshal(d.Body, &d.members) != nil {
			d.members = nil
		}
	})
	return d.members
}

// present is a member whose value does not matter.
type present struct{}

func (*present) UnmarshalJSON([]byte) error { return nil }
