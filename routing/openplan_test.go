package routing

import (
	"fmt"
	"strings"
	"testing"

	"busbar/ocpi"
)

// The open-route keys of protocol.md 3, one by one.
func TestM1_OpenRouteKeys(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{
		"location l1": "NLCPA", "tariff t1": "DECPO",
		"token 0a rfid": "DEMSP", "token app1 app_user": "NLMSP", "token a/b rfid": "DEMSP",
		"session s1":              "NLCPA>DEMSP NLCPB>NLMSP",
		"reservation r1 of demsp": "NLCPA",
		"profile s1 of nlcpa":     "NLSCS",
	}}
	runPlans(t, v, []planCase{
		{"locations: who has it", "drivers", "DEMSP", "", "GET SENDER locations /L1", open("NLCPA")},
		{"locations: a part of it, in another spelling", "drivers", "DEMSP", "", "GET SENDER locations /l1/E1/1", open("NLCPA")},
		{"locations: unknown", "drivers", "DEMSP", "", "GET SENDER locations /L2", refused(2003, `no location "L2"`).withHTTP(404)},
		{"tariffs: who has it", "drivers", "DEMSP", "", "GET SENDER tariffs /T1", open("DECPO")},
		{"tariffs: unknown", "drivers", "DEMSP", "", "GET SENDER tariffs /T2", refused(2001, `no tariff "T2"`).withHTTP(404)},

		{"authorize: who issued it", "solo", "DECPO", "", "POST SENDER tokens /0A/authorize", open("DEMSP")},
		{"authorize: by its type", "solo", "DECPO", "", "POST SENDER tokens /APP1/authorize?type=APP_USER", open("NLMSP")},
		{"authorize: a uid with an escaped slash", "solo", "DECPO", "", "POST SENDER tokens /A%2FB/authorize/", open("DEMSP")},
		{"authorize: the type is another", "solo", "DECPO", "", "POST SENDER tokens /0A/authorize?type=OTHER", asks("ATONE", "DEMSP", "NLMSP", "SETWN")},
		{"authorize: without a uid", "solo", "DECPO", "", "POST SENDER tokens /authorize", refused(2001, "token_uid is missing")},

		{"sessions: PUT names the eMSP", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"cdr_token":{"country_code":"de","party_id":"msp","uid":"?"}}`, open("DEMSP")},
		{"sessions: PUT names the token", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"cdr_token":{"uid":"0A","type":"RFID"}}`, open("DEMSP")},
		{"sessions: PUT names a token, with a type that was never pushed", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"cdr_token":{"uid":"0A","type":"OTHER"}}`, open("DEMSP")},
		{"sessions: PUT names an unknown token", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"cdr_token":{"uid":"0B"}}`, refused(2004, "does not know who issued").withHTTP(404)},
		{"sessions: PUT names an unknown eMSP", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"cdr_token":{"country_code":"XX","party_id":"YYY","uid":"0A"}}`, refused(4001, "XXYYY")},
		{"sessions: PUT without a token", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"id":"S9"}`, refused(2001, "field cdr_token")},
		{"sessions: PUT with two", "chargers", "NLCPA", "", `PUT RECEIVER sessions /NL/CPA/S9 {"cdr_token":{"uid":"0A"},"CDR_TOKEN":{"uid":"0B"}}`, refused(2001, "field cdr_token")},
		{"sessions: PUT for oneself", "both", "ATONE", "", `PUT RECEIVER sessions /AT/ONE/S9 {"cdr_token":{"country_code":"AT","party_id":"ONE","uid":"0A"}}`, refused(2001, "itself")},
		{"sessions: PATCH goes where it went", "chargers", "NLCPA", "", `PATCH RECEIVER sessions /NL/CPA/S1 {}`, open("DEMSP")},
		{"sessions: another owner's same id", "chargers", "NLCPB", "", `PATCH RECEIVER sessions /NL/CPB/S1 {}`, open("NLMSP")},
		{"sessions: GET of the copy", "chargers", "NLCPA", "", "GET RECEIVER sessions /NL/CPA/S1", open("DEMSP")},
		{"sessions: PATCH of an unknown one", "solo", "DECPO", "", `PATCH RECEIVER sessions /DE/CPO/S1 {}`, refused(4001, `session "S1"`)},
		{"sessions: preferences of one's own", "drivers", "DEMSP", "", "PUT SENDER sessions /S1/charging_preferences {}", open("NLCPA")},
		{"sessions: preferences, as some write it", "apps", "NLMSP", "", "PUT SENDER sessions /S1/preferences {}", open("NLCPB")},
		{"sessions: preferences of others", "both", "ATONE", "", "PUT SENDER sessions /S1/charging_preferences {}", refused(4001, `session "S1"`)},
		{"sessions: GET of one's own", "drivers", "DEMSP", "", "GET SENDER sessions /S1", open("NLCPA")},

		{"cdrs: POST names the eMSP", "solo", "DECPO", "", `POST RECEIVER cdrs {"cdr_token":{"country_code":"DE","party_id":"MSP","uid":"?"}}`, open("DEMSP")},
		{"cdrs: POST with an id, as some do", "solo", "DECPO", "", `POST RECEIVER cdrs /DE/CPO/C1 {"cdr_token":{"uid":"0A"}}`, open("DEMSP")},
		{"cdrs: POST of an unknown token", "solo", "DECPO", "", `POST RECEIVER cdrs {"cdr_token":{"uid":"0B"}}`, refused(2004, "cdr_token").withHTTP(404)},
		{"cdrs: GET needs the hub's URL", "solo", "DECPO", "", "GET RECEIVER cdrs /C1", refused(4001, "Location header")},

		{"commands: START_SESSION", "drivers", "DEMSP", "", `POST RECEIVER commands /START_SESSION {"location_id":"L1"}`, open("NLCPA")},
		{"commands: RESERVE_NOW", "drivers", "DEMSP", "", `POST RECEIVER commands /RESERVE_NOW {"location_id":"l1"}`, open("NLCPA")},
		{"commands: UNLOCK_CONNECTOR", "drivers", "DEMSP", "", `POST RECEIVER commands /UNLOCK_CONNECTOR/ {"location_id":"L1"}`, open("NLCPA")},
		{"commands: an unknown location", "drivers", "DEMSP", "", `POST RECEIVER commands /START_SESSION {"location_id":"L2"}`, refused(2003, `"L2"`)},
		{"commands: the token is the sender's, no key", "drivers", "DEMSP", "", `POST RECEIVER commands /START_SESSION {"token":{"uid":"APP1"}}`, refused(2001, "field location_id of START_SESSION")},
		{"commands: STOP_SESSION", "drivers", "DEMSP", "", `POST RECEIVER commands /STOP_SESSION {"session_id":"S1"}`, open("NLCPA")},
		{"commands: STOP_SESSION of another eMSP's", "both", "ATONE", "", `POST RECEIVER commands /STOP_SESSION {"session_id":"S1"}`, refused(4001, `"S1"`)},
		{"commands: CANCEL_RESERVATION", "drivers", "DEMSP", "", `POST RECEIVER commands /CANCEL_RESERVATION {"reservation_id":"R1"}`, open("NLCPA")},
		{"commands: CANCEL_RESERVATION of another eMSP's", "apps", "NLMSP", "", `POST RECEIVER commands /CANCEL_RESERVATION {"reservation_id":"R1"}`, refused(4001, `reservation "R1"`)},
		{"commands: an unknown command", "drivers", "DEMSP", "", `POST RECEIVER commands /DANCE {"location_id":"L1"}`, refused(4001, "are needed")},

		{"chargingprofiles: PUT for one's session", "drivers", "DEMSP", "", `PUT RECEIVER chargingprofiles /S1 {}`, open("NLCPA")},
		{"chargingprofiles: GET for one's session", "apps", "NLMSP", "", "GET RECEIVER chargingprofiles /S1?duration=9", open("NLCPB")},
		{"chargingprofiles: an SCSP, and two have the session", "steering", "NLSCS", "", "DELETE RECEIVER chargingprofiles /S1", refused(2001, `session "S1" is known of NLCPA and NLCPB; address one with OCPI-to headers`)},
		{"chargingprofiles: an update for whom it was set", "chargers", "NLCPA", "", `PUT SENDER chargingprofiles /S1 {}`, open("NLSCS")},
		{"chargingprofiles: an update that nobody wants", "chargers", "NLCPB", "", `PUT SENDER chargingprofiles /S1 {}`, refused(4001, "charging profile")},
	})
}

