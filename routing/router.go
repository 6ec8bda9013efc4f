package routing

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Router carries requests to their receivers. It is safe for concurrent use.
type Router struct {
	cfg     RouterConfig
	metrics *metrics
	// asks and gathers are the requests under way that call many platforms.
	asks, gathers *turns
	// waits are those that wait for what another replica may have learned.
	waits *turns
	// listCalls has room for the calls of all gathers together.
	listCalls chan struct{}
}

// RouterConfig wires a Router.
type RouterConfig struct {
	Directory *parties.Directory
	Hub       parties.Identity
	// Timeout bounds a forwarded request; an authorisation is bounded by
	// AuthorizeTimeout if that is shorter.
	Timeout time.Duration
	// Journals take note of every message. They are called on the request
	// path, one after the other.
	Journals []Journal
	// LessonPatience is how long a request waits for a lesson that may be on its
	// way from another replica. Zero is 250 ms.
	LessonPatience time.Duration
	// Callbacks keeps the response_urls of commands and charging profiles.
	Callbacks CallbackStore
	Catalog   *catalog.Catalog
	Index     *Index
	// Outbox passes accepted pushes on.
	Outbox *Outbox
	// Suspect is told of a platform that could not be reached. It must not block.
	// Nil is fine.
	Suspect func(parties.PlatformID)
	// Sealer seals the cursors of lists that are gathered live.
	Sealer Sealer
	// SuppressUnchanged keeps a push to itself that changes nothing of the stored
	// object but last_updated.
	SuppressUnchanged bool
	Logger            *slog.Logger
	Metrics           prometheus.Registerer
}

// AuthorizeTimeout bounds a real-time authorisation: a driver waits at the
// charger (S4).
const AuthorizeTimeout = 10 * time.Second

// NewRouter makes a Router.
func NewRouter(cfg RouterConfig) *Router {
	if cfg.Suspect == nil {
		cfg.Suspect = func(parties.PlatformID) {}
	}
	cfg.LessonPatience = cmp.Or(cfg.LessonPatience, lessonPatience)
	return &Router{
		cfg: cfg, metrics: newMetrics(cfg.Metrics),
		asks: newTurns(mostAsks, mostAsksOfOne), waits: newTurns(mostWaits, mostWaitsOfOne), gathers: newTurns(mostGathers, mostGathersOfOne),
		listCalls: make(chan struct{}, mostListCalls),
	}
}

// Reply is the answer to a routed request. Its bytes are valid until Release.
type Reply struct {
	ocpi.Response
	// Rest goes on with the Body in more pieces: those of a long list, which are
	// shared between requests and not copied. It is nearly always nil.
	Rest [][]byte
	// To is the requester that the answer is addressed to; zero when the
	// request did not even tell that.
	To     ocpi.Address
	answer *peer.Answer
	page   *pageBuffer
}

// Len is how many bytes Body and Rest have.
func (r *Reply) Len() int {
	n := len(r.Body)
	for _, piece := range r.Rest {
		n += len(piece)
	}
	return n
}

// Release gives the buffers of the answer back.
func (r *Reply) Release() {
	if r.answer != nil {
		r.answer.Release()
	}
	if r.page != nil {
		r.page.release()
	}
}

// Route decides on a request that caller sent, carries it out, and takes note
// of it. arrived is when the hub got the request.
func (r *Router) Route(ctx context.Context, caller *parties.Entry, req *ocpi.Request, arrived time.Time) Reply {
	plan := r.decide(ctx, caller, req)
	req.From, req.To = plan.From, plan.To
	if plan.Kind == PlanRefused {
		return r.Refuse(req, plan.Refusal, arrived)
	}
	if plan.Receiver != nil {
		if refusal := r.leadCallback(ctx, caller, &plan, req, arrived); refusal != nil {
			return r.Refuse(req, refusal, arrived)
		}
	}
	m := message(req, plan.Kind, arrived)
	reply := r.carry(ctx, caller, &plan, req, &m)
	switch {
	case m.Outcome == OutcomeOK:
		r.learn(&plan, req, &reply)
	case m.Outcome == OutcomeClientError && plan.Receiver != nil:
		r.cfg.Index.Unlearn(req, reply.Status)
	}
	r.note(&m, &reply)
	return reply
}

