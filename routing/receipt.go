package routing

import "sync/atomic"

// receipt is what a log is told of a broadcast: that it has ended. Its legs hold
// it, and so do lanes that owe its object.
type receipt struct {
	done func()
	// held is Handed.Held.
	held  func() bool
	holds atomic.Int32
	// dropped tells that a leg was not sent, since another replica sends it.
	dropped atomic.Bool
}

// lost tells that this replica may not send the broadcast any more. A ClientInfo,
// which has no receipt, is never lost.
func (r *receipt) lost() bool { return r != nil && r.held != nil && !r.held() }

// shared tells that another replica will send what this one does not.
func (r *receipt) shared() bool { return r != nil && r.held != nil }

// over tells that the broadcast ends elsewhere.
func (r *receipt) over() bool { return r.dropped.Load() || r.lost() }

func (r *receipt) hold() { r.holds.Add(1) }

// release tells the log when it was the last hold.
func (r *receipt) release() {
	if r.holds.Add(-1) == 0 && !r.over() && r.done != nil {
		r.done()
	}
}
