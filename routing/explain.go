package routing

import (
	"context"
	"slices"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Explanation is what the router would do with a request, and why.
type Explanation struct {
	Plan PlanKind
	// Targets are who would be sent to; URL is the one that would be called.
	Targets  []ExplainedTarget
	Excluded []Exclusion
	// Refusal is the answer that a refused request would get.
	Refusal *ocpi.Error
}

// ExplainedTarget is one receiver.
type ExplainedTarget struct {
	Party    ocpi.PartyKey
	Platform parties.PlatformID
	URL      string
}

// Explain decides on a request as Route would, and sends nothing. The caller is
// the platform that speaks for req.From on the other side of the module.
func (r *Router) Explain(ctx context.Context, req *ocpi.Request) Explanation {
	snapshot := r.cfg.Directory.Snapshot()
	caller, _ := snapshot.Find(req.From.Party, req.Module, opposite(req.Interface))
	if caller == nil {
		return Explanation{Plan: PlanRefused, Refusal: unknownRequester(req.From.Party)}
	}
	plan := r.decide(ctx, caller, req)
	e := Explanation{Plan: plan.Kind, Refusal: plan.Refusal}
	v := View{Snapshot: snapshot, Hub: r.cfg.Hub.Party}
	from, platform := plan.From.Party, caller.Platform.ID
	asked := *req
	asked.From = plan.From
	exclude := func(x Exclusion) { e.Excluded = append(e.Excluded, x) }
	switch {
	case plan.Kind == PlanRefused:
	case plan.Kind == PlanBroadcast && r.refusesPush(caller, &asked, &e):
	case plan.Kind == PlanBroadcast:
		e.legs(req, Receivers(v, from, platform, req.Module, exclude))
	case plan.Kind == PlanCatalog:
		e.lists(gatherSenders(snapshot, caller, &asked), &asked)
		unlisted(&v, caller, &asked, exclude)
	case plan.Receiver != nil:
		e.target(req, plan.To.Party, plan.Receiver, plan.Target)
	default:
		e.legs(req, plan.Ask)
		Issuers(v, from, platform, exclude)
	}
	return e
}

// refusesPush tells that a broadcast would be refused for what it says, and why.
// Whoever explains may leave the body out; then only its URL is looked at.
func (r *Router) refusesPush(caller *parties.Entry, req *ocpi.Request, e *Explanation) bool {
	var refusal *ocpi.Error
	switch {
	case catalog.Keeps(req.Module):
		var w catalog.Write
		if w, refusal = catalog.ReadPath(req.Module, req.Path); refusal != nil || r.cfg.Catalog == nil {
			break
		}
		if w.Method, w.Body = req.Method, req.Body; len(w.Body) > 0 || w.Method == "DELETE" {
			w.Operator = operator(caller, w.Owner)
			refusal = r.cfg.Catalog.Check(w)
		}
	case req.Module == ocpi.ModuleTokens && len(req.Body) > 0:
		b := &Broadcast{Method: req.Method, Module: req.Module, Path: req.Path, Query: req.Query, Body: req.Body}
		refusal = b.readToken()
	}
	if refusal == nil {
		return false
	}
	e.Plan, e.Refusal = PlanRefused, refusal
	return true
}

// unknownRequester is what R9 comes to when no platform could have sent the
// request.
func unknownRequester(from ocpi.PartyKey) *ocpi.Error {
	if from.IsZero() {
		return ocpi.Errorf(ocpi.InvalidParameters, "headers OCPI-from-country-code and OCPI-from-party-id are missing")
	}
	return ocpi.HTTPErrorf(403, ocpi.InvalidParameters,
		"headers OCPI-from-country-code and OCPI-from-party-id: %s is not a party of any platform", from)
}

func opposite(i ocpi.InterfaceRole) ocpi.InterfaceRole {
	if i == ocpi.Sender {
		return ocpi.Receiver
	}
	return ocpi.Sender
}

func (e *Explanation) legs(req *ocpi.Request, legs []Leg) {
	for _, leg := range legs {
		e.target(req, leg.Party, leg.Receiver, leg.Target)
	}
}

// lists are the lists that GET All is gathered from; what the hub keeps, it asks
// nobody for.
func (e *Explanation) lists(senders []listSender, req *ocpi.Request) {
	if catalog.Keeps(req.Module) {
		return
	}
	list := ocpi.Request{Query: withoutPlace(req.Query)}
	for _, s := range senders {
		e.target(&list, s.party, s.receiver, s.target)
	}
}

func (e *Explanation) target(req *ocpi.Request, party ocpi.PartyKey, receiver *parties.Entry, target *peer.Target) {
	e.Targets = append(e.Targets, ExplainedTarget{
		Party: party, Platform: receiver.Platform.ID, URL: target.Join(req.Path, req.Query),
	})
}

// unlisted tells whose objects GET All leaves out, by the rules of readable.
func unlisted(v *View, caller *parties.Entry, req *ocpi.Request, excluded func(Exclusion)) {
	m := req.Module
	a := audience{
		module: m, side: ocpi.Sender,
		wants:  func(r ocpi.Role) bool { return r.Implements(m, ocpi.Sender) },
		misfit: "does not own " + string(m),
	}
	for roll := v.Snapshot.Roll(); len(roll) > 0; {
		n := platformsOfFirst(roll)
		party := roll[0].Party
		e := ownerPlatform(v.Snapshot, party, m)
		// Of its platforms, the one that is asked.
		at := slices.IndexFunc(roll[:n], func(m parties.Member) bool { return m.Entry == e })
		member := &roll[at]
		roll = roll[n:]
		why := none
		switch {
		case e.Platform.ID == caller.Platform.ID:
			why = onOwnPlatform
		case !slices.ContainsFunc(member.Roles, a.wants):
			why = otherRole
		case !offers(e):
			why = unreachable
		case !catalog.Keeps(m) && e.Endpoint(m, ocpi.Sender) == nil:
			why = noEndpoint
		case !v.Snapshot.Permits(req.From.Party, party, m):
			why = noAgreement
		}
		if why != none {
			excluded(Exclusion{Party: party, Reason: a.reason(member, why)})
		}
	}
}
