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

// anyNetwork draws platforms with parties of all kinds, and who may talk to whom.
func anyNetwork(t *rapid.T) View {
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
	if rapid.Bool().Draw(t, "closed") {
		d.RequireAgreements()
		var all []parties.Agreement
		for range rapid.IntRange(0, 8).Draw(t, "agreements") {
			all = append(all, agreement(party.Draw(t, "a"), party.Draw(t, "b")))
		}
		d.ApplyAgreements(all, 2, 2)
	}
	known := lore{}
	for _, what := range []string{"location x", "tariff x", "token x rfid"} {
		known[what] = party.Draw(t, "owner").String() + " " + party.Draw(t, "owner").String()
	}
	known["session x"] = party.Draw(t, "owner").String() + ">" + party.Draw(t, "with").String()
	return View{Snapshot: d.Snapshot(), Hub: ocpi.PartyKey{'E', 'U', 'B', 'U', 'S'}, Known: known}
}

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
		v := anyNetwork(rt)
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
						checkPlan(rt, v, caller, req, plan)
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

func checkPlan(t *rapid.T, v View, caller *parties.Entry, req *ocpi.Request, plan Plan) {
	from := plan.From.Party
	legs := plan.Ask
	switch {
	case (plan.Kind == PlanRefused) != (plan.Refusal != nil):
		t.Fatalf("%s with refusal %v", plan.Kind, plan.Refusal)
	case plan.Kind == PlanBroadcast:
		legs = Receivers(v, from, caller.Platform.ID, req.Module, nil)
	case plan.Kind == PlanDirect || plan.Kind == PlanOpen && plan.Receiver != nil:
		mustBeAllowed(t, v, from, req, Leg{plan.To.Party, plan.Receiver, plan.Target})
		if plan.To.Party == from {
			t.Fatalf("%s is led to itself", from)
		}
	}
	for i, leg := range legs {
		mustBeAllowed(t, v, from, req, leg)
		if leg.Receiver == caller {
			t.Fatalf("%s is on the sender's platform", leg.Party)
		}
		if i > 0 && slices.Compare(legs[i-1].Party[:], leg.Party[:]) >= 0 {
			t.Fatalf("%s are not sorted, each once", names(legs))
		}
	}
}

func mustBeAllowed(t *rapid.T, v View, from ocpi.PartyKey, req *ocpi.Request, leg Leg) {
	switch {
	case !v.Snapshot.Permits(from, leg.Party, req.Module):
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
