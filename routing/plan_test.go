package routing

import (
	"testing"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// The network of these tests: platforms by name, with their parties.
//
//	chargers  NL/CPA and NL/CPB, CPO
//	solo      DE/CPO, CPO
//	drivers   DE/MSP, EMSP, without a sessions endpoint
//	planned   FR/PLA, EMSP, not registered
//	held      FR/HLD, EMSP, suspended by the operator
//	hub       BE/HUB, a peer hub
func network(t testing.TB) *parties.Snapshot {
	t.Helper()
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	add := func(name string, change func(*parties.Platform), roles ...ocpi.PartyRole) {
		p := parties.Platform{ID: parties.PlatformID(name), Status: ocpi.Connected, Version: ocpi.V221, Revision: 1}
		for _, r := range roles {
			p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: r})
		}
		for _, m := range []ocpi.ModuleID{"locations", "tokens", "sessions", "nltnm-x"} {
			for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
				p.Endpoints = append(p.Endpoints, ocpi.Endpoint{Identifier: m, Role: side, URL: "https://" + name + ".test/" + string(m)})
			}
		}
		if change != nil {
			change(&p)
		}
		d.Apply(p, 1)
	}
	add("chargers", nil, role(t, "NLCPA", ocpi.RoleCPO), role(t, "NLCPB", ocpi.RoleCPO))
	add("solo", nil, role(t, "DECPO", ocpi.RoleCPO))
	add("drivers", func(p *parties.Platform) { p.Endpoints = p.Endpoints[:4] }, role(t, "DEMSP", ocpi.RoleEMSP))
	add("planned", func(p *parties.Platform) { p.Version, p.Status = "", ocpi.Planned }, role(t, "FRPLA", ocpi.RoleEMSP))
	add("held", func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended }, role(t, "FRHLD", ocpi.RoleEMSP))
	add("hub", nil, role(t, "BEHUB", ocpi.RoleHub))
	return d.Snapshot()
}

func party(t testing.TB, s string) ocpi.PartyKey {
	t.Helper()
	if s == "" {
		return ocpi.PartyKey{}
	}
	k, err := ocpi.ParseParty(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func role(t testing.TB, s string, r ocpi.Role) ocpi.PartyRole {
	return ocpi.PartyRole{Party: party(t, s), Role: r}
}

// The requests of these tests.
const (
	readTokens   = "GET SENDER tokens"
	pushLocation = "PUT RECEIVER locations /NL/CPA/L1"
	pushSession  = "PUT RECEIVER sessions /NL/CPA/S1"
)

func TestR8_APartyIsFoundByModuleAndInterface(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: network(t), Hub: party(t, "EUBUS"), Known: lore{}}
	runPlans(t, v, []planCase{
		{"to a connected party", "chargers", "NLCPA", "DEMSP", readTokens, direct("drivers")},
		{"a push of one's own object", "chargers", "NLCPA", "DEMSP", pushLocation, direct("drivers")},
		{"for another of the platform's parties", "chargers", "NLCPB", "DEMSP", pushLocation, direct("drivers")},
		{"between two parties of one platform", "chargers", "NLCPA", "NLCPB", readTokens, direct("chargers")},
		{"a custom module", "drivers", "DEMSP", "DECPO", "POST SENDER nltnm-x /a", direct("solo")},
	})
}

func TestR9_WhoAsks(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: network(t), Hub: party(t, "EUBUS"), Known: lore{}}
	runPlans(t, v, []planCase{
		{"FROM inferred", "solo", "", "DEMSP", readTokens, direct("drivers")},
		{"FROM not inferable", "chargers", "", "DEMSP", readTokens, refused(2001, "several parties")},
		{"FROM of somebody else", "solo", "NLCPA", "DEMSP", readTokens, refused(2001, "NLCPA is not a party").withHTTP(403)},
		{"FROM the hub", "solo", "EUBUS", "DEMSP", readTokens, refused(2001, "EUBUS is not a party").withHTTP(403)},
	})
}

func TestR10_PeerHubs(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: network(t), Hub: party(t, "EUBUS"), Known: lore{}}
	runPlans(t, v, []planCase{
		{"a party behind a peer hub", "hub", "BEXXX", "DEMSP", readTokens, direct("drivers")},
		{"a peer hub for a party that is connected here", "hub", "DECPO", "DEMSP", readTokens, refused(2001, "DECPO").withHTTP(403)},
		{"a peer hub as this hub", "hub", "EUBUS", "DEMSP", readTokens, refused(2001, "EUBUS").withHTTP(403)},
		{"a peer hub writes for the parties behind it", "hub", "BEXXX", "DEMSP", "PUT RECEIVER locations /BE/XXX/L1", direct("drivers")},
	})
}

