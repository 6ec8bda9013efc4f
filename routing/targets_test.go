package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// The table of Broadcast targets: what each role pushes, and who gets it.
func TestR3_BroadcastTargets(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS")}
	const cpos = "ATONE DECPO NLCPA NLCPB SETWN"
	for _, tt := range []struct {
		why            string
		platform, from string
		module         ocpi.ModuleID
		want           string
	}{
		{"a CPO's Locations", "solo", "DECPO", "locations", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"not to other parties of its platform", "chargers", "NLCPA", "locations", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"an eMSP's Tokens", "drivers", "DEMSP", "tokens", cpos},
		{"a NAP's Locations (M3)", "poi", "FRNAP", "locations", "ATONE DEMSP NLMSP NLNSP SETWN"},
		{"an NSP has nothing for anybody but CPOs", "maps", "NLNSP", "locations", cpos},
		{"an SCSP neither", "steering", "NLSCS", "tariffs", cpos},
		{"CPO and eMSP in one: its Locations go out as a CPO's", "both", "ATONE", "locations", "DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"CPO and eMSP in one: its Tokens go out as an eMSP's", "both", "ATONE", "tokens", "DECPO NLCPA NLCPB SETWN"},
		{"CPO and eMSP on two platforms: the other one is a receiver", "twin-cpo", "SETWN", "locations", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"behind a peer hub: Locations are a CPO's (R10)", "hub", "BEXXX", "locations", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"behind a peer hub: Tokens are an eMSP's", "hub", "BEXXX", "tokens", cpos},
		{"the peer hub itself", "hub", "BEHUB", "tariffs", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"a platform that left meanwhile", "gone", "XXYYY", "locations", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
		{"Tokens of a CPO, which is unusual", "solo", "DECPO", "tokens", "ATONE DEMSP FRNAP NLMSP NLNSP SETWN"},
	} {
		got := Receivers(v, party(t, tt.from), parties.PlatformID(tt.platform), tt.module, nil)
		if diff := cmp.Diff(tt.want, names(got)); diff != "" {
			t.Errorf("%s:\n%s", tt.why, diff)
		}
		for _, leg := range got {
			if want := leg.Receiver.Endpoint(tt.module, ocpi.Receiver); leg.Target != want || want == nil {
				t.Errorf("%s: %s is sent to %v", tt.why, leg.Party, leg.Target)
			}
		}
	}
}

func TestReceiversAreOnThePlatformOfTheirRole(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS")}
	for module, want := range map[ocpi.ModuleID]string{"locations": "twin-msp", "tokens": "twin-cpo"} {
		from, on := "DECPO", "solo"
		if module == "tokens" {
			from, on = "DEMSP", "drivers"
		}
		for _, leg := range Receivers(v, party(t, from), parties.PlatformID(on), module, nil) {
			if leg.Party == party(t, "SETWN") && string(leg.Receiver.Platform.ID) != want {
				t.Errorf("%s go to %s", module, leg.Receiver.Platform.ID)
			}
		}
	}
}

func TestReceiversTellWhyOthersAreLeftOut(t *testing.T) {
	t.Parallel()
	friends := "NLCPA ATONE BEHUB DECPO DEMSP FRHLD FRNAP FROFC FROFF FRPLA FRPLC NLCPB NLDEF NLNSP NLSCS SETWN" // not NLMSP
	v := View{Snapshot: closedMarket(t, friends), Hub: party(t, "EUBUS")}
	var got []string
	exclude := func(x Exclusion) { got = append(got, x.Party.String()+": "+x.Reason) }
	legs := Receivers(v, party(t, "NLCPA"), "chargers", ocpi.ModuleLocations, exclude)
	want := []string{
		"BEHUB: role HUB does not receive locations",
		"DECPO: role CPO does not receive locations",
		"FRHLD: its platform is SUSPENDED",
		"FROFC: role CPO does not receive locations",
		"FROFF: its platform is OFFLINE",
		"FRPLA: its platform is PLANNED",
		"FRPLC: role CPO does not receive locations",
		"NLCPA: on the sender's own platform",
		"NLCPB: on the sender's own platform",
		"NLDEF: no locations RECEIVER endpoint",
		"NLMSP: no agreement",
		"NLSCS: role SCSP does not receive locations",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left out:\n%s", diff)
	}
	if diff := cmp.Diff("ATONE DEMSP FRNAP NLNSP SETWN", names(legs)); diff != "" {
		t.Errorf("receivers:\n%s", diff)
	}
	got = nil
	Issuers(v, party(t, "NLCPA"), "chargers", exclude)
	if !slices.Contains(got, "DECPO: role CPO does not issue tokens") || !slices.Contains(got, "NLDEF: no tokens SENDER endpoint") {
		t.Errorf("not asked: %v", got)
	}
}

// contracts are who may exchange what with whom, kept apart from the directory:
// what plans are held to must not be the code that they ask.
type contracts struct {
	closed bool
	signed []parties.Agreement
}

func (c contracts) permit(a, b ocpi.PartyKey, m ocpi.ModuleID) bool {
	everybody := ocpi.PartyKey{}
	return !c.closed || a == b || slices.ContainsFunc(c.signed, func(s parties.Agreement) bool {
		one, two := s.Parties[0], s.Parties[1]
		between := (one == everybody || one == a) && (two == everybody || two == b) ||
			(one == everybody || one == b) && (two == everybody || two == a)
		return between && (len(s.Modules) == 0 || slices.Contains(s.Modules, m))
	})
}

// sign draws agreements, one for a pair, some of them with every party.
func sign(t *rapid.T, party *rapid.Generator[ocpi.PartyKey]) (signed []parties.Agreement) {
	anybody := rapid.OneOf(party, party, party, rapid.Just(ocpi.PartyKey{}))
	modules := []ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTokens, ocpi.ModuleCDRs, ocpi.ModuleCommands}
	for range rapid.IntRange(0, 8).Draw(t, "agreements") {
		a := agreement(anybody.Draw(t, "a"), anybody.Draw(t, "b"))
		if rapid.Bool().Draw(t, "of some modules") {
			a.Modules = rapid.SliceOfNDistinct(rapid.SampledFrom(modules), 1, 3, rapid.ID).Draw(t, "modules")
		}
		if !slices.ContainsFunc(signed, func(s parties.Agreement) bool { return s.Parties == a.Parties }) {
			signed = append(signed, a)
		}
	}
	return signed
}

// anyNetwork draws platforms with parties of all kinds, and who may talk to whom.
func anyNetwork(t *rapid.T) (View, contracts) {
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	party := rapid.Custom(func(t *rapid.T) ocpi.PartyKey {
		key, err := ocpi.ParseParty(fmt.Sprintf("NL%d", rapid.IntRange(1, 5).Draw(t, "party")))
		if err != nil {
			t.Fatal(err)
		}
		return key
	})
	roles := []ocpi.Role{ocpi.RoleCPO, ocpi.RoleEMSP, ocpi.RoleHub, ocpi.RoleNAP, ocpi.RoleNSP, ocpi.RoleOther, ocpi.RoleSCSP, ocpi.RolePTP}
	for i := range rapid.IntRange(1, 6).Draw(t, "platforms") {
		var prs []ocpi.PartyRole
		for range rapid.IntRange(1, 3).Draw(t, "roles") {
			prs = append(prs, ocpi.PartyRole{Party: party.Draw(t, "party"), Role: rapid.SampledFrom(roles).Draw(t, "role")})
		}
		d.Apply(platform(fmt.Sprintf("p%d", i), func(p *parties.Platform) {
			p.Status = rapid.SampledFrom([]ocpi.ConnectionStatus{ocpi.Connected, ocpi.Connected, ocpi.Offline}).Draw(t, "status")
			p.Held = rapid.IntRange(0, 5).Draw(t, "held") == 0
			if rapid.IntRange(0, 5).Draw(t, "planned") == 0 {
				p.Version, p.Status = "", ocpi.Planned
			}
			if rapid.IntRange(0, 5).Draw(t, "some endpoints") == 0 {
				p.Endpoints = p.Endpoints[rapid.IntRange(0, len(p.Endpoints)).Draw(t, "from"):]
			}
		}, prs...), 1)
	}
	var rules contracts
	if rules.closed = rapid.Bool().Draw(t, "closed"); rules.closed {
		d.RequireAgreements()
		rules.signed = sign(t, party)
		d.ApplyAgreements(rules.signed, 2, 2)
	}
	known := lore{}
	for _, what := range []string{"location x", "tariff x", "token x rfid"} {
		known[what] = party.Draw(t, "owner").String() + " " + party.Draw(t, "owner").String()
	}
	known["session x"] = party.Draw(t, "owner").String() + ">" + party.Draw(t, "with").String()
	return View{Snapshot: d.Snapshot(), Hub: ocpi.PartyKey{'E', 'U', 'B', 'U', 'S'}, Known: known}, rules
}

// TestNoPlanReachesWhomItMustNot: no message goes to a party that has no agreement
// with its sender, is not there, or is on the sender's own platform; and no list
// has objects of such a party.
func TestNoPlanReachesWhomItMustNot(t *testing.T) {
	t.Parallel()
	messages := []string{
		"GET SENDER locations /X", "GET SENDER tariffs /X", "POST SENDER tokens /X/authorize", "GET SENDER locations",
		"PUT SENDER sessions /X/charging_preferences {}", `POST RECEIVER commands /STOP_SESSION {"session_id":"x"}`,
		`POST RECEIVER commands /START_SESSION {"location_id":"x"}`, "DELETE RECEIVER chargingprofiles /X",
		`POST RECEIVER cdrs {"cdr_token":{"uid":"X","type":"RFID"}}`, `POST RECEIVER cdrs {"cdr_token":{"country_code":"NL","party_id":"1"}}`,
		"PUT RECEIVER locations /%s/%s/X {}", "PATCH RECEIVER tokens /%s/%s/X {}", "DELETE RECEIVER tariffs /%s/%s/X",
		"PATCH RECEIVER sessions /%s/%s/X {}",
	}
	kinds := make(map[PlanKind]int)
	rapid.Check(t, func(rt *rapid.T) {
		v, rules := anyNetwork(rt)
		for _, caller := range v.Snapshot.Platforms() {
			for _, from := range caller.Platform.Parties() {
				for _, line := range messages {
					if strings.Contains(line, "%s") {
						line = fmt.Sprintf(line, from.CountryCode(), from.PartyID())
					}
					for _, to := range []string{"", "EUBUS", "NL1", "NL2", from.String()} {
						req := request(t, from.String(), to, line)
						plan := Decide(v, caller, req)
						kinds[plan.Kind]++
						checkPlan(rt, v, rules, caller, req, plan)
					}
				}
			}
		}
	})
	for _, kind := range []PlanKind{PlanDirect, PlanBroadcast, PlanOpen, PlanCatalog, PlanRefused} {
		if kinds[kind] == 0 {
			t.Errorf("of %v, none is %s", kinds, kind)
		}
	}
}

func checkPlan(t *rapid.T, v View, rules contracts, caller *parties.Entry, req *ocpi.Request, plan Plan) {
	from := plan.From.Party
	legs := plan.Ask
	switch {
	case (plan.Kind == PlanRefused) != (plan.Refusal != nil):
		t.Fatalf("%s with refusal %v", plan.Kind, plan.Refusal)
	case plan.Kind == PlanCatalog:
		mustBeReadable(t, v, rules, caller, req, from)
	case plan.Kind == PlanBroadcast:
		legs = Receivers(v, from, caller.Platform.ID, req.Module, nil)
	case plan.Kind == PlanDirect || plan.Kind == PlanOpen && plan.Receiver != nil:
		mustBeAllowed(t, rules, from, req, Leg{plan.To.Party, plan.Receiver, plan.Target})
		if plan.To.Party == from {
			t.Fatalf("%s is led to itself", from)
		}
	}
	for i, leg := range legs {
		mustBeAllowed(t, rules, from, req, leg)
		if leg.Receiver == caller {
			t.Fatalf("%s is on the sender's platform", leg.Party)
		}
		if i > 0 && slices.Compare(legs[i-1].Party[:], leg.Party[:]) >= 0 {
			t.Fatalf("%s are not sorted, each once", names(legs))
		}
	}
}

// mustBeReadable holds the list that a plan answers to the same rules.
func mustBeReadable(t *rapid.T, v View, rules contracts, caller *parties.Entry, req *ocpi.Request, from ocpi.PartyKey) {
	asked := *req
	asked.From = ocpi.AddressOf(from)
	for _, entry := range v.Snapshot.Platforms() {
		for _, owner := range entry.Platform.Parties() {
			e := readable(v.Snapshot, caller, &asked, owner)
			switch {
			case e == nil:
			case !rules.permit(from, owner, req.Module):
				t.Fatalf("%s reads %s of %s without an agreement", from, req.Module, owner)
			case e == caller || !e.Platform.Registered() || e.Platform.Held || !e.SpeaksFor(owner):
				t.Fatalf("%s reads %s of %s at %s", from, req.Module, owner, e.Platform.ID)
			}
		}
	}
}

func mustBeAllowed(t *rapid.T, rules contracts, from ocpi.PartyKey, req *ocpi.Request, leg Leg) {
	switch {
	case !rules.permit(from, leg.Party, req.Module):
		t.Fatalf("%s has no agreement with %s", from, leg.Party)
	case !leg.Receiver.Reachable():
		t.Fatalf("%s is not reachable", leg.Party)
	case !leg.Receiver.SpeaksFor(leg.Party):
		t.Fatalf("%s is not on %s", leg.Party, leg.Receiver.Platform.ID)
	case leg.Target == nil || leg.Target != leg.Receiver.Endpoint(req.Module, req.Interface):
		t.Fatalf("%s is called at %v", leg.Party, leg.Target)
	}
}

func BenchmarkReceivers(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n, "platforms"), func(b *testing.B) {
			d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
			var all []parties.Platform
			for i := range n {
				r := ocpi.RoleEMSP
				if i%3 == 0 {
					r = ocpi.RoleCPO
				}
				all = append(all, platform(fmt.Sprintf("p%04d", i), nil, role(b, fmt.Sprintf("NL%03X", i), r)))
			}
			d.Replace(parties.Record{Platforms: all, Revision: 1})
			v := View{Snapshot: d.Snapshot(), Hub: party(b, "EUBUS")}
			b.ReportAllocs()
			for b.Loop() {
				if len(Receivers(v, party(b, "NL000"), "p0000", ocpi.ModuleLocations, nil)) != n*2/3 {
					b.Fatal("not all")
				}
			}
		})
	}
}