func TestM1_OpenPushesWithoutAReceiverAreBroadcast(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{"location l1": "NLCPA"}}
	all := broadcast("ATONE", "DEMSP", "FRNAP", "NLMSP", "NLNSP", "SETWN")
	runPlans(t, v, []planCase{
		{"a Location", "solo", "DECPO", "", "PUT RECEIVER locations /DE/CPO/L1 {}", all},
		{"an EVSE's status", "solo", "DECPO", "", "PATCH RECEIVER locations /DE/CPO/L1/E1 {}", all},
		{"the end of a Tariff", "solo", "DECPO", "", "DELETE RECEIVER tariffs /DE/CPO/T1", all},
		{"a Token", "drivers", "DEMSP", "", "PATCH RECEIVER tokens /DE/MSP/0A {}", broadcast("ATONE", "DECPO", "NLCPA", "NLCPB", "SETWN")},
		{"a list is never meant", "drivers", "DEMSP", "", "GET SENDER locations /", refused(2001, "never means a list")},
		{"the end of a Location", "solo", "DECPO", "", "DELETE RECEIVER locations /DE/CPO/L1", refused(4001, "are needed")},
		{"whose copy of a Location?", "solo", "DECPO", "", "GET RECEIVER locations /DE/CPO/L1", refused(4001, "are needed")},
		{"whose copy of a Token?", "drivers", "DEMSP", "", "GET RECEIVER tokens /DE/MSP/0A", refused(4001, "are needed")},
		{"a custom module", "drivers", "DEMSP", "", "POST RECEIVER nltnm-x /1 {}", refused(4001, "module nltnm-x")},
		{"a result without its URL", "solo", "DECPO", "", "POST SENDER commands /1 {}", refused(4001, "are needed")},
	})
}

