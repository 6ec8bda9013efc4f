package routing

import (
	"testing"

	"busbar/ocpi"
)

func TestR2_GetsThatAreAddressedToTheHub(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{}}
	const hub = "EUBUS"
	runPlans(t, v, []planCase{
		{"all Locations", "drivers", "DEMSP", hub, "GET SENDER locations", fromCatalog()},
		{"all Locations, with a slash and filters", "drivers", "DEMSP", hub, "GET SENDER locations /?limit=10", fromCatalog()},
		{"all Tariffs", "drivers", "DEMSP", hub, "GET SENDER tariffs", fromCatalog()},
		{"all Tokens", "solo", "DECPO", hub, "GET SENDER tokens", fromCatalog()},
		{"all Sessions", "drivers", "DEMSP", hub, "GET SENDER sessions", fromCatalog()},
		{"all CDRs", "drivers", "DEMSP", hub, "GET SENDER cdrs", fromCatalog()},
		{"one Location", "drivers", "DEMSP", hub, "GET SENDER locations /L1", refused(2001, "must be for a list")},
		{"a copy at the Receivers", "solo", "DECPO", hub, "GET RECEIVER locations /DE/CPO/L1", refused(2001, "must be for a list")},
		{"the Receiver interface has no list", "solo", "DECPO", hub, "GET RECEIVER locations", refused(2001, "Sender interface")},
		{"a module without lists", "drivers", "DEMSP", hub, "GET SENDER chargingprofiles", refused(2001, "must be for a list")},
		{"a custom module", "drivers", "DEMSP", hub, "GET SENDER nltnm-x", refused(2001, "must be for a list")},
	})
}

func TestR3_R4_WhatIsBroadcast(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{}}
	const hub = "EUBUS"
	all := broadcast("ATONE", "DEMSP", "FRNAP", "NLMSP", "NLNSP", "SETWN")
	runPlans(t, v, []planCase{
		{"a Location", "solo", "DECPO", hub, "PUT RECEIVER locations /DE/CPO/L1 {}", all},
		{"an EVSE's status", "solo", "DECPO", hub, "PATCH RECEIVER locations /DE/CPO/L1/E1 {}", all},
		{"a Tariff", "solo", "DECPO", hub, "PUT RECEIVER tariffs /DE/CPO/T1 {}", all},
		{"the end of a Tariff", "solo", "DECPO", hub, "DELETE RECEIVER tariffs /DE/CPO/T1", all},
		{"a Token", "drivers", "DEMSP", hub, "PUT RECEIVER tokens /DE/MSP/0A {}", broadcast("ATONE", "DECPO", "NLCPA", "NLCPB", "SETWN")},
		{"the end of a Location, which has none", "solo", "DECPO", hub, "DELETE RECEIVER locations /DE/CPO/L1", refused(2001, "only one of a tariff")},
		{"a Session is for one", "solo", "DECPO", hub, "PUT RECEIVER sessions /DE/CPO/S1 {}", refused(2001, "only pushes of locations, tariffs and tokens")},
		{"a CDR is for one", "solo", "DECPO", hub, "POST RECEIVER cdrs {}", refused(2001, "module cdrs is not broadcast")},
		{"a command is for one", "drivers", "DEMSP", hub, "POST RECEIVER commands /START_SESSION {}", refused(2001, "module commands is not broadcast")},
		{"a write to the Sender interface", "solo", "DECPO", hub, "PUT SENDER locations /L1 {}", refused(2001, "SENDER interface")},
		{"an object of somebody else (E1)", "solo", "DECPO", hub, "PUT RECEIVER locations /NL/CPA/L1 {}", refused(2001, "NLCPA").withHTTP(404)},
	})
}

