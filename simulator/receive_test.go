package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// TestP1_PullWalksAllPages of a CPO through the hub.
func TestP1_PullWalksAllPages(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	want := c.locations.size()
	if got, err := e.PullLocations(t.Context(), c.Key, time.Time{}); err != nil || got != want || want <= 5 {
		t.Fatalf("%d of %d Locations, %v", got, want, err)
	}
	if pages := e.p.Stats().Sent; pages < int64(want/5) {
		t.Errorf("%d requests for %d Locations in pages of 5", pages, want)
	}
	now := time.Now()
	c.setStatus(c.Spots()[0], statusCharging)
	if got, err := e.PullLocations(t.Context(), c.Key, now); err != nil || got != 1 {
		t.Errorf("%d Locations since then, want 1 (%v)", got, err)
	}
	doc, _ := e.Location(c.Key, c.Spots()[0].Location)
	if !strings.Contains(string(doc), `"status":"CHARGING"`) {
		t.Errorf("%s", doc)
	}
}

// TestTokenListIsPaged on the eMSP's side too.
func TestTokenListIsPaged(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	count, pages := 0, 0
	err := c.p.Pages(t.Context(), ocpi.Request{
		Module: ocpi.ModuleTokens, Interface: ocpi.Sender, From: ocpi.AddressOf(c.Key), To: ocpi.AddressOf(e.Key),
	}, func(tokens []json.RawMessage) error {
		pages++
		count += len(tokens)
		for _, token := range tokens {
			satisfies(t, "Token", token, tokenRules)
		}
		return nil
	})
	if err != nil || count != len(e.Tokens()) || pages != 6 {
		t.Errorf("%d tokens on %d pages, %v", count, pages, err)
	}
}

// TestStatusPatchFallsBackToPut when the eMSP lacks the Location.
func TestStatusPatchFallsBackToPut(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	spot := c.Spots()[0]
	if err := c.PushStatus(t.Context(), e.Key, spot); err != nil {
		t.Fatal(err)
	}
	doc, ok := e.Location(c.Key, spot.Location)
	if !ok {
		t.Fatal("the Location was not PUT")
	}
	satisfies(t, "Location", doc, locationRules)
	c.SetFault(spot, true)
	if err := c.PushStatus(t.Context(), e.Key, spot); err != nil {
		t.Fatal(err)
	}
	doc, _ = e.Location(c.Key, spot.Location)
	own, _ := c.locations.get(fold(spot.Location))
	if string(doc) != string(own.body) || !strings.Contains(string(doc), "OUTOFORDER") {
		t.Errorf("the eMSP has %s\nthe CPO has %s", doc, own.body)
	}
	if err := c.PushTariffs(t.Context(), e.Key); err != nil || e.tariffs.size() != 2 {
		t.Errorf("%d tariffs, %v", e.tariffs.size(), err)
	}
	if err := c.CheckLocation(t.Context(), e.Key, spot.Location); err != nil {
		t.Error(err)
	}
	card := cardOf(e, RFID, "")
	if err := e.PushToken(t.Context(), c.Key, card.UID, RFID); err != nil {
		t.Fatal(err)
	}
	if token, _ := c.Token(e.Key, card.UID, RFID); string(token) != string(encode(card)) {
		t.Errorf("the CPO has %s", token)
	}
}

// step is one request to a Receiver and what it answers: "http ocpi".
type step struct{ method, path, body, want string }

