package rediscache

import "time"

// taking is whether senders wait until Redis has their broadcasts, so that what they
// send next, to whichever replica, comes behind. They do as long as Redis keeps up.
// The appender's mutex guards it.
type taking struct {
	// keepsUp tells that they do: until a call fails, Redis has lost something, or one
	// has waited for too long.
	keepsUp bool
	// late fires when the sender may have waited for too long that waits longest; set
	// tells that it is to.
	late *time.Timer
	set  bool
}

// await makes the channel on which the sender of a broadcast waits, if it does.
func (a *appender) await(o *open) (taken <-chan struct{}) {
	if !a.taking.keepsUp {
		a.log.metrics.unawaited.Inc()
		return nil
	}
	o.taken, o.since = make(chan struct{}), time.Now()
	if !a.taking.set {
		a.watch(a.log.cfg.Pace.Append)
	}
	return o.taken
}

// watch looks after the waiting senders once the time is over.
func (a *appender) watch(after time.Duration) {
	a.taking.set = true
	if a.taking.late == nil {
		a.taking.late = time.AfterFunc(after, a.look)
		return
	}
	a.taking.late.Reset(after)
}

// look finds out whether a sender has waited for too long; then none does any more.
func (a *appender) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taking.set = false
	for o := a.next; o != nil; o = o.next {
		if o.taken == nil {
			continue
		}
		if left := a.log.cfg.Pace.Append - time.Since(o.since); left > 0 {
			a.watch(left)
		} else {
			a.release()
		}
		return
	}
}

// deaf takes note that Redis does not answer.
func (a *appender) deaf() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.release()
}

// release lets all senders go, and makes none wait until Redis keeps up again.
func (a *appender) release() {
	if !a.taking.keepsUp {
		return // and nobody waits
	}
	a.taking.keepsUp = false
	for o := a.next; o != nil; o = o.next {
		if o.taken != nil {
			a.log.metrics.unawaited.Inc()
			o.letGo()
		}
	}
}

// letGo lets the sender go that waits for a broadcast, if one does.
func (o *open) letGo() {
	if o.taken != nil {
		close(o.taken)
		o.taken = nil
	}
}

// heard takes note of a call that Redis has answered, and how long that took. Whoever
// comes next waits for what is under way and for its own call, so two of them must fit
// into the time that one may wait, and no more may be waiting than one call takes.
func (a *appender) heard(took time.Duration, waiting int) {
	if a.waits <= waiting && took <= a.log.cfg.Pace.Append/2 {
		a.taking.keepsUp = true
	}
}

// hears is heard, of a sign of life. It says nothing of appending while that is due.
func (a *appender) hears(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard(took, 0)
}