func TestM3_OnlyOwnersOfAModuleBroadcastIt(t *testing.T) {
	t.Parallel()
	d := marketplace(t)
	d.Apply(platform("else", nil, role(t, "XXOTH", ocpi.RoleOther)), 1)
	v := View{Snapshot: d.Snapshot(), Hub: party(t, "EUBUS"), Known: lore{}}
	ownsNo := func(party, module string) expectation { return refused(2001, party+" has no role that owns "+module) }
	for _, to := range []string{"EUBUS", ""} {
		runPlans(t, v, []planCase{
			{"an eMSP's Location", "drivers", "DEMSP", to, "PUT RECEIVER locations /DE/MSP/L1 {}", ownsNo("DEMSP", "locations")},
			{"an eMSP's EVSE", "drivers", "DEMSP", to, "PATCH RECEIVER locations /DE/MSP/L1/E1 {}", ownsNo("DEMSP", "locations")},
			{"the end of an eMSP's Tariff", "drivers", "DEMSP", to, "DELETE RECEIVER tariffs /DE/MSP/T1", ownsNo("DEMSP", "tariffs")},
			{"a CPO's Token", "solo", "DECPO", to, "PUT RECEIVER tokens /DE/CPO/0A {}", ownsNo("DECPO", "tokens")},
			{"an NSP's Location", "maps", "NLNSP", to, "PUT RECEIVER locations /NL/NSP/L1 {}", ownsNo("NLNSP", "locations")},
			{"a NAP's Token", "poi", "FRNAP", to, "PUT RECEIVER tokens /FR/NAP/0A {}", ownsNo("FRNAP", "tokens")},
			{"on the platform of a party's other role", "twin-msp", "SETWN", to, "PUT RECEIVER locations /SE/TWN/L1 {}", ownsNo("SETWN", "locations")},
			{"a NAP's Location", "poi", "FRNAP", to, "PUT RECEIVER locations /FR/NAP/L1 {}", broadcast("ATONE", "DEMSP", "NLMSP", "NLNSP", "SETWN", "XXOTH")},
			{"a NAP's Tariff", "poi", "FRNAP", to, "PUT RECEIVER tariffs /FR/NAP/T1 {}", broadcast("ATONE", "DEMSP", "NLMSP", "NLNSP", "SETWN", "XXOTH")},
			{"a Token of one that is CPO and eMSP", "both", "ATONE", to, "PUT RECEIVER tokens /AT/ONE/0A {}", broadcast("DECPO", "NLCPA", "NLCPB", "SETWN")},
			{"the Token of an OTHER", "else", "XXOTH", to, "PUT RECEIVER tokens /XX/OTH/0A {}",
				broadcast("ATONE", "DECPO", "NLCPA", "NLCPB", "SETWN")},
			{"the Location of an OTHER", "else", "XXOTH", to, "PUT RECEIVER locations /XX/OTH/L1 {}", ownsNo("XXOTH", "locations")},
			{"a Location behind a peer hub", "hub", "BEXXX", to, "PUT RECEIVER locations /BE/XXX/L1 {}",
				broadcast("ATONE", "DEMSP", "FRNAP", "NLMSP", "NLNSP", "SETWN", "XXOTH")},
			{"a Token behind a peer hub", "hub", "BEXXX", to, "PUT RECEIVER tokens /BE/XXX/0A {}",
				broadcast("ATONE", "DECPO", "NLCPA", "NLCPB", "SETWN")},
		})
	}
}

func TestR4_AnAuthorisationForTheHubIsOpen(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{"token 0a rfid": "DEMSP"}}
	runPlans(t, v, []planCase{
		{"of a known token", "solo", "DECPO", "EUBUS", "POST SENDER tokens /0A/authorize", open("DEMSP")},
		{"of an unknown token", "solo", "DECPO", "EUBUS", "POST SENDER tokens /0B/authorize", asks("ATONE", "DEMSP", "NLMSP", "SETWN")},
		{"with TO oneself", "solo", "DECPO", "DECPO", "POST SENDER tokens /0A/authorize", open("DEMSP")},
	})
}

// Field-quirks: OCPI-to set to the sender's own party by a reading client.
func TestR2_ToOneself(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{"location l1": "NLCPA"}}
	runPlans(t, v, []planCase{
		{"reading a list", "drivers", "DEMSP", "DEMSP", "GET SENDER locations", fromCatalog()},
		{"reading an object", "drivers", "DEMSP", "DEMSP", "GET SENDER locations /L1", open("NLCPA")},
		{"reading an object that nobody has", "drivers", "DEMSP", "DEMSP", "GET SENDER locations /L2", refused(2003, `"L2"`).withHTTP(404)},
		{"reading a list of a custom module", "drivers", "DEMSP", "DEMSP", "GET SENDER nltnm-x", refused(2001, "itself")},
		{"writing", "solo", "DECPO", "DECPO", "PUT RECEIVER locations /DE/CPO/L1 {}", refused(2001, "itself")},
	})
}
