package routing

import (
	"slices"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

// toHub plans a request whose TO is this hub: a list of everything (GET All), a
// push to all (Broadcast Push), or an authorisation that shall find its eMSP
// (2.2.1 transport_and_format, Message Routing; R2, R3, R4).
func (p *Plan) toHub(v View, caller *parties.Entry, req *ocpi.Request) {
	switch {
	case req.IsAuthorize():
		p.authorize(v, caller, req)
	case req.Method == "GET" && isList(req) && hasList(req.Module):
		p.catalog(v, caller, req)
	case req.Method == "GET":
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters,
			"a GET that is addressed to this hub (%s) must be for a list of locations, tariffs, sessions, cdrs or tokens, on the Sender interface; "+
				"address the party that has the object", v.Hub)
	case isBroadcast(req):
		p.broadcast(v, caller, req)
	case req.Method == "DELETE":
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters,
			"of all DELETEs, only one of a tariff is broadcast: address the receiving party instead of this hub (%s)", v.Hub)
	default:
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters,
			"%s on the %s interface of module %s is not broadcast, only pushes of locations, tariffs and tokens to the Receiver interface are: "+
				"address the receiving party instead of this hub (%s)", req.Method, req.Interface, req.Module, v.Hub)
	}
}

// toSelf plans a request whose TO is the requester. Field-quirks: reading
// clients write themselves into both pairs of headers; they want what anybody
// else has. A write to oneself is a mistake.
func (p *Plan) toSelf(v View, caller *parties.Entry, req *ocpi.Request) {
	switch {
	case req.Method == "GET" && isList(req) && hasList(req.Module):
		p.catalog(v, caller, req)
	case req.Method == "GET" && !isList(req) || req.IsAuthorize():
		p.open(v, caller, req)
	default:
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters,
			"headers OCPI-to-country-code and OCPI-to-party-id name the requester (%s) itself", p.From.Party)
	}
}

// catalog plans GET All. Locations and Tariffs are for everybody. What the hub
// gathers from the parties is personal data: only who would receive the module by
// its role may read what all of them have.
func (p *Plan) catalog(v View, caller *parties.Entry, req *ocpi.Request) {
	if !catalog.Keeps(req.Module) && !receivesModule(caller, p.From.Party, req.Module) {
		p.Refusal = ocpi.Errorf(ocpi.InvalidParameters,
			"%s has no role that receives %s, so there is no list of all for it: address the party that has them", p.From.Party, req.Module)
		return
	}
	p.Kind, p.To = PlanCatalog, ocpi.AddressOf(v.Hub)
}

// receivesModule tells whether the party has a role on the platform that
// typically receives the module. Who stands behind a peer hub has no role here.
func receivesModule(platform *parties.Entry, party ocpi.PartyKey, m ocpi.ModuleID) bool {
	roles := platform.Platform.PartyRoles()
	return platform.IsHub() || slices.ContainsFunc(roles, func(pr ocpi.PartyRole) bool {
		return pr.Party == party && pr.Role.Implements(m, ocpi.Receiver)
	})
}

// broadcast plans a push to all. Only a role that owns objects of the module has
// any for all (2.2.1 terminology, Typical OCPI implementations per Role; M3), and
// whom they are meant for follows from it. Nobody here knows the roles behind a
// peer hub.
func (p *Plan) broadcast(v View, caller *parties.Entry, req *ocpi.Request) {
	owner, _, _ := ownedObject(req.Path)
	for _, party := range [...]ocpi.PartyKey{p.From.Party, owner} {
		if !party.IsZero() && !caller.IsHub() && !sends(caller, party, req.Module) {
			p.Refusal = ocpi.Errorf(ocpi.InvalidParameters, "%s has no role that owns %s, so it has none to push to all", party, req.Module)
			return
		}
	}
	p.Kind, p.To = PlanBroadcast, ocpi.AddressOf(v.Hub)
}

// isList tells the URL of all of a module's objects.
func isList(req *ocpi.Request) bool {
	return req.Interface == ocpi.Sender && isRoot(req.Path)
}

func isRoot(path string) bool { return path == "" || path == "/" }

// hasList tells the modules whose Sender interface lists objects.
func hasList(m ocpi.ModuleID) bool {
	switch m {
	case ocpi.ModuleLocations, ocpi.ModuleTariffs, ocpi.ModuleSessions, ocpi.ModuleCDRs, ocpi.ModuleTokens:
		return true
	}
	return false
}

// isBroadcast tells a push of data that is meant for all (2.2.1
// transport_and_format, Broadcast Push; R4). Tariffs are among it, and their
// DELETE, or receivers would keep them for ever (R3).
func isBroadcast(req *ocpi.Request) bool {
	if req.Interface != ocpi.Receiver {
		return false
	}
	switch req.Method {
	case "PUT", "PATCH", "POST":
		return req.Module == ocpi.ModuleLocations || req.Module == ocpi.ModuleTariffs || req.Module == ocpi.ModuleTokens
	case "DELETE":
		return req.Module == ocpi.ModuleTariffs
	}
	return false
}
