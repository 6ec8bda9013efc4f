package routing

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// market is a network in which everything is exchanged: platforms by name, with
// their parties.
//
//	chargers  NL/CPA and NL/CPB, CPO
//	solo      DE/CPO, CPO
//	drivers   DE/MSP, EMSP
//	apps      NL/MSP, EMSP
//	maps      NL/NSP, NSP
//	steering  NL/SCS, SCSP
//	poi       FR/NAP, NAP
//	both      AT/ONE, CPO and EMSP
//	twin-cpo, twin-msp  SE/TWN, CPO on the one and EMSP on the other
//	deaf      NL/DEF, EMSP, which serves no OCPI module but commands
//	offline   FR/OFF, EMSP, and FR/OFC, CPO, not connected now
//	planned   FR/PLA, EMSP, and FR/PLC, CPO, not registered
//	held      FR/HLD, EMSP, suspended by the operator
//	hub       BE/HUB, a peer hub
func market(t testing.TB) *parties.Snapshot {
	t.Helper()
	return marketplace(t).Snapshot()
}

// closedMarket is the market with closed agreements: the parties of each line,
// "DEMSP NLCPA NLCPB", have one each with the first of them.
func closedMarket(t testing.TB, lines ...string) *parties.Snapshot {
	t.Helper()
	d := marketplace(t)
	d.RequireAgreements()
	var all []parties.Agreement
	for _, line := range lines {
		names := strings.Fields(line)
		for _, other := range names[1:] {
			all = append(all, agreement(party(t, names[0]), party(t, other)))
		}
	}
	d.ApplyAgreements(all, 2, 2)
	return d.Snapshot()
}

// agreement lets two parties exchange everything.
func agreement(a, b ocpi.PartyKey) parties.Agreement {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return parties.Agreement{Parties: [2]ocpi.PartyKey{a, b}}
}

func marketplace(t testing.TB) *parties.Directory {
	t.Helper()
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	add := func(name string, change func(*parties.Platform), roles ...ocpi.PartyRole) {
		d.Apply(platform(name, change, roles...), 1)
	}
	add("chargers", nil, role(t, "NLCPA", ocpi.RoleCPO), role(t, "NLCPB", ocpi.RoleCPO))
	add("solo", nil, role(t, "DECPO", ocpi.RoleCPO))
	add("drivers", nil, role(t, "DEMSP", ocpi.RoleEMSP))
	add("apps", nil, role(t, "NLMSP", ocpi.RoleEMSP))
	add("maps", nil, role(t, "NLNSP", ocpi.RoleNSP))
	add("steering", nil, role(t, "NLSCS", ocpi.RoleSCSP))
	add("poi", nil, role(t, "FRNAP", ocpi.RoleNAP))
	add("both", nil, role(t, "ATONE", ocpi.RoleCPO), role(t, "ATONE", ocpi.RoleEMSP))
	add("twin-cpo", nil, role(t, "SETWN", ocpi.RoleCPO))
	add("twin-msp", nil, role(t, "SETWN", ocpi.RoleEMSP))
	add("deaf", func(p *parties.Platform) {
		p.Endpoints = slices.DeleteFunc(p.Endpoints, func(e ocpi.Endpoint) bool { return e.Identifier != ocpi.ModuleCommands })
	}, role(t, "NLDEF", ocpi.RoleEMSP))
	add("offline", func(p *parties.Platform) { p.Status = ocpi.Offline }, role(t, "FROFF", ocpi.RoleEMSP), role(t, "FROFC", ocpi.RoleCPO))
	add("planned", func(p *parties.Platform) { p.Version, p.Status = "", ocpi.Planned }, role(t, "FRPLA", ocpi.RoleEMSP), role(t, "FRPLC", ocpi.RoleCPO))
	add("held", func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended }, role(t, "FRHLD", ocpi.RoleEMSP))
	add("hub", nil, role(t, "BEHUB", ocpi.RoleHub))
	return d
}

// platform serves both interfaces of every module.
func platform(name string, change func(*parties.Platform), roles ...ocpi.PartyRole) parties.Platform {
	p := parties.Platform{ID: parties.PlatformID(name), Status: ocpi.Connected, Version: ocpi.V221, Revision: 1}
	for _, r := range roles {
		p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: r})
	}
	for _, m := range ocpi.FunctionalModules {
		for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
			p.Endpoints = append(p.Endpoints, ocpi.Endpoint{
				Identifier: m, Role: side, URL: "https://" + name + ".test/" + strings.ToLower(string(side)) + "/" + string(m),
			})
		}
	}
	if change != nil {
		change(&p)
	}
	return p
}

