package routing

import (
	"context"
	"sync"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// worker carries one leg of a lane after the other, then waits for another lane
// to call it: a goroutine that begins anew grows its stack at every leg, which
// costs more than all that the hub does with the leg.
//
// A worker is the context of its calls as well: one that the Fanout can end,
// without the price of a child of a context that thousands of calls share.
type worker struct {
	fanout *Fanout
	// lane is where it works now, place where it stands in the lane's crew.
	lane  *lane
	place int
	// called brings it a leg of its lane; nil sends it home.
	called chan *leg

	call    peer.Call
	headers [6]ocpi.Header

	mu       sync.Mutex
	cut      bool
	onCutOff func()
	turn     int // counts the onCutOffs
}

// workers are those that wait for work. Once a second, and when there is nothing
// to do, all of them are sent home.
type workers struct {
	mu   sync.Mutex
	idle []*worker
	// resting sends those home that become idle from now on.
	resting bool
}

// hire puts a worker on a leg of the lane, whose lock is held.
func (f *Fanout) hire(l *lane, g *leg) {
	f.workers.mu.Lock()
	var w *worker
	if n := len(f.workers.idle); n > 0 {
		w = f.workers.idle[n-1]
		f.workers.idle[n-1] = nil
		f.workers.idle = f.workers.idle[:n-1]
	}
	f.workers.mu.Unlock()
	if w == nil {
		w = &worker{fanout: f, called: make(chan *leg, 1)}
		f.running.Add(1)
		go w.run()
	}
	w.lane, w.place = l, len(l.crew)
	l.crew = append(l.crew, w)
	w.called <- g
}

// rest lets a worker wait; it is false when it is to go home.
func (f *Fanout) rest(w *worker) bool {
	f.workers.mu.Lock()
	defer f.workers.mu.Unlock()
	if !f.workers.resting {
		f.workers.idle = append(f.workers.idle, w)
	}
	return !f.workers.resting
}

// sendHome ends the workers that wait; with resting, and once the Fanout stops,
// also those that would wait from now on.
func (f *Fanout) sendHome(resting bool) {
	f.workers.mu.Lock()
	idle := f.workers.idle
	f.workers.idle, f.workers.resting = nil, resting || f.ctx.Err() != nil
	f.workers.mu.Unlock()
	for _, w := range idle {
		w.called <- nil
	}
}

// run works until the worker is sent home.
func (w *worker) run() {
	defer w.fanout.running.Done()
	for more := true; more; more = w.fanout.rest(w) {
		g := <-w.called
		if g == nil {
			return
		}
		for g != nil {
			w.carry(g)
			g = w.lane.turn(w, g)
		}
	}
}

// carry sends a leg, if its platform can still be sent to; else everything that
// waits for the platform ends with it (O1). One that another replica has taken over
// is left to that.
func (w *worker) carry(g *leg) {
	f := w.fanout
	if g.of.receipt.lost() {
		g.of.handOver()
		return
	}
	entry := f.cfg.Directory.Snapshot().Platform(w.lane.id)
	if entry == nil || !entry.Reachable() {
		g.outcome, g.next = OutcomeOffline, nil
		w.lane.end(g)
		w.lane.clear()
		return
	}
	sent := time.Now()
	outcome, status, code, detail := w.send(g, entry, sent)
	if outcome == handedOver {
		g.of.handOver()
		return
	}
	now := time.Now()
	f.metrics.lag.Observe(max(0, now.Sub(g.of.Accepted).Seconds()))
	if outcome == OutcomeOK {
		g.of.end(outcome, nil)
		return
	}
	g.of.end(outcome, &FailedLeg{
		To: g.to, Platform: w.lane.id, RequestID: w.headers[0].Value, Outcome: outcome,
		HTTPStatus: status, OCPIStatus: code, Detail: detail, Duration: now.Sub(sent),
	})
}

// send calls the platform and classifies what came back, as it is done for a
// direct request. A push that is broadcast needs no data in its answer.
func (w *worker) send(g *leg, entry *parties.Entry, now time.Time) (o Outcome, status int, code ocpi.StatusCode, detail string) {
	target := entry.Endpoint(g.of.Module, ocpi.Receiver)
	if target == nil {
		w.headers[0].Value = ""
		return OutcomeBadAnswer, 0, 0, "not sent: the platform no longer has a RECEIVER endpoint for this module"
	}
	w.address(g, target)
	answer, err := entry.Client.Do(w, now.Add(w.fanout.cfg.Timeout), &w.call)
	if err != nil {
		switch peer.FailureOf(err) {
		case peer.Unreachable, peer.TimedOut, peer.Broken:
			w.lane.suspect(now)
		case peer.Withdrawn:
			return handedOver, 0, 0, ""
		}
		o, _ = failureOf(err, g.to)
		return o, 0, 0, peer.Reason(err)
	}
	defer answer.Release()
	status = answer.Status()
	o, code, refusal := judge(answer, g.to, false)
	if refusal != nil {
		return o, status, 0, refusal.Message
	}
	return o, status, code, ""
}

// address fills the call in. A ClientInfo, which is between the hub and the
// platform, has no routing headers (R1).
func (w *worker) address(g *leg, target *peer.Target) {
	from := &w.fanout.from
	w.headers[0] = ocpi.Header{Name: ocpi.HeaderRequestID, Value: ocpi.NewMessageID()} // R7: a fresh one for every leg
	w.headers[1] = ocpi.Header{Name: ocpi.HeaderCorrelationID, Value: g.of.CorrelationID}
	headers := w.headers[:2]
	if !g.to.IsZero() {
		headers = append(headers,
			ocpi.Header{Name: ocpi.HeaderFromCountryCode, Value: from.CountryCode},
			ocpi.Header{Name: ocpi.HeaderFromPartyID, Value: from.PartyID},
			ocpi.Header{Name: ocpi.HeaderToCountryCode, Value: g.to.CountryCode()},
			ocpi.Header{Name: ocpi.HeaderToPartyID, Value: g.to.PartyID()})
	}
	w.call = peer.Call{
		Method: g.of.Method, Target: target, Path: g.of.Path, Query: g.of.Query, Headers: headers, Body: g.of.Body,
		Brisk: true,
	}
	if g.of.receipt != nil {
		w.call.Held = g.of.receipt.held
	}
}

// Deadline, Done, Err and Value implement context.Context.
func (*worker) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*worker) Value(any) any               { return nil }
func (w *worker) Done() <-chan struct{}     { return w.fanout.ctx.Done() }
func (w *worker) Err() error                { return w.fanout.ctx.Err() }

// AfterFunc is what contexts and peer.Client use when a context has it. Of the
// worker's one call, only one thing waits at a time.
func (w *worker) AfterFunc(f func()) (stop func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut || w.onCutOff != nil {
		return context.AfterFunc(w.fanout.ctx, f)
	}
	w.onCutOff = f
	w.turn++
	turn := w.turn
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		pending := w.onCutOff != nil && w.turn == turn
		if pending {
			w.onCutOff = nil
		}
		return pending
	}
}

// cutOff ends the call; the Fanout's context has ended.
func (w *worker) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	if w.onCutOff != nil {
		go w.onCutOff()
		w.onCutOff = nil
	}
}
