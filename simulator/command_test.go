package simulator

import (
	"net/http"
	"strings"
	"testing"

	"busbar/ocpi"
)

// do sends a command and waits for its result when it was accepted: "ACCEPTED
// ACCEPTED" is the answer and the result.
func do(t *testing.T, e *EMSP, req CommandRequest) (*Command, string) {
	t.Helper()
	command, err := e.Command(t.Context(), req)
	if err != nil {
		t.Fatalf("%s: %v", req.Type, err)
	}
	if command.Timeout <= 0 {
		t.Errorf("%s: no timeout", req.Type)
	}
	if command.Response != accepted {
		return command, command.Response
	}
	result, err := command.Result(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", req.Type, err)
	}
	return command, command.Response + " " + result
}

// spotThat finds an EVSE with or without a capability.
func spotThat(c *CPO, capability string, has bool) Spot {
	for _, s := range c.sites {
		if s.can(capability) == has {
			return s.Spot
		}
	}
	panic("no such EVSE in the sample")
}

// TestR11_CommandsComeBackThroughTheHub: the answer at once, the result later
// at the response_url.
func TestR11_CommandsComeBackThroughTheHub(t *testing.T) {
	t.Parallel()
	h, c, e := pair(t)
	app := cardOf(e, AppUser, "")
	spot, fast := spotThat(c, "RESERVABLE", true), spotThat(c, "RESERVABLE", false)
	nowhere := Spot{Location: "nowhere", EVSE: "1", Connector: "1"}
	reserve := CommandRequest{Type: ReserveNow, CPO: c.Key, Spot: spot, TokenUID: app.UID, TokenType: AppUser, ReservationID: "R1"}
	broken := c.Spots()[len(c.Spots())-1]
	c.SetFault(broken, true)
	start := func(s Spot) CommandRequest {
		return CommandRequest{Type: StartSession, CPO: c.Key, Spot: s, TokenUID: app.UID, TokenType: AppUser}
	}
	again := reserve
	again.ReservationID = "R2"
	tests := []struct {
		req  CommandRequest
		want string
	}{
		{CommandRequest{Type: UnlockConnector, CPO: c.Key, Spot: spot}, "ACCEPTED ACCEPTED"},
		{CommandRequest{Type: UnlockConnector, CPO: c.Key, Spot: fast}, "ACCEPTED NOT_SUPPORTED"},
		{CommandRequest{Type: UnlockConnector, CPO: c.Key, Spot: nowhere}, "REJECTED"},
		{reserve, "ACCEPTED ACCEPTED"},
		{reserve, "ACCEPTED ACCEPTED"}, // the same reservation, replaced
		{again, "ACCEPTED EVSE_OCCUPIED"},
		{CommandRequest{Type: CancelReservation, CPO: c.Key, ReservationID: "R1"}, "ACCEPTED ACCEPTED"},
		{CommandRequest{Type: CancelReservation, CPO: c.Key, ReservationID: "R1"}, "ACCEPTED UNKNOWN_RESERVATION"},
		{reserve, "ACCEPTED ACCEPTED"},
		{start(spot), "ACCEPTED ACCEPTED"}, // the driver who reserved comes
		{start(spot), "ACCEPTED EVSE_OCCUPIED"},
		{start(broken), "ACCEPTED EVSE_INOPERATIVE"},
		{CommandRequest{Type: StopSession, CPO: c.Key, SessionID: "none"}, "UNKNOWN_SESSION"},
	}
	for i, test := range tests {
		if _, got := do(t, e, test.req); got != test.want {
			t.Errorf("%d: %s: %s, want %s", i, test.req.Type, got, test.want)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	results := 0
	for _, header := range h.seen {
		if header.Get(ocpi.HeaderFromPartyID) == c.Key.PartyID() && header.Get(ocpi.HeaderToPartyID) == e.Key.PartyID() {
			results++
		}
	}
	if results != 11 {
		t.Errorf("%d results went from the CPO to the eMSP, want 11", results)
	}
}

// TestRemoteStartBecomesASession that is authorised by the command and stopped
// by another.
func TestRemoteStartBecomesASession(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	var stop func(id string)
	// The CPO's next message waits until the driver has stopped.
	cpo := h.start(Config{Name: "cpo", Parties: []Party{sampleCPO("NLKVL")}, Observe: func(ev Event) {
		if !ev.Received && ev.Module == ocpi.ModuleSessions && ev.Method == http.MethodPatch {
			_, id, _ := strings.Cut(ev.Path, "KVL/")
			stop(id)
		}
	}})
	emsp := h.start(Config{Name: "emsp", Parties: []Party{sampleEMSP("DEZKM")}})
	c, e := cpo.CPO(key("NLKVL")), emsp.EMSP(key("DEZKM"))
	stop = func(id string) {
		if _, got := do(t, e, CommandRequest{Type: StopSession, CPO: c.Key, SessionID: id}); got != "ACCEPTED ACCEPTED" {
			t.Errorf("stop: %s", got)
		}
	}
	app := cardOf(e, AppUser, "")
	spot := c.Spots()[0]
	if _, ok := c.RemoteStart(); ok {
		t.Error("a remote start from nowhere")
	}
	do(t, e, CommandRequest{Type: StartSession, CPO: c.Key, Spot: spot, TokenUID: app.UID, TokenType: AppUser})
	a, ok := c.RemoteStart()
	if !ok {
		t.Fatal("no remote start")
	}
	got, err := c.Charge(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := e.Session(c.Key, got.SessionID)
	s := sessionOf(t, doc)
	if s.AuthMethod != "COMMAND" || s.Reference == "" || s.CDRToken != app.forCDR() || s.Status != "COMPLETED" {
		t.Errorf("%s", doc)
	}
	if len(s.ChargingPeriods) != 1 {
		t.Errorf("stopped after the first period, it has %d", len(s.ChargingPeriods))
	}
	bill, _ := e.CDR(c.Key, got.CDRID)
	satisfies(t, "CDR", bill, cdrRules)
}

// TestU3_ChargingProfiles of a running session.
func TestU3_ChargingProfiles(t *testing.T) {
	t.Parallel()
	h, c, e := pair(t)
	s := c.bySpot[spotThat(c, "CHARGING_PROFILE_CAPABLE", true).key()]
	c.active["S1"] = &charge{site: s, token: cardOf(e, RFID, "").forCDR()}
	c.active["S2"] = &charge{site: s, token: cdrToken{CountryCode: "FR", PartyID: "MES"}}
	set, err := e.SetProfile(t.Context(), c.Key, "S1", 7400)
	if err != nil || set.Response != accepted {
		t.Fatalf("%+v, %v", set, err)
	}
	if result, err := set.Result(t.Context()); result != accepted || err != nil {
		t.Errorf("%s, %v", result, err)
	}
	if got := string(c.active["S1"].activeProfile()); !strings.Contains(got, `"limit":7400`) {
		t.Errorf("active profile %s", got)
	}
	for id, want := range map[string]string{"S2": rejected, "none": unknownSession} {
		if got, err := e.SetProfile(t.Context(), c.Key, id, 1); err != nil || got.Response != want {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	url := "&response_url=" + h.server.URL + detailsPath + "/sender/chargingprofiles/x"
	tests := []struct{ method, query, want string }{
		{http.MethodGet, "duration=900" + url, accepted},
		{http.MethodDelete, url, accepted},
		{http.MethodDelete, "response_url=https://elsewhere.example/x", ""},
		{http.MethodGet, url, ""},
	}
	for _, test := range tests {
		got, err := e.p.Do(t.Context(), ocpi.Request{
			Method: test.method, Module: ocpi.ModuleChargingProfiles, Interface: ocpi.Receiver, Path: "/S1", Query: test.query,
			From: ocpi.AddressOf(e.Key), To: ocpi.AddressOf(c.Key),
		})
		if err != nil || !strings.Contains(string(got.Data), test.want) || (test.want == "") != (got.Status == 2001) {
			t.Errorf("%s %s: %+v, %v", test.method, test.query, got, err)
		}
	}
}

// TestTokenStaysAtTheHub: a response_url elsewhere is refused, so is following
// a URL there.
func TestTokenStaysAtTheHub(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	got, err := e.p.Do(t.Context(), ocpi.Request{
		Method: http.MethodPost, Module: ocpi.ModuleCommands, Interface: ocpi.Receiver, Path: "/STOP_SESSION",
		From: ocpi.AddressOf(e.Key), To: ocpi.AddressOf(c.Key), Body: []byte(`{"response_url":"https://elsewhere.example/x","session_id":"S"}`),
	})
	if err != nil || got.Status != ocpi.InvalidParameters || !strings.Contains(got.Message, "response_url") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := e.p.Follow(t.Context(), "https://elsewhere.example/x", ocpi.Request{Method: http.MethodGet}); err == nil {
		t.Error("followed a URL on another host")
	}
}