func TestReceivers(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	location := `{"country_code":"NL","party_id":"KVL","id":"L1","x":1,"evses":[{"uid":"E1","status":"AVAILABLE","connectors":[{"id":"1"}],"last_updated":"2026-01-01T00:00:00Z"}],"last_updated":"2026-01-01T00:00:00Z"}`
	session := `{"country_code":"NL","party_id":"KVL","id":"S1","kwh":1,"charging_periods":[{"n":1}],"last_updated":"2026-01-01T00:00:00Z"}`
	tests := []struct {
		module ocpi.ModuleID
		side   ocpi.InterfaceRole
		steps  []step
	}{
		{ocpi.ModuleLocations, ocpi.Receiver, []step{
			{"GET", "/NL/KVL/L1", "", "404 2003"},
			{"PATCH", "/NL/KVL/L1", `{"name":"n","last_updated":"2026-01-02T00:00:00Z"}`, "404 2003"},
			{"PUT", "/NL/KVL/L1", location, "200 1000"},
			{"PUT", "/NL/KVL/L2", location, "200 2001"},
			{"PUT", "/NL/XXX/L1", location, "200 2001"},
			{"PUT", "/NL/KVL/L1", `{"country_code":"NL","party_id":"KVL","id":"L1"}`, "200 2001"},
			{"PUT", "/NL/KVL/L1", `{`, "400 2000"},
			{"PUT", "/NL/KVL", location, "200 2001"},
			{"GET", "/nl/kvl/l1", "", "200 1000"},
			{"PATCH", "/NL/KVL/L1/E1", `{"status":"CHARGING"}`, "200 2001"}, // no last_updated
			{"PATCH", "/NL/KVL/L1/E1", `{"status":"CHARGING","last_updated":"2026-01-03T00:00:00Z"}`, "200 1000"},
			{"PATCH", "/NL/KVL/L1/E9", `{"status":"CHARGING","last_updated":"2026-01-03T00:00:00Z"}`, "404 2003"},
			{"PUT", "/NL/KVL/L1/E2", `{"uid":"E2","connectors":[],"last_updated":"2026-01-04T00:00:00Z"}`, "200 1000"},
			{"PUT", "/NL/KVL/L1/E2/1", `{"id":"1","last_updated":"2026-01-05T00:00:00Z"}`, "200 1000"},
			{"PUT", "/NL/KVL/L1/E3/1", `{"id":"1","last_updated":"2026-01-05T00:00:00Z"}`, "404 2003"},
			{"GET", "/NL/KVL/L1/E2/1", "", "200 1000"},
			{"GET", "/NL/KVL/L1/E2/9", "", "404 2003"},
			{"DELETE", "/NL/KVL/L1", "", "405 2000"},
		}},
		{ocpi.ModuleSessions, ocpi.Receiver, []step{
			{"PUT", "/NL/KVL/S1", session, "200 1000"},
			{"PATCH", "/NL/KVL/S1", `{"kwh":2,"charging_periods":[{"n":2}],"last_updated":"2026-01-02T00:00:00Z"}`, "200 1000"},
			{"PATCH", "/NL/KVL/S1", `{"kwh":3,"last_updated":"2026-01-03T00:00:00Z"}`, "200 1000"},
			{"PATCH", "/NL/KVL/S9", `{"kwh":3,"last_updated":"2026-01-03T00:00:00Z"}`, "404 2000"},
		}},
		{ocpi.ModuleTariffs, ocpi.Receiver, []step{
			{"PUT", "/NL/KVL/T1", `{"country_code":"NL","party_id":"KVL","id":"T1","last_updated":"2026-01-01T00:00:00Z"}`, "200 1000"},
			{"DELETE", "/NL/KVL/T1", "", "200 1000"},
			{"DELETE", "/NL/KVL/T1", "", "404 2000"},
			{"PATCH", "/NL/KVL/T1", `{}`, "405 2000"},
		}},
		{ocpi.ModuleCDRs, ocpi.Receiver, []step{
			{"POST", "", `{"country_code":"NL","party_id":"KVL","id":"C1"}`, "200 1000"},
			{"POST", "", `{"country_code":"NL","party_id":"KVL","id":"C1"}`, "200 2001"},
			{"POST", "", `{"id":"C1"}`, "200 2001"},
			{"GET", "/NL/KVL/C1", "", "200 1000"},
			{"GET", "/NL/KVL/C2", "", "404 2000"},
			{"PUT", "/NL/KVL/C1", `{}`, "405 2000"},
		}},
		{ocpi.ModuleCommands, ocpi.Sender, []step{
			{"POST", "/START_SESSION/nobody", `{"result":"ACCEPTED"}`, "404 2000"},
			{"POST", "/START_SESSION/nobody", `{}`, "200 2001"},
		}},
	}
	for _, test := range tests {
		for _, s := range test.steps {
			send(t, c.p, e.Key, c.Key, test.module, test.side, s)
		}
	}
	want := strings.NewReplacer(`"AVAILABLE"`, `"CHARGING"`, `"last_updated":"2026-01-01T00:00:00Z"}]`,
		`"last_updated":"2026-01-03T00:00:00Z"},{"uid":"E2","connectors":[{"id":"1","last_updated":"2026-01-05T00:00:00Z"}],"last_updated":"2026-01-05T00:00:00Z"}]`,
		`"last_updated":"2026-01-01T00:00:00Z"}`, `"last_updated":"2026-01-05T00:00:00Z"}`).Replace(location)
	if doc, _ := e.Location(c.Key, "L1"); string(doc) != want {
		t.Errorf("Location\n got %s\nwant %s", doc, want)
	}
	if doc, _ := e.Session(c.Key, "S1"); !strings.Contains(string(doc), `"kwh":3,"charging_periods":[{"n":1},{"n":2}]`) {
		t.Errorf("Session %s", doc)
	}
	if _, ok := e.CDR(c.Key, "C1"); !ok {
		t.Error("no CDR")
	}
}

