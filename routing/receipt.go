package routing

import (
	"sync"
	"sync/atomic"
	"time"
)

// receipt is what a log is told of a broadcast: that it has ended; and the journal:
// how. Its legs hold it, and so do lanes that owe its object.
type receipt struct {
	// tenure is the time in which the broadcast was handed over; nil in a hub alone.
	tenure *Tenure
	done   func()
	// held is Handed.Held.
	held  func() bool
	holds atomic.Int32
	// dropped tells that a leg was not sent, since another replica sends it.
	dropped atomic.Bool
	// overtaken are legs that a lane owed until a newer push of the object took their
	// place.
	overtaken atomic.Int32

	mu sync.Mutex
	// legs are what the journals are told, once no other replica can tell them more.
	// They are of the message that was accepted, whatever goes in its place.
	legs     Legs
	journals []Journal
}

// of says which broadcast it is of, before any leg is sent.
func (r *receipt) of(b *Broadcast, journals []Journal) {
	r.legs = Legs{Time: b.Accepted, CorrelationID: b.CorrelationID, Method: b.Method, Module: b.Module, From: b.From}
	r.journals = journals
}

// lost tells that this replica may not send the broadcast any more. A ClientInfo,
// which has no receipt, is never lost.
func (r *receipt) lost() bool { return r != nil && r.held != nil && !r.held() }

// shared tells that another replica will send what this one does not.
func (r *receipt) shared() bool { return r != nil && r.held != nil }

// over tells that the broadcast ends elsewhere.
func (r *receipt) over() bool { return r.dropped.Load() || r.lost() }

func (r *receipt) hold() { r.holds.Add(1) }

// release tells journals and log when it was the last hold.
func (r *receipt) release() {
	if r.holds.Add(-1) > 0 || r.over() {
		return
	}
	r.record()
	if r.done != nil {
		r.done()
	}
}

// add takes note of a delivery that has ended: the broadcast's own, or the state
// that a lane owed.
func (r *receipt) add(d *delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The clock may be another replica's, which accepted the broadcast.
	r.legs.Duration = max(r.legs.Duration, time.Since(d.Accepted))
	r.legs.Total += d.total - int(d.moved.Load())
	r.legs.OK += int(d.ok.Load())
	r.legs.Superseded += int(d.superseded.Load())
	r.legs.Failed = append(r.legs.Failed, d.failed...)
}

func (r *receipt) record() {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int(r.overtaken.Load())
	r.legs.Total, r.legs.Superseded = r.legs.Total+n, r.legs.Superseded+n
	for _, j := range r.journals {
		j.RecordLegs(&r.legs)
	}
}