// decide makes the plan. One that depends on what was learned may need what
// another replica knows.
func (r *Router) decide(ctx context.Context, caller *parties.Entry, req *ocpi.Request) Plan {
	view := View{Snapshot: r.cfg.Directory.Snapshot(), Hub: r.cfg.Hub.Party, Known: r.cfg.Index}
	plan := Decide(view, caller, req)
	if !plan.FromIndex {
		return plan
	}
	asked := *req
	asked.From = plan.From
	if r.cfg.Index.Fetch(ctx, &asked) {
		plan = Decide(view, caller, req)
	}
	if plan.mayFollow && r.cfg.Index.isTold() {
		return r.awaitLesson(ctx, view, caller, req, plan)
	}
	return plan
}

// learn takes the lessons of a message. The owners of what is broadcast are in
// the catalog already, a list teaches nothing, and whose charging profile it is
// the result will tell.
func (r *Router) learn(plan *Plan, req *ocpi.Request, reply *Reply) {
	kept := plan.Kind == PlanBroadcast && catalog.Keeps(req.Module)
	later := plan.resultFollows && req.Module == ocpi.ModuleChargingProfiles
	if !kept && !later && plan.Kind != PlanCatalog {
		r.cfg.Index.Learn(req, reply.Body)
	}
}

// carry does what the plan says.
func (r *Router) carry(ctx context.Context, caller *parties.Entry, plan *Plan, req *ocpi.Request, m *Message) Reply {
	switch {
	case plan.Kind == PlanBroadcast:
		return r.broadcast(ctx, caller, req, m)
	case plan.Kind == PlanCatalog:
		return r.list(ctx, caller, req, m)
	case plan.Receiver == nil:
		return r.ask(ctx, caller, plan.Ask, req, m)
	case plan.FromIndex && req.IsAuthorize():
		return r.authorize(ctx, caller, plan, req, m)
	}
	return r.forward(ctx, caller, plan, req, m)
}

// Refuse answers a request with an error and takes note of it: for what the
// plan refuses, and for what is wrong before there can be a plan.
func (r *Router) Refuse(req *ocpi.Request, refusal *ocpi.Error, arrived time.Time) Reply {
	m := message(req, PlanRefused, arrived)
	m.Outcome, m.Detail = refusalOutcome(refusal.Status), refusal.Message
	reply := r.hubAnswer(req, refusal)
	r.note(&m, &reply)
	return reply
}

func refusalOutcome(status ocpi.StatusCode) Outcome {
	switch status {
	case ocpi.UnknownReceiver:
		return OutcomeUnknown
	case ocpi.ConnectionProblem:
		return OutcomeUnreachable
	case ocpi.HubError:
		return OutcomeBadAnswer
	}
	return OutcomeRefused
}

func message(req *ocpi.Request, kind PlanKind, arrived time.Time) Message {
	return Message{
		Time: arrived, CorrelationID: req.CorrelationID, RequestID: req.RequestID,
		Method: req.Method, Module: req.Module, Interface: req.Interface, Path: req.Path,
		From: req.From.Party, To: req.To.Party, Plan: kind,
	}
}

// hubAnswer is an answer of the hub itself: FROM is the hub (R9).
func (r *Router) hubAnswer(req *ocpi.Request, refusal *ocpi.Error) Reply {
	return Reply{Response: r.fromHub(ocpi.Refused(refusal)), To: req.From}
}

func (r *Router) fromHub(response ocpi.Response) ocpi.Response {
	response.From = ocpi.AddressOf(r.cfg.Hub.Party)
	return response
}

func (r *Router) note(m *Message, reply *Reply) {
	if m.Outcome != OutcomeCancelled {
		m.HTTPStatus, m.OCPIStatus = reply.HTTP, reply.Status
	}
	m.Duration = time.Since(m.Time)
	r.metrics.count(m)
	for _, j := range r.cfg.Journals {
		j.Record(m)
	}
}

// timeout is how long a forwarded request may wait.
func (r *Router) timeout(req *ocpi.Request) time.Duration {
	if req.IsAuthorize() {
		return min(r.cfg.Timeout, AuthorizeTimeout)
	}
	return r.cfg.Timeout
}