func TestM1_AmbiguityIsNeverGuessed(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{
		"location two": "DECPO NLCPA", "location self": "ATONE DECPO", "location planned": "DECPO FRPLC", "location gone": "DECPO XXYYY",
		"location offline": "FROFC", "location offline-too": "DECPO FROFC", "location unregistered": "FRPLC",
		"location claimed": "NLMSP NLCPA NLSCS", "location claims": "NLMSP NLSCS", "location national": "FRNAP NLCPA",
		"token claimed rfid": "DEMSP NLCPA", "token two rfid": "DEMSP NLMSP", "token off rfid": "FROFF", "token deaf rfid": "NLDEF",
	}}
	runPlans(t, v, []planCase{
		{"two owners", "drivers", "DEMSP", "", "GET SENDER locations /TWO", refused(2001, `location "TWO" is known of DECPO and NLCPA`)},
		{"two issuers", "solo", "DECPO", "", "POST SENDER tokens /TWO/authorize", refused(2001, "known of DEMSP and NLMSP")},
		{"those who own no Locations do not count beside one who does", "drivers", "DEMSP", "", "GET SENDER locations /CLAIMED", open("NLCPA")},
		{"nor for a command", "drivers", "DEMSP", "", `POST RECEIVER commands /START_SESSION {"location_id":"CLAIMED"}`, open("NLCPA")},
		{"nobody in the role", "drivers", "DEMSP", "", "GET SENDER locations /CLAIMS", refused(2001, "known of NLMSP and NLSCS")},
		{"a NAP has Locations", "drivers", "DEMSP", "", "GET SENDER locations /NATIONAL", refused(2001, "known of FRNAP and NLCPA")},
		{"a NAP takes no commands", "drivers", "DEMSP", "", `POST RECEIVER commands /START_SESSION {"location_id":"NATIONAL"}`, open("NLCPA")},
		{"a CPO issues no tokens", "solo", "DECPO", "", "POST SENDER tokens /CLAIMED/authorize", open("DEMSP")},
		{"oneself does not count", "both", "ATONE", "", "GET SENDER locations /SELF", open("DECPO")},
		{"a planned party does not count", "drivers", "DEMSP", "", "GET SENDER locations /PLANNED", open("DECPO")},
		{"a party that left does not count", "drivers", "DEMSP", "", "GET SENDER locations /GONE", open("DECPO")},
		{"an OFFLINE owner counts", "drivers", "DEMSP", "", "GET SENDER locations /OFFLINE-TOO", refused(2001, "DECPO and FROFC")},
		{"the only owner is OFFLINE", "drivers", "DEMSP", "", "GET SENDER locations /OFFLINE", refused(4003, "OFFLINE")},
		{"the only owner is not registered", "drivers", "DEMSP", "", "GET SENDER locations /UNREGISTERED", refused(2003, "no location").withHTTP(404)},
		{"the issuer is OFFLINE", "solo", "DECPO", "", "POST SENDER tokens /OFF/authorize", refused(4003, "OFFLINE")},
		{"the issuer authorises nobody", "solo", "DECPO", "", "POST SENDER tokens /DEAF/authorize", asks("ATONE", "DEMSP", "NLMSP", "SETWN")},
	})
}

