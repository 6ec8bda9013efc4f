package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"

	"busbar/ocpi"
)

// cardOf finds a token of an eMSP by what it may do.
func cardOf(e *EMSP, kind string, allowed AllowedType) Token {
	for _, t := range e.Tokens() {
		if t.Type == kind && t.Allowed == allowed {
			return t
		}
	}
	panic("no such card in the sample")
}

// sessionOf reads a Session or CDR as the eMSP has it.
func sessionOf(t *testing.T, doc json.RawMessage) (s struct {
	Status          string           `json:"status"`
	KWh             float64          `json:"kwh"`
	Start           string           `json:"start_date_time"`
	End             string           `json:"end_date_time"`
	ChargingPeriods []chargingPeriod `json:"charging_periods"`
	TotalCost       Price            `json:"total_cost"`
	TotalEnergy     float64          `json:"total_energy"`
	AuthMethod      string           `json:"auth_method"`
	Reference       string           `json:"authorization_reference"`
	CDRToken        cdrToken         `json:"cdr_token"`
	LastUpdated     string           `json:"last_updated"`
}) {
	t.Helper()
	if err := json.Unmarshal(doc, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestChargeIsAuthorisedToldAndBilled(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	card := cardOf(e, RFID, "")
	got, err := c.Charge(t.Context(), Arrival{Spot: c.Spots()[0], EMSP: e.Key, TokenUID: card.UID})
	if err != nil || got.Allowed != Allowed {
		t.Fatalf("%+v, %v", got, err)
	}
	doc, _ := e.Session(c.Key, got.SessionID)
	satisfies(t, "Session", doc, sessionRules)
	s := sessionOf(t, doc)
	if s.Status != "COMPLETED" || s.KWh <= 0 || s.CDRToken != card.forCDR() || s.AuthMethod != "AUTH_REQUEST" || s.Reference == "" {
		t.Errorf("Session %s", doc)
	}
	if s.End > s.LastUpdated || s.Start >= s.End {
		t.Errorf("Session from %s to %s, last updated %s", s.Start, s.End, s.LastUpdated)
	}
	doc, _ = e.CDR(c.Key, got.CDRID)
	satisfies(t, "CDR", doc, cdrRules)
	bill := sessionOf(t, doc)
	if bill.TotalEnergy != s.KWh || bill.TotalCost != s.TotalCost || bill.TotalCost != got.Total || len(bill.ChargingPeriods) != len(s.ChargingPeriods) {
		t.Errorf("the CDR is not that of the Session:\n%s", doc)
	}
	sum := 0.0
	for _, p := range bill.ChargingPeriods {
		if d := p.Dimensions[0]; d.Type == Energy {
			sum += d.Volume
		}
	}
	if decimals4(sum) != decimals4(bill.TotalEnergy) {
		t.Errorf("periods sum up to %v kWh, total_energy is %v", sum, bill.TotalEnergy)
	}
	read, err := c.ReadCDR(t.Context(), e.Key, got.CDRURL)
	if err != nil || string(read.Data) != string(doc) {
		t.Errorf("CDR at %s: %+v, %v", got.CDRURL, read, err)
	}
}

// TestA5_PatchAppendsPeriods: what the eMSP gathered from PATCHes is what the
// PUT at the end says.
func TestA5_PatchAppendsPeriods(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	var mu sync.Mutex
	var methods []string
	var before json.RawMessage
	var e *EMSP
	watch := func(ev Event) {
		mu.Lock()
		defer mu.Unlock()
		if ev.Module != ocpi.ModuleSessions || !ev.Received {
			return
		}
		methods = append(methods, ev.Method)
		if ev.Method == http.MethodPatch {
			docs, _ := e.sessions.page(window{limit: 1}, ocpi.PartyKey{})
			before = docs[0]
		}
	}
	cpo := h.start(Config{Name: "cpo", Parties: []Party{sampleCPO("NLKVL")}})
	e = h.start(Config{Name: "emsp", Parties: []Party{sampleEMSP("DEZKM")}, Observe: watch}).EMSP(key("DEZKM"))
	c := cpo.CPO(key("NLKVL"))
	got, err := c.Charge(t.Context(), Arrival{Spot: c.Spots()[0], EMSP: e.Key, TokenUID: cardOf(e, RFID, "").UID})
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := e.Session(c.Key, got.SessionID)
	mu.Lock()
	defer mu.Unlock()
	if n := len(methods); n < 4 || methods[0] != "PUT" || methods[n-1] != "PUT" || methods[1] != "PATCH" {
		t.Errorf("messages %v", methods)
	}
	patched, final := sessionOf(t, before), sessionOf(t, doc)
	if string(encode(patched.ChargingPeriods)) != string(encode(final.ChargingPeriods)) || patched.KWh != final.KWh || patched.Status != "ACTIVE" {
		t.Errorf("after the last PATCH %s\nafter the last PUT %s", before, doc)
	}
}

func TestChargeIsRefused(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	spot := c.Spots()[0]
	for _, want := range []AllowedType{Blocked, Expired, NoCredit, NotAllowed} {
		got, err := c.Charge(t.Context(), Arrival{Spot: spot, EMSP: e.Key, TokenUID: cardOf(e, RFID, want).UID, TokenType: RFID})
		if err != nil || got != (Outcome{Allowed: want}) {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	got, err := c.Charge(t.Context(), Arrival{Spot: spot, EMSP: e.Key, TokenUID: "nobody's"})
	if err != nil || got.Allowed != UnknownToken {
		t.Errorf("unknown token: %+v, %v", got, err)
	}
	if _, err := c.Charge(t.Context(), Arrival{Spot: spot, EMSP: key("FRMES"), TokenUID: "x"}); err == nil {
		t.Error("an eMSP that the hub does not know is no error")
	}
	if n := e.sessions.size() + e.cdrs.size(); n != 0 {
		t.Errorf("%d Sessions and CDRs of drivers who were refused", n)
	}
	c.occupy(spot.key(), key("NLOOI"))
	if _, err := c.Charge(t.Context(), Arrival{Spot: spot, EMSP: e.Key}); !errors.Is(err, ErrOccupied) {
		t.Errorf("occupied: %v", err)
	}
}

// TestA1_UnknownTokenIs404And2004 without data; a refusal is 1000.
func TestA1_UnknownTokenIs404And2004(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	ask := func(path, query, body string) Answer {
		got, err := c.p.Do(t.Context(), ocpi.Request{
			Method: http.MethodPost, Module: ocpi.ModuleTokens, Interface: ocpi.Sender, Path: path, Query: query, Body: []byte(body),
			From: ocpi.AddressOf(c.Key), To: ocpi.AddressOf(e.Key),
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask("/nobody/authorize", "", ""); got.HTTP != 404 || got.Status != 2004 || got.Data != nil {
		t.Errorf("%+v", got)
	}
	app := cardOf(e, AppUser, "")
	if got := ask("/"+app.UID+"/authorize", "", ""); got.Status != 2004 {
		t.Errorf("an APP_USER token without its type: %+v", got)
	}
	got := ask("/"+app.UID+"/authorize", "type=APP_USER", `{"location_id":"L1","evse_uids":["E1"]}`)
	var info authorizationInfo
	if err := json.Unmarshal(got.Data, &info); err != nil || info.Allowed != Allowed || info.Location.EVSEUIDs[0] != "E1" {
		t.Errorf("%s, %v", got.Data, err)
	}
	if got := ask("/"+cardOf(e, RFID, Blocked).UID+"/authorize", "", ""); got.HTTP != 200 || got.Status != 1000 {
		t.Errorf("blocked: %+v", got)
	}
}

// TestSessionsAreShownToTheirEMSPOnly: CPOs list what concerns the requester.
func TestSessionsAreShownToTheirEMSPOnly(t *testing.T) {
	t.Parallel()
	h, c, e := pair(t)
	other := h.start(Config{Name: "other", Parties: []Party{sampleEMSP("FRMES")}}).EMSP(key("FRMES"))
	for _, driver := range []*EMSP{e, e, other} {
		if _, err := c.Charge(t.Context(), Arrival{Spot: c.Spots()[0], EMSP: driver.Key, TokenUID: cardOf(driver, RFID, "").UID}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		module ocpi.ModuleID
		query  string
		from   *EMSP
		want   int
	}{
		{ocpi.ModuleSessions, "date_from=2020-01-01T00:00:00Z", e, 2},
		{ocpi.ModuleSessions, "date_from=2020-01-01T00:00:00Z", other, 1},
		{ocpi.ModuleSessions, "date_from=2100-01-01T00:00:00Z", e, 0},
		{ocpi.ModuleSessions, "", e, -1}, // date_from is required
		{ocpi.ModuleCDRs, "", e, 2},
		{ocpi.ModuleCDRs, "", other, 1},
		{ocpi.ModuleTariffs, "", other, 2},
	}
	for _, test := range tests {
		got, err := test.from.p.Do(t.Context(), ocpi.Request{
			Method: http.MethodGet, Module: test.module, Interface: ocpi.Sender, Query: test.query,
			From: ocpi.AddressOf(test.from.Key), To: ocpi.AddressOf(c.Key),
		})
		var objects []json.RawMessage
		count := -1
		if err == nil && json.Unmarshal(got.Data, &objects) == nil {
			count = len(objects)
		}
		if count != test.want {
			t.Errorf("%s?%s from %s: %d, want %d (%v %v)", test.module, test.query, test.from.Key, count, test.want, got.Message, err)
		}
	}
}
