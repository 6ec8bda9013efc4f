package routing

import (
	"fmt"
	"slices"
	"strings"

	"busbar/ocpi"
	"busbar/parties"
)

// open plans a request without a receiver (2.2.1 transport_and_format, Open
// Routing Request). What the message names leads to its receiver; a push that
// leads to nobody in particular is for all (M1).
func (p *Plan) open(v View, caller *parties.Entry, req *ocpi.Request) {
	switch {
	case req.IsAuthorize():
		p.authorize(v, caller, req)
	case req.Method == "GET" && isRoot(req.Path):
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters,
			"a GET without OCPI-to headers never means a list: address this hub (%s) for the objects of all parties, or one party for its own", v.Hub)
	case isBroadcast(req):
		p.broadcast(v, caller, req)
	default:
		p.byKey(v, req)
	}
}

// byKey leads a request to the party that its key is known of.
func (p *Plan) byKey(v View, req *ocpi.Request) {
	key, refusal := readKey(req, p.From.Party)
	if refusal != nil {
		p.Refusal = refusal
		return
	}
	if !key.named.IsZero() {
		p.toNamed(v, req, key)
		return
	}
	p.FromIndex = true
	candidates := p.candidates(v, req, key.holders(v.Known))
	if len(candidates) == 0 {
		p.Refusal, p.mayFollow = key.unknown, key.justMade
		return
	}
	p.toOne(v, req, key, candidates)
}

// toNamed sends to the party that stands in the message itself.
func (p *Plan) toNamed(v View, req *ocpi.Request, key openKey) {
	if key.named == p.From.Party {
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters, "%s names the requester (%s) itself as the receiver", key.what, key.named)
		return
	}
	p.To = ocpi.AddressOf(key.named)
	p.send(&v, req, PlanOpen)
}

// toOne sends to the only candidate. Ids are unique per owner only: with several
// the hub does not guess (M1).
func (p *Plan) toOne(v View, req *ocpi.Request, key openKey, candidates []ocpi.PartyKey) {
	candidates = inRole(v, req, candidates)
	if len(candidates) > 1 {
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters, "%s is known of %s; address one with OCPI-to headers", key.what, listed(candidates))
		return
	}
	p.To = ocpi.AddressOf(candidates[0])
	p.send(&v, req, PlanOpen)
}

// inRole leaves, of several, those of whom a role has the interface: a Location that
// an eMSP pushes as its own must not make that of a CPO ambiguous. Whether they serve
// it does not count: who owns the object may not, and it is nobody else's then.
func inRole(v View, req *ocpi.Request, candidates []ocpi.PartyKey) []ocpi.PartyKey {
	if len(candidates) < 2 {
		return candidates
	}
	var able []ocpi.PartyKey
	for _, party := range candidates {
		if v.Snapshot.Implements(party, req.Module, req.Interface) {
			able = append(able, party)
		}
	}
	if len(able) == 0 {
		return candidates
	}
	return able
}

// candidates keeps those parties that the requester could address: they are
// registered, if perhaps OFFLINE, and an agreement permits it.
func (p *Plan) candidates(v View, req *ocpi.Request, holders []ocpi.PartyKey) []ocpi.PartyKey {
	return slices.DeleteFunc(slices.Clone(holders), func(party ocpi.PartyKey) bool {
		receiver, _ := v.Snapshot.Find(party, req.Module, req.Interface)
		return party == p.From.Party || receiver == nil || !receiver.Platform.Registered() ||
			!v.Snapshot.Permits(p.From.Party, party, req.Module)
	})
}

// authorize plans a real-time authorisation: it goes to the eMSP that is known to
// have issued the token or, when nobody is, to all at once (2.2.1 mod_tokens,
// Real-time authorization).
func (p *Plan) authorize(v View, caller *parties.Entry, req *ocpi.Request) {
	key, refusal := readKey(req, p.From.Party)
	if refusal != nil {
		p.Refusal = refusal
		return
	}
	p.FromIndex = true
	candidates := p.candidates(v, req, key.holders(v.Known))
	// One that serves no authorisations leaves the others to be asked.
	candidates = slices.DeleteFunc(candidates, func(party ocpi.PartyKey) bool {
		_, target := v.Snapshot.Find(party, req.Module, req.Interface)
		return target == nil
	})
	if len(candidates) > 0 {
		p.toOne(v, req, key, candidates)
		return
	}
	p.To = ocpi.Address{}
	if p.Ask = Issuers(v, p.From.Party, caller.Platform.ID, nil); len(p.Ask) == 0 {
		p.Refusal = key.unknown
		return
	}
	p.Kind = PlanOpen
}

// listed reads "NLCPA and DECPB"; a long list is cut off.
func listed(parties []ocpi.PartyKey) string {
	const most = 8
	var names []string
	for _, party := range parties[:min(len(parties), most)] {
		names = append(names, party.String())
	}
	if more := len(parties) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