func send(t *testing.T, p *Platform, to, from ocpi.PartyKey, module ocpi.ModuleID, side ocpi.InterfaceRole, s step) {
	t.Helper()
	got, err := p.Do(t.Context(), ocpi.Request{
		Method: s.method, Module: module, Interface: side, Path: s.path, Body: []byte(s.body), From: ocpi.AddressOf(from), To: ocpi.AddressOf(to),
	})
	if err != nil {
		t.Errorf("%s %s: %v", s.method, s.path, err)
		return
	}
	if answered := strings.TrimSpace(httpAndOCPI(got)); answered != s.want {
		t.Errorf("%s %s%s: %s %q, want %s", s.method, module, s.path, answered, got.Message, s.want)
	}
}

func httpAndOCPI(a Answer) string {
	return string(encode(a.HTTP)) + " " + string(encode(a.Status))
}

// TestSenderAnswersObjects at all three levels of a Location.
func TestSenderAnswersObjects(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	s := c.Spots()[0]
	for _, step := range []step{
		{http.MethodGet, "/" + s.Location, "", "200 1000"},
		{http.MethodGet, "/" + s.Location + "/" + s.EVSE, "", "200 1000"},
		{http.MethodGet, "/" + s.Location + "/" + s.EVSE + "/" + s.Connector, "", "200 1000"},
		{http.MethodGet, "/" + s.Location + "/" + s.EVSE + "/9", "", "404 2003"},
		{http.MethodGet, "/nowhere", "", "404 2003"},
		{http.MethodPut, "/" + s.Location, "{}", "405 2000"},
	} {
		send(t, e.p, c.Key, e.Key, ocpi.ModuleLocations, ocpi.Sender, step)
	}
	prefs := func(session, body, want string) {
		t.Helper()
		send(t, e.p, c.Key, e.Key, ocpi.ModuleSessions, ocpi.Sender, step{http.MethodPut, "/" + session + "/charging_preferences", body, want})
	}
	c.active["able"] = &charge{site: c.bySpot[spotThat(c, "CHARGING_PREFERENCES_CAPABLE", true).key()], token: cardOf(e, RFID, "").forCDR()}
	c.active["unable"] = &charge{site: c.bySpot[spotThat(c, "CHARGING_PREFERENCES_CAPABLE", false).key()], token: cardOf(e, RFID, "").forCDR()}
	prefs("able", `{"profile_type":"FAST"}`, "200 1000")
	prefs("able", `{}`, "200 2001")
	prefs("unable", `{"profile_type":"FAST"}`, "404 2001") // A2
	prefs("none", `{"profile_type":"FAST"}`, "404 2001")
}

// TestR8_PartyIsFoundByRoleAndModule on a platform with the same party as CPO
// and eMSP; without TO the only candidate answers.
func TestR8_PartyIsFoundByRoleAndModule(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.start(Config{Name: "both", Parties: []Party{sampleCPO("LTGAN"), sampleCPO("LVDZN"), sampleEMSP("LTGAN")}})
	token, base := h.peers[0].out.Token, strings.TrimSuffix(p.VersionsURL(), versionsPath)+detailsPath
	lithuania := http.Header{}
	setRouting(lithuania, ocpi.AddressOf(key("DEZKM")), ocpi.AddressOf(key("LTGAN")))
	half := http.Header{}
	half.Set(ocpi.HeaderToPartyID, "GAN")
	tests := []struct {
		path   string
		header http.Header
		total  int // -1: no list
	}{
		{"/sender/tokens?limit=1", lithuania, 1},
		{"/sender/tariffs", lithuania, 2},
		{"/sender/tokens?limit=2", nil, 2},
		{"/sender/tariffs", nil, -1}, // two CPOs
		{"/sender/tariffs", half, -1},
	}
	for _, test := range tests {
		var list []json.RawMessage
		h.call(http.MethodGet, base+test.path, token, test.header, nil, &list)
		if got := len(list); got != max(test.total, 0) {
			t.Errorf("%s %v: %d objects", test.path, test.header, got)
		}
	}
	info := `{"country_code":"DE","party_id":"ZKM","role":"EMSP","status":"CONNECTED","last_updated":"2026-01-01T00:00:00Z"}`
	h.call(http.MethodPut, base+"/receiver/hubclientinfo/DE/ZKM", token, nil, []byte(info), nil)
	var got ocpi.ClientInfo
	if h.call(http.MethodGet, base+"/receiver/hubclientinfo/DE/ZKM", token, nil, nil, &got); got.Status != ocpi.Connected {
		t.Errorf("ClientInfo %+v", got)
	}
}
