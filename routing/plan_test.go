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

func TestDecide(t *testing.T) {
	t.Parallel()
	const (
		pull  = "GET SENDER tokens"
		push  = "PUT RECEIVER locations /NL/CPA/L1"
		write = "PUT RECEIVER sessions /NL/CPA/S1"
	)
	for _, test := range []struct {
		item, name       string
		caller, from, to string
		request          string
		want             expectation
	}{
		{"R8", "to a connected party", "chargers", "NLCPA", "DEMSP", pull, direct("drivers")},
		{"R8", "a push of one's own object", "chargers", "NLCPA", "DEMSP", push, direct("drivers")},
		{"R8", "for another of the platform's parties", "chargers", "NLCPB", "DEMSP", push, direct("drivers")},
		{"R8", "between two parties of one platform", "chargers", "NLCPA", "NLCPB", pull, direct("chargers")},
		{"R8", "a custom module", "drivers", "DEMSP", "DECPO", "POST SENDER nltnm-x /a", direct("solo")},
		{"R9", "FROM inferred", "solo", "", "DEMSP", pull, direct("drivers")},
		{"R9", "FROM not inferable", "chargers", "", "DEMSP", pull, refused(2001, "several parties")},
		{"R9", "FROM of somebody else", "solo", "NLCPA", "DEMSP", pull, refused(2001, "NLCPA is not a party").withHTTP(403)},
		{"R9", "FROM the hub", "solo", "EUBUS", "DEMSP", pull, refused(2001, "EUBUS is not a party").withHTTP(403)},
		{"R10", "a party behind a peer hub", "hub", "BEXXX", "DEMSP", pull, direct("drivers")},
		{"R10", "a peer hub for a party that is connected here", "hub", "DECPO", "DEMSP", pull, refused(2001, "DECPO").withHTTP(403)},
		{"R10", "a peer hub as this hub", "hub", "EUBUS", "DEMSP", pull, refused(2001, "EUBUS").withHTTP(403)},
		{"R10", "a peer hub writes for the parties behind it", "hub", "BEXXX", "DEMSP", "PUT RECEIVER locations /BE/XXX/L1", direct("drivers")},
		{"E1", "an object of somebody else", "solo", "DECPO", "DEMSP", push, refused(2001, "NLCPA").withHTTP(404)},
		{"E1", "a URL without an owner", "solo", "DECPO", "DEMSP", "PATCH RECEIVER sessions /S1", refused(2001, "{country_code}")},
		{"E1", "reading is not writing", "solo", "DECPO", "DEMSP", "GET RECEIVER locations /NL/CPA/L1", direct("drivers")},
		{"E1", "a module without owners in its URL", "solo", "DECPO", "NLCPA", "POST RECEIVER nltnm-x /NL/CPA/1", direct("chargers")},
		{"S3", "to nobody", "solo", "DECPO", "XXYYY", pull, refused(4001, "XXYYY")},
		{"S4", "to a planned party", "solo", "DECPO", "FRPLA", pull, refused(4003, "PLANNED")},
		{"S4", "to a suspended party", "solo", "DECPO", "FRHLD", pull, refused(4003, "SUSPENDED")},
		{"S4", "to a party without the endpoint", "chargers", "NLCPA", "DEMSP", write, refused(4000, "no RECEIVER endpoint for module sessions")},
		{"R1", "TO absent", "solo", "DECPO", "", pull, refused(2001, "OCPI-to")},
		{"R2", "TO oneself, a write", "chargers", "NLCPA", "NLCPA", push, refused(2001, "itself")},
	} {
		t.Run(test.item+" "+test.name, func(t *testing.T) {
			t.Parallel()
			s := network(t)
			v := View{Snapshot: s, Hub: party(t, "EUBUS"), Known: lore{}}
			req := request(t, test.from, test.to, test.request)
			test.want.check(t, v, test.caller, Decide(v, s.Platform(parties.PlatformID(test.caller)), req), req)
		})
	}
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