func TestAgreementsDecideWhoIsLedWhere(t *testing.T) {
	t.Parallel()
	v := View{
		Snapshot: closedMarket(t, "DECPO DEMSP"), Hub: party(t, "EUBUS"),
		Known: lore{"location two": "DECPO NLCPA", "location one": "NLCPA", "token 0a rfid": "NLMSP"},
	}
	runPlans(t, v, []planCase{
		{"permitted", "drivers", "DEMSP", "DECPO", "GET SENDER locations", direct("solo")},
		{"not permitted", "drivers", "DEMSP", "NLCPA", "GET SENDER locations", refused(4001, "no agreement lets DEMSP exchange module locations with NLCPA")},
		{"nobody has no agreement either", "drivers", "DEMSP", "XXYYY", "GET SENDER locations", refused(4001, "no party XXYYY")},
		{"OFFLINE is not told to strangers", "solo", "DECPO", "FROFF", "PUT RECEIVER locations /DE/CPO/L1 {}", refused(4001, "no agreement")},
		{"the only one that is permitted", "drivers", "DEMSP", "", "GET SENDER locations /TWO", open("DECPO")},
		{"what a stranger has is not there", "drivers", "DEMSP", "", "GET SENDER locations /ONE", refused(2003, "no location").withHTTP(404)},
		{"only those are asked", "solo", "DECPO", "", "POST SENDER tokens /0A/authorize", asks("DEMSP")},
		{"there is nobody to ask", "chargers", "NLCPA", "", "POST SENDER tokens /0A/authorize", refused(2004, "none to ask").withHTTP(404)},
		{"only those receive", "solo", "DECPO", "EUBUS", "PUT RECEIVER locations /DE/CPO/L1 {}", broadcast("DEMSP")},
		{"nobody receives, which is no error", "chargers", "NLCPA", "EUBUS", "PUT RECEIVER locations /NL/CPA/L1 {}", broadcast()},
	})
}

func TestFromIndexTellsPlansThatDependOnIt(t *testing.T) {
	t.Parallel()
	v := View{Snapshot: market(t), Hub: party(t, "EUBUS"), Known: lore{"location l1": "DECPO"}}
	for line, want := range map[string]bool{
		"DEMSP DECPO GET SENDER locations /L1":                            false,
		"DEMSP EUBUS GET SENDER locations":                                false,
		"DEMSP - GET SENDER locations /L1":                                true,
		"DEMSP - GET SENDER locations /L2":                                true,
		"DEMSP - GET SENDER nltnm-x /L2":                                  false,
		"NLCPA - GET SENDER locations /L2":                                false, // not that platform's
		"DEMSP - PATCH RECEIVER tokens /DE/MSP/0A {}":                     false,
		`DEMSP - POST RECEIVER commands /START_SESSION {}`:                false,
		`DEMSP - POST RECEIVER commands /STOP_SESSION {"session_id":"S"}`: true,
	} {
		words := strings.SplitN(line, " ", 3)
		req := request(t, words[0], strings.Trim(words[1], "-"), words[2])
		if got := Decide(v, v.Snapshot.Platform("drivers"), req); got.FromIndex != want {
			t.Errorf("%s: asks the index: %v", line, got.FromIndex)
		}
	}
}

func TestListedNamesFewParties(t *testing.T) {
	t.Parallel()
	var many []ocpi.PartyKey
	for i := range 12 {
		many = append(many, party(t, fmt.Sprintf("NL%d", 100+i)))
	}
	for n, want := range map[int]string{
		2: "NL100 and NL101", 3: "NL100, NL101 and NL102",
		12: "NL100, NL101, NL102, NL103, NL104, NL105, NL106, NL107 and 4 more",
	} {
		if got := listed(many[:n]); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