func TestE1_NobodyWritesWhatAnotherOwns(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: network(t), Hub: party(t, "EUBUS"), Known: lore{}}
	runPlans(t, v, []planCase{
		{"an object of somebody else", "solo", "DECPO", "DEMSP", pushLocation, refused(2001, "NLCPA").withHTTP(404)},
		{"a URL without an owner", "solo", "DECPO", "DEMSP", "PATCH RECEIVER sessions /S1", refused(2001, "{country_code}")},
		{"reading is not writing", "solo", "DECPO", "DEMSP", "GET RECEIVER locations /NL/CPA/L1", direct("drivers")},
		{"a peer hub, of a party behind it", "hub", "BEHUB", "DECPO", "PUT RECEIVER locations /NL/XXX/L1", direct("solo")},
		{"a peer hub, of a party that is connected here", "hub", "BEHUB", "DECPO", pushLocation, refused(2001, "NLCPA").withHTTP(404)},
		{"a peer hub, for all, of a party that is connected here", "hub", "BEHUB", "EUBUS", pushLocation, refused(2001, "NLCPA").withHTTP(404)},
		{"a peer hub, of this hub", "hub", "BEHUB", "DECPO", "PUT RECEIVER tokens /EU/BUS/0A", refused(2001, "EUBUS").withHTTP(404)},
		{"a module without owners in its URL", "solo", "DECPO", "NLCPA", "POST RECEIVER nltnm-x /NL/CPA/1", direct("chargers")},
	})
}

func TestS3_S4_ReceiversThatCannotBeReached(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: network(t), Hub: party(t, "EUBUS"), Known: lore{}}
	runPlans(t, v, []planCase{
		{"to nobody", "solo", "DECPO", "XXYYY", readTokens, refused(4001, "XXYYY")},
		{"to a planned party", "solo", "DECPO", "FRPLA", readTokens, refused(4003, "PLANNED")},
		{"to a suspended party", "solo", "DECPO", "FRHLD", readTokens, refused(4003, "SUSPENDED")},
		{"to a party without the endpoint", "chargers", "NLCPA", "DEMSP", pushSession, refused(4000, "no RECEIVER endpoint for module sessions")},
	})
}

// Of a party on two platforms, the one whose role implements the interface.
func TestR8_OnePartyOnTwoPlatforms(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{"session s1": "SETWN>DEMSP"}}
	runPlans(t, v, []planCase{
		{"Locations for the eMSP", "solo", "DECPO", "SETWN", "PUT RECEIVER locations /DE/CPO/L1 {}", direct("twin-msp")},
		{"Tokens for the CPO", "drivers", "DEMSP", "SETWN", "PUT RECEIVER tokens /DE/MSP/0A {}", direct("twin-cpo")},
		{"its Locations", "drivers", "DEMSP", "SETWN", "GET SENDER locations", direct("twin-cpo")},
		{"its Tokens", "solo", "DECPO", "SETWN", "GET SENDER tokens", direct("twin-msp")},
		{"a party that is the requester elsewhere", "drivers", "DEMSP", "", "GET SENDER sessions /S1", open("SETWN")},
	})
}

// Results of commands and profiles are ordinary requests.
func TestR11_Callbacks(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{}}
	runPlans(t, v, []planCase{
		{"a CommandResult", "solo", "DECPO", "DEMSP", "POST SENDER commands /1 {}", direct("drivers")},
		{"an ActiveChargingProfile", "solo", "DECPO", "NLSCS", "PUT SENDER chargingprofiles /S1 {}", direct("steering")},
		{"for all, which they never are", "solo", "DECPO", "EUBUS", "POST SENDER commands /1 {}", refused(2001, "module commands is not broadcast")},
	})
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		`<https://x.test/l?offset=5>; rel="next"`:                                      "https://x.test/l?offset=5",
		`<https://x.test/l>; rel=next`:                                                 "https://x.test/l",
		`<https://x.test/l>;rel=NEXT`:                                                  "https://x.test/l",
		`<https://x.test/1>; rel="first", <https://x.test/2>; rel="next"`:              "https://x.test/2",
		`<https://x.test/2>; title="a, b"; rel="next", <https://x.test/9>; rel="last"`: "https://x.test/2",
		`<https://x.test/l?a=1,2;b>; rel="next"`:                                       "https://x.test/l?a=1,2;b",
		`<https://x.test/1>; rel="prev"`:                                               "",
		`https://x.test/l; rel="next"`:                                                 "",
		`<https://x.test/l`:                                                            "",
		``:                                                                             "",
	} {
		if got, _ := nextLink(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}
