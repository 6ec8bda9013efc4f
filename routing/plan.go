package routing

import (
	"net/url"
	"strings"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Plan is what the hub will do with a request.
type Plan struct {
	Kind PlanKind
	// From is the requester; inferred when the request had no FROM.
	From ocpi.Address
	// To is whom a direct or open request goes to; the hub, for what it answers
	// itself; zero while it depends on who knows the token.
	To ocpi.Address
	// Receiver and Target are where a direct or open request goes.
	Receiver *parties.Entry
	Target   *peer.Target
	// Anonymous is set for a target that must not see the receiver's token.
	Anonymous bool
	// Stranger is set for a target on a host that the receiver has not registered:
	// it has to be public.
	Stranger bool
	// Ask are the eMSPs that an open authorisation goes to at once; Receiver is
	// nil then.
	Ask []Leg
	// FromIndex tells that Known was asked: had it known more, the plan might be
	// another.
	FromIndex bool
	// resultFollows tells that the receiver was given a URL of the hub for the
	// result: its answer says only that it took the request.
	resultFollows bool
	// mayFollow tells that nobody is known for something that another request has
	// perhaps made at another replica a moment ago.
	mayFollow bool
	// Refusal is the answer of a refused request.
	Refusal *ocpi.Error
}

// Decide makes the plan for a request that caller sends. It is pure: the same
// view and request give the same plan.
func Decide(v View, caller *parties.Entry, req *ocpi.Request) Plan {
	p := Plan{Kind: PlanRefused, From: req.From, To: req.To}
	if p.Refusal = p.checkFrom(&v, caller); p.Refusal != nil {
		return p
	}
	if p.Refusal = checkOwner(&v, caller, req); p.Refusal != nil {
		return p
	}
	switch p.To.Party {
	case ocpi.PartyKey{}:
		p.open(v, caller, req)
	case v.Hub:
		p.toHub(v, caller, req)
	case p.From.Party:
		p.toSelf(v, caller, req)
	default:
		p.send(&v, req, PlanDirect)
	}
	return p
}

// send plans to forward the request to p.To.
func (p *Plan) send(v *View, req *ocpi.Request, kind PlanKind) {
	p.Kind = PlanRefused
	p.Receiver, p.Target = v.Snapshot.Find(p.To.Party, req.Module, req.Interface)
	if p.Receiver != nil && !v.Snapshot.Permits(p.From.Party, p.To.Party, req.Module) {
		p.Refusal = ocpi.Errorf(ocpi.UnknownReceiver,
			"no agreement lets %s exchange module %s with %s; the operator of this hub makes agreements",
			p.From.Party, req.Module, p.To.Party)
		return
	}
	if p.Refusal = p.checkReceiver(req, p.To.Party); p.Refusal == nil {
		p.Kind = kind
	}
}

// checkFrom holds that the requester is the platform's (R9). A token
// authenticates a platform; the FROM header names the party it speaks for.
func (p *Plan) checkFrom(v *View, caller *parties.Entry) *ocpi.Error {
	if p.From.IsZero() {
		only, ok := caller.OnlyParty()
		if !ok {
			return ocpi.Errorf(ocpi.InvalidParameters,
				"headers OCPI-from-country-code and OCPI-from-party-id are missing, and this platform speaks for several parties")
		}
		p.From = ocpi.AddressOf(only)
		return nil
	}
	party := p.From.Party
	if caller.SpeaksFor(party) || v.isBehind(caller, party) {
		return nil
	}
	return ocpi.HTTPErrorf(403, ocpi.InvalidParameters,
		"headers OCPI-from-country-code and OCPI-from-party-id: %s is not a party of this platform", party)
}

// isBehind tells a party that a peer hub may carry (R10, E1): any but those that
// are connected here, or this hub itself. Whoever registers can call itself a HUB.
func (v *View) isBehind(caller *parties.Entry, party ocpi.PartyKey) bool {
	return caller.IsHub() && party != v.Hub && !v.Snapshot.Connects(party)
}

// checkOwner holds that nobody writes what another party owns: the owner in the
// URL of a Client Owned Object must be the caller's (E1, 2.2.1
// transport_and_format, Client Owned Object Push, Errors).
func checkOwner(v *View, caller *parties.Entry, req *ocpi.Request) *ocpi.Error {
	if req.Interface != ocpi.Receiver || !req.Module.ClientOwned() || !req.IsWrite() {
		return nil
	}
	countryCode, rest, _ := strings.Cut(strings.TrimPrefix(req.Path, "/"), "/")
	partyID, _, _ := strings.Cut(rest, "/")
	owner, err := ocpi.ParsePartyKey(unescaped(countryCode), unescaped(partyID))
	if err != nil && req.Module == ocpi.ModuleTokens {
		return errTokenOwner()
	}
	if err != nil {
		return ocpi.Errorf(ocpi.InvalidParameters,
			"URL of module %s must be {country_code}/{party_id}/{id}: %v", req.Module, err)
	}
	if !caller.SpeaksFor(owner) && !v.isBehind(caller, owner) {
		return ocpi.HTTPErrorf(404, ocpi.InvalidParameters,
			"URL names %s as the owner, which is not a party of this platform", owner)
	}
	return nil
}

// unescaped decodes a URL segment; one that cannot be decoded names no party.
func unescaped(segment string) string {
	if decoded, err := url.PathUnescape(segment); err == nil {
		return decoded
	}
	return segment
}

// checkReceiver tells why a receiver cannot be sent to (S3, S4).
func (p *Plan) checkReceiver(req *ocpi.Request, to ocpi.PartyKey) *ocpi.Error {
	switch {
	case p.Receiver == nil:
		return ocpi.Errorf(ocpi.UnknownReceiver, "no party %s is known to this hub", to)
	case !p.Receiver.Reachable():
		return ocpi.Errorf(ocpi.ConnectionProblem, "%s is not connected: its platform is %s", to, p.Receiver.Platform.Status)
	case p.Target == nil:
		return ocpi.Errorf(ocpi.HubError, "%s has no %s endpoint for module %s",
			to, req.Interface, req.Module)
	}
	return nil
}