// request reads "PUT RECEIVER sessions /NL/CPA/S1?a=b {…}"; the path may be
// left out.
func request(t testing.TB, from, to, line string) *ocpi.Request {
	t.Helper()
	head, body, hasBody := strings.Cut(line, "{")
	words := append(strings.Fields(head), "")
	req := &ocpi.Request{
		Method: words[0], Interface: ocpi.InterfaceRole(words[1]), Module: ocpi.ModuleID(words[2]), Version: ocpi.V221,
		CorrelationID: "c-1", RequestID: "r-1",
	}
	req.Path, req.Query, _ = strings.Cut(words[3], "?")
	if hasBody {
		req.Body = []byte("{" + body)
	}
	for party, into := range map[ocpi.PartyKey]*ocpi.Address{party(t, from): &req.From, party(t, to): &req.To} {
		if !party.IsZero() {
			*into = ocpi.AddressOf(party)
		}
	}
	if from == to && from != "" {
		req.From, req.To = ocpi.AddressOf(party(t, from)), ocpi.AddressOf(party(t, from))
	}
	return req
}

// lore is what is known, by sentences like "location L1": "NLCPA DECPO". A
// session's are pairs: "NLCPA>DEMSP".
type lore map[string]string

func (l lore) parties(format string, args ...any) []ocpi.PartyKey {
	var found []ocpi.PartyKey
	for _, word := range strings.Fields(l[strings.ToLower(fmt.Sprintf(format, args...))]) {
		key, err := ocpi.ParseParty(word)
		if err != nil {
			panic(err)
		}
		found = append(found, key)
	}
	return found
}
func (l lore) Location(id string) []ocpi.PartyKey { return l.parties("location %s", id) }
func (l lore) Tariff(id string) []ocpi.PartyKey   { return l.parties("tariff %s", id) }
func (l lore) Token(uid, tokenType string) []ocpi.PartyKey {
	return l.parties("token %s %s", uid, tokenType)
}
func (l lore) Session(id string) []Pair {
	var pairs []Pair
	for _, word := range strings.Fields(l["session "+strings.ToLower(id)]) {
		owner, with, _ := strings.Cut(word, ">")
		pairs = append(pairs, Pair{lore{"x": owner}.parties("x")[0], lore{"x": with}.parties("x")[0]})
	}
	return pairs
}
func (l lore) Reservation(from ocpi.PartyKey, id string) []ocpi.PartyKey {
	return l.parties("reservation %s of %s", id, from)
}
func (l lore) Profile(cpo ocpi.PartyKey, id string) []ocpi.PartyKey {
	return l.parties("profile %s of %s", id, cpo)
}

// expectation is a plan as a domain expert says it.
type expectation struct {
	kind PlanKind
	// whom is the platform of a direct plan, the party of an open one, and the
	// parties of a broadcast or of those that are asked.
	whom   string
	status ocpi.StatusCode
	http   int
	says   string
}

func direct(platform string) expectation { return expectation{kind: PlanDirect, whom: platform} }
func open(party string) expectation      { return expectation{kind: PlanOpen, whom: party} }
func fromCatalog() expectation           { return expectation{kind: PlanCatalog} }
func broadcast(to ...string) expectation {
	return expectation{kind: PlanBroadcast, whom: strings.Join(to, " ")}
}
func asks(parties ...string) expectation {
	return expectation{kind: PlanOpen, whom: "asks " + strings.Join(parties, " ")}
}
func refused(status ocpi.StatusCode, says string) expectation {
	return expectation{kind: PlanRefused, status: status, says: says}
}
func (e expectation) withHTTP(status int) expectation { e.http = status; return e }

func (e expectation) check(t *testing.T, v View, caller string, got Plan, req *ocpi.Request) {
	t.Helper()
	if got.Kind != e.kind {
		t.Fatalf("got %s to %s (%v), want %s", got.Kind, got.To.Party, got.Refusal, e.kind)
	}
	if e.kind == PlanRefused {
		if got.Refusal.Status != e.status || got.Refusal.HTTP != e.http || !strings.Contains(got.Refusal.Message, e.says) {
			t.Errorf("got HTTP %d, %v; want HTTP %d, %d: …%s…", got.Refusal.HTTP, got.Refusal, e.http, e.status, e.says)
		}
		return
	}
	if diff := cmp.Diff(e.whom, whom(v, caller, got, req)); diff != "" {
		t.Errorf("receivers:\n%s", diff)
	}
	if got.From.IsZero() {
		t.Error("the plan does not say who asks")
	}
}

func whom(v View, caller string, p Plan, req *ocpi.Request) string {
	switch {
	case p.Kind == PlanBroadcast:
		return names(Receivers(v, p.From.Party, parties.PlatformID(caller), req.Module, nil))
	case p.Kind == PlanCatalog:
		return ""
	case p.Receiver == nil:
		return "asks " + names(p.Ask)
	case p.Kind == PlanDirect:
		return string(p.Receiver.Platform.ID)
	}
	return p.To.Party.String()
}

func names(legs []Leg) string {
	var names []string
	for _, leg := range legs {
		names = append(names, leg.Party.String())
	}
	return strings.Join(names, " ")
}

// planCase is one line of a table: who sends what, and what the hub does.
type planCase struct {
	name             string
	caller, from, to string
	request          string
	want             expectation
}

func runPlans(t *testing.T, v View, cases []planCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := request(t, test.from, test.to, test.request)
			plan := Decide(v, v.Snapshot.Platform(parties.PlatformID(test.caller)), req)
			test.want.check(t, v, test.caller, plan, req)
		})
	}
}
