package routing

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// mostAskedAtOnce bounds the calls that one authorisation makes at a time.
const mostAskedAtOnce = 64

// ask sends an authorisation to every eMSP of the legs at once; the first that
// knows the token answers it (2.2.1 mod_tokens, Real-time authorization). The
// other calls are cut off, and have ended when ask returns.
func (r *Router) ask(ctx context.Context, caller *parties.Entry, legs []Leg, req *ocpi.Request, m *Message) Reply {
	started := time.Now()
	q := r.newInquiry(caller, legs, req, started)
	done, ok := r.asks.wait(ctx, caller.Platform.ID, q.until)
	if !ok {
		m.Peer = time.Since(started)
		return r.noTurn(ctx, req, "authorisations that ask all eMSPs", m)
	}
	defer done()
	asking, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan *legAnswer)
	var callers sync.WaitGroup
	for range min(len(legs), mostAskedAtOnce) {
		callers.Go(func() { q.call(asking, answers) })
	}
	go func() { callers.Wait(); close(answers) }()

	best := q.hear(answers, stop)
	m.Peer = time.Since(started)
	switch {
	case best != nil:
		req.To, m.To = best.req.To, best.req.To.Party
		m.Outcome = best.m.Outcome
		return best.reply
	case ctx.Err() != nil:
		m.Outcome = OutcomeCancelled
		return r.hubAnswer(req, ocpi.Errorf(ocpi.HubError, "the requester closed the connection"))
	}
	refusal := ocpi.HTTPErrorf(404, ocpi.UnknownToken, "no eMSP knows this token: %d were asked, %d of them did not answer properly",
		len(legs), q.failed)
	m.Outcome, m.Detail = refusalOutcome(refusal.Status), refusal.Message
	return r.hubAnswer(req, refusal)
}

// authorize sends an authorisation to the eMSP that is known to have issued the
// token. If that does not know it, what the hub has learned is wrong, and the
// others are asked.
func (r *Router) authorize(ctx context.Context, caller *parties.Entry, plan *Plan, req *ocpi.Request, m *Message) Reply {
	reply := r.forward(ctx, caller, plan, req, m)
	if reply.Status != ocpi.UnknownToken {
		return reply
	}
	view := View{Snapshot: r.cfg.Directory.Snapshot(), Hub: r.cfg.Hub.Party}
	others := Issuers(view, plan.From.Party, caller.Platform.ID, nil)
	others = slices.DeleteFunc(others, func(l Leg) bool { return l.Party == plan.To.Party })
	if len(others) == 0 {
		return reply
	}
	first := *m
	better := r.ask(ctx, caller, others, req, m)
	m.Peer += first.Peer
	if m.Outcome != OutcomeOK {
		better.Release()
		first.Peer, req.To = m.Peer, plan.To
		*m = first
		return reply
	}
	reply.Release()
	if knowsToken(better.Body, authorizedUID(req.Path)) {
		r.cfg.Index.correct(req, req.To.Party)
	}
	return better
}

// inquiry is one authorisation on its way to many.
type inquiry struct {
	r      *Router
	caller *parties.Entry
	legs   []Leg
	req    *ocpi.Request
	// until is when all must have answered; one alone may take share.
	until time.Time
	share time.Duration
	// next is the leg that is called next.
	next atomic.Int64
	// failed counts legs without an OCPI answer.
	failed int
}

// legAnswer is what one eMSP said. Its request and plan are the leg's own.
type legAnswer struct {
	req   ocpi.Request
	m     Message
	reply Reply
	// ok tells an OCPI answer.
	ok bool
}

func (r *Router) newInquiry(caller *parties.Entry, legs []Leg, req *ocpi.Request, started time.Time) *inquiry {
	whole := r.timeout(req)
	q := &inquiry{r: r, caller: caller, legs: legs, req: req, until: started.Add(whole), share: whole}
	if len(legs) > mostAskedAtOnce {
		q.share = whole / 2 // others wait for the place
	}
	return q
}

// call asks one leg after the other until none is left, or asking ends.
func (q *inquiry) call(ctx context.Context, answers chan<- *legAnswer) {
	for ctx.Err() == nil {
		at := int(q.next.Add(1)) - 1
		if at >= len(q.legs) {
			return
		}
		answers <- q.askLeg(ctx, &q.legs[at])
	}
}

func (q *inquiry) askLeg(ctx context.Context, leg *Leg) *legAnswer {
	a := &legAnswer{req: *q.req}
	a.req.To = ocpi.AddressOf(leg.Party)
	plan := Plan{Kind: PlanOpen, From: a.req.From, To: a.req.To, Receiver: leg.Receiver, Target: leg.Target}
	headers := [6]ocpi.Header{
		{Name: ocpi.HeaderRequestID, Value: ocpi.NewMessageID()}, // R7: a fresh one for every leg
		{Name: ocpi.HeaderCorrelationID, Value: a.req.CorrelationID},
		{Name: ocpi.HeaderFromCountryCode, Value: a.req.From.CountryCode},
		{Name: ocpi.HeaderFromPartyID, Value: a.req.From.PartyID},
		{Name: ocpi.HeaderToCountryCode, Value: a.req.To.CountryCode},
		{Name: ocpi.HeaderToPartyID, Value: a.req.To.PartyID},
	}
	deadline := time.Now().Add(q.share)
	if deadline.After(q.until) {
		deadline = q.until
	}
	answer, err := leg.Receiver.Client.Do(ctx, deadline, &peer.Call{
		Method: a.req.Method, Target: leg.Target, Path: a.req.Path, Query: a.req.Query,
		Headers: headers[:], Body: a.req.Body, Requester: q.caller.Client,
	})
	if err != nil {
		return a
	}
	reply, refusal := q.r.accept(&plan, &a.req, answer, &a.m)
	if refusal != nil {
		answer.Release()
		return a
	}
	a.reply, a.ok = reply, true
	return a
}

// hear waits for the first eMSP that knows the token, and stops the others. One
// that wants to know more (2002), or refuses without saying which token, may not
// have looked; it counts only when no other knows. All answers but the one that
// it returns are released.
func (q *inquiry) hear(answers <-chan *legAnswer, stop func()) (best *legAnswer) {
	uid := authorizedUID(q.req.Path)
	known := false
	for a := range answers {
		answered := a.ok && a.m.Outcome == OutcomeOK && a.reply.HTTP/100 == 2
		switch {
		case !a.ok:
			q.failed++
		case !known && answered && knowsToken(a.reply.Body, uid):
			if best != nil {
				best.reply.Release()
			}
			best, known = a, true
			stop()
		case best == nil && (answered || a.reply.Status == ocpi.NotEnoughInfo):
			best = a
		default:
			a.reply.Release()
		}
	}
	return best
}
