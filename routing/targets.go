package routing

import (
	"fmt"
	"slices"
	"strings"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Leg is one receiver of a message that goes to several.
type Leg struct {
	Party    ocpi.PartyKey
	Receiver *parties.Entry
	Target   *peer.Target
}

// Exclusion is a party that gets no leg, and why.
type Exclusion struct {
	Party  ocpi.PartyKey
	Reason string
}

// receives is the table of Broadcast targets: who is meant when a party of a
// role pushes to all (2.2.1 transport_and_format, Broadcast Push; the roles that
// it does not name are decisions of protocol.md).
func receives(from, to ocpi.Role) bool {
	switch from {
	case ocpi.RoleCPO:
		switch to {
		case ocpi.RoleEMSP, ocpi.RoleNSP, ocpi.RoleOther, ocpi.RoleNAP, ocpi.RolePTP:
			return true
		}
	case ocpi.RoleNAP:
		return to == ocpi.RoleEMSP || to == ocpi.RoleNSP || to == ocpi.RoleOther
	case ocpi.RoleEMSP, ocpi.RoleOther, ocpi.RoleNSP, ocpi.RoleSCSP, ocpi.RolePTP:
		return to == ocpi.RoleCPO
	}
	return false
}

// Receivers are the parties that a push of from, on its platform, is broadcast
// to, each once, sorted (2.2.1 transport_and_format, Broadcast Push; protocol.md,
// Broadcast targets). excluded, when it is not nil, is called for every other
// party that is known.
func Receivers(v View, from ocpi.PartyKey, platform parties.PlatformID, m ocpi.ModuleID, excluded func(Exclusion)) []Leg {
	senders := senderRoles(v.Snapshot.Platform(platform), from, m)
	a := audience{
		from: from, platform: platform, module: m, side: ocpi.Receiver, excluded: excluded,
		wants: func(to ocpi.Role) bool {
			return slices.ContainsFunc(senders, func(from ocpi.Role) bool { return receives(from, to) })
		},
		misfit: "does not receive " + string(m),
	}
	return a.legs(&v)
}

// senderRoles are the roles in which a party pushes objects of the module: those
// that typically send it or, if it has none of them, all. Behind a peer hub, and
// on a platform that is gone by now, it is the role that owns such objects.
func senderRoles(platform *parties.Entry, from ocpi.PartyKey, m ocpi.ModuleID) []ocpi.Role {
	owner := ocpi.RoleCPO
	if m == ocpi.ModuleTokens {
		owner = ocpi.RoleEMSP
	}
	if platform == nil {
		return []ocpi.Role{owner}
	}
	var typical, all []ocpi.Role
	for _, pr := range platform.Platform.PartyRoles() {
		role := pr.Role
		if role == ocpi.RoleHub {
			role = owner
		}
		if pr.Party != from {
			continue
		}
		all = append(all, role)
		if role.Implements(m, ocpi.Sender) {
			typical = append(typical, role)
		}
	}
	switch {
	case len(typical) > 0:
		return typical
	case len(all) > 0:
		return all
	}
	return []ocpi.Role{owner}
}

// Issuers are the eMSPs that an authorisation of from, on its platform, is sent
// to when it is not known who issued the token, each once, sorted. excluded is as
// for Receivers.
func Issuers(v View, from ocpi.PartyKey, platform parties.PlatformID, excluded func(Exclusion)) []Leg {
	a := audience{
		from: from, platform: platform, module: ocpi.ModuleTokens, side: ocpi.Sender, excluded: excluded,
		wants:  func(r ocpi.Role) bool { return r == ocpi.RoleEMSP || r == ocpi.RoleOther },
		misfit: "does not issue tokens",
	}
	return a.legs(&v)
}

// audience says which parties a message is for.
type audience struct {
	from     ocpi.PartyKey
	platform parties.PlatformID
	module   ocpi.ModuleID
	side     ocpi.InterfaceRole
	// wants tells the roles that are meant, misfit what is wrong with others.
	wants    func(ocpi.Role) bool
	misfit   string
	excluded func(Exclusion)
}

// fault is why a party gets no leg; the later, the nearer it came.
type fault int

const (
	onOwnPlatform fault = iota
	otherRole
	unreachable
	noEndpoint
	noAgreement
	none
)

// legs goes through all parties.
func (a *audience) legs(v *View) []Leg {
	var legs []Leg
	for roll := v.Snapshot.Roll(); len(roll) > 0; {
		n := platformsOfFirst(roll)
		best, why := a.best(v, roll[:n])
		switch {
		case why == none:
			legs = append(legs, Leg{Party: best.Party, Receiver: best.Entry, Target: best.Entry.Endpoint(a.module, a.side)})
		case a.excluded != nil:
			a.excluded(Exclusion{Party: best.Party, Reason: a.reason(best, why)})
		}
		roll = roll[n:]
	}
	return legs
}

// platformsOfFirst is how many platforms the first party of the roll is on.
func platformsOfFirst(roll []parties.Member) int {
	n := 1
	for n < len(roll) && roll[n].Party == roll[0].Party {
		n++
	}
	return n
}

// best is the platform of a party that the message can go to or, if there is
// none, the one that comes nearest.
func (a *audience) best(v *View, platforms []parties.Member) (best *parties.Member, why fault) {
	why = -1
	for i := range platforms {
		if f := a.check(v, &platforms[i]); f > why {
			best, why = &platforms[i], f
		}
		if why == none {
			break
		}
	}
	return best, why
}

func (a *audience) check(v *View, m *parties.Member) fault {
	switch {
	case m.Entry.Platform.ID == a.platform:
		return onOwnPlatform
	case !slices.ContainsFunc(m.Roles, a.wants):
		return otherRole
	case !m.Entry.Reachable():
		return unreachable
	case m.Entry.Endpoint(a.module, a.side) == nil:
		return noEndpoint
	case !v.Snapshot.Permits(a.from, m.Party, a.module):
		return noAgreement
	}
	return none
}

func (a *audience) reason(m *parties.Member, why fault) string {
	switch why {
	case onOwnPlatform:
		return "on the sender's own platform"
	case otherRole:
		var roles []string
		for _, r := range m.Roles {
			roles = append(roles, string(r))
		}
		return "role " + strings.Join(roles, ", ") + " " + a.misfit
	case unreachable:
		return "its platform is " + string(m.Entry.Platform.Status)
	case noEndpoint:
		return fmt.Sprintf("no %s %s endpoint", a.module, a.side)
	}
	return "no agreement"
}
