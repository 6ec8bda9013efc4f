package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// three is a CPO, an eMSP and a smart charging provider at one hub.
func three(t *testing.T) (*stubHub, *CPO, *EMSP, *SCSP) {
	t.Helper()
	h, c, e := pair(t)
	s := h.start(Config{Name: "scsp", Parties: []Party{{PartyRole: ocpi.PartyRole{Party: key("NLSLO"), Role: ocpi.RoleSCSP}}}})
	return h, c, e, s.SCSP(key("NLSLO"))
}

// TestR3_BroadcastReachesEMSPsFromTheHub: the URL keeps the CPO as the owner.
func TestR3_BroadcastReachesEMSPsFromTheHub(t *testing.T) {
	t.Parallel()
	h, c, e := pair(t)
	if c.p.Hub() != hubParty {
		t.Fatalf("the hub is %s", c.p.Hub())
	}
	if err := c.Publish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	h.settle(0)
	if locations, tariffs := e.Holds(); locations != c.locations.size() || tariffs != 2 {
		t.Errorf("%d Locations, %d Tariffs", locations, tariffs)
	}
	for _, id := range c.locations.keys() {
		if d, _ := e.locations.get(fold(c.Key.String(), id)); d.from != hubParty {
			t.Errorf("Location %s came from %s", id, d.from)
		}
	}
}

// TestPublishGoesOn when the hub refuses an object.
func TestPublishGoesOn(t *testing.T) {
	t.Parallel()
	h, c, e := pair(t)
	first := c.locations.keys()[0]
	_, _ = c.locations.edit(first, func(d document) (document, error) {
		return document{body: []byte(`{"country_code":"NL","party_id":"KVL","id":"` + first + `"}`)}, nil
	})
	err := c.Publish(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "the hub refuses 1 objects") || !errors.As(err, new(*Refusal)) {
		t.Errorf("%v", err)
	}
	h.settle(0)
	if locations, tariffs := e.Holds(); locations != c.locations.size()-1 || tariffs != 2 {
		t.Errorf("%d Locations, %d Tariffs", locations, tariffs)
	}
}

// TestStreamTellsTheLastStatus of every EVSE, and takes up what was not sent.
func TestStreamTellsTheLastStatus(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	patched := make(chan string, 10)
	c := h.start(Config{Name: "cpo", Parties: []Party{sampleCPO("NLKVL")}}).CPO(key("NLKVL"))
	e := h.start(Config{Name: "emsp", Parties: []Party{sampleEMSP("DEZKM")}, Observe: func(ev Event) {
		if ev.Received && ev.Method == http.MethodPatch {
			patched <- ev.Path
		}
	}}).EMSP(key("DEZKM"))
	if err := c.Publish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	spot := c.Spots()[0]
	for range 3 {
		c.SetFault(spot, true)
		c.SetFault(spot, false)
	}
	c.SetFault(spot, true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.tellStatus(ended, hubParty, spot); !errors.Is(err, context.Canceled) {
		t.Errorf("told in spite of the end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Stream(ctx) }()
	<-patched
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	d, _ := e.locations.get(fold(c.Key.String(), spot.Location))
	own, _ := c.locations.get(fold(spot.Location))
	if !strings.Contains(string(d.body), `"status":"OUTOFORDER"`) || len(patched) > 0 {
		t.Errorf("then %d PATCHes more: %s", len(patched), d.body)
	}
	if string(d.body) != string(own.body) || d.from != hubParty {
		t.Errorf("from %s: %s", d.from, difference(d.body, own.body))
	}
}

// TestP1_SyncWalksTheHubsPages: all, then what changed; what a push brought
// meanwhile stays.
func TestP1_SyncWalksTheHubsPages(t *testing.T) {
	t.Parallel()
	h, c, _ := pair(t)
	if err := c.Publish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	late := h.start(Config{Name: "late", Parties: []Party{sampleEMSP("FRMES")}}).EMSP(key("FRMES"))
	if locations, tariffs, err := late.Sync(t.Context(), time.Time{}); err != nil || locations != 16 || tariffs != 2 {
		t.Errorf("%d Locations, %d Tariffs, %v", locations, tariffs, err)
	}
	since, spot := time.Now().Add(-time.Second), c.Spots()[0]
	c.SetFault(spot, true)
	if err := c.PushStatus(t.Context(), hubParty, spot); err != nil {
		t.Fatal(err)
	}
	h.settle(0)
	pushed, _ := late.Location(c.Key, spot.Location)
	if locations, tariffs, err := late.Sync(t.Context(), since); err != nil || locations != 1 || tariffs != 0 {
		t.Errorf("changed: %d Locations, %d Tariffs, %v", locations, tariffs, err)
	}
	if pulled, _ := late.Location(c.Key, spot.Location); string(pulled) != string(pushed) || !strings.Contains(string(pulled), "OUTOFORDER") {
		t.Errorf("%s", difference(pulled, pushed))
	}
	old := document{body: []byte(`{}`), updated: sampleEpoch}
	if late.locations.putNewer(fold(c.Key.String(), spot.Location), old) {
		t.Error("an older document replaced a newer one")
	}
}

// TestOpenAuthorise: without TO and with TO = hub the hub finds who issued the
// card; the rest of the story goes there.
func TestOpenAuthorise(t *testing.T) {
	t.Parallel()
	_, c, e, _ := three(t)
	for _, askHub := range []bool{false, true} {
		got, err := c.Charge(t.Context(), Arrival{Spot: c.Spots()[0], AskHub: askHub, TokenUID: cardOf(e, RFID, "").UID})
		if err != nil || got.Allowed != Allowed {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, ok := e.CDR(c.Key, got.CDRID); !ok {
			t.Error("no CDR")
		}
		got, err = c.Charge(t.Context(), Arrival{Spot: c.Spots()[0], AskHub: askHub, TokenUID: "nobody's"})
		if err != nil || got.Allowed != UnknownToken {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestU1_CPOCancelsAReservation with a second result at the same response_url.
func TestU1_CPOCancelsAReservation(t *testing.T) {
	t.Parallel()
	_, c, e := pair(t)
	app, spot := cardOf(e, AppUser, ""), spotThat(c, "RESERVABLE", true)
	command, got := do(t, e, CommandRequest{Type: ReserveNow, CPO: c.Key, Spot: spot, TokenUID: app.UID, TokenType: AppUser})
	if got != "ACCEPTED ACCEPTED" || c.isFree(spot.key()) {
		t.Fatal(got)
	}
	if err := c.Withdraw(t.Context(), e.Key, command.ReservationID); err != nil {
		t.Fatal(err)
	}
	if result, err := command.Result(t.Context()); result != "CANCELED_RESERVATION" || err != nil || !c.isFree(spot.key()) {
		t.Errorf("%s, %v, free %v", result, err, c.isFree(spot.key()))
	}
	if err := c.Withdraw(t.Context(), e.Key, command.ReservationID); !errors.Is(err, errNoReservation) {
		t.Errorf("withdrawn twice: %v", err)
	}
}

// TestU3_ProviderSteersASharedSession: the CPO tells it when the power changes.
func TestU3_ProviderSteersASharedSession(t *testing.T) {
	t.Parallel()
	_, c, e, s := three(t)
	for _, open := range []bool{false, true} {
		id := fmt.Sprintf("S-%v", open)
		r := c.newRun(c.bySpot[spotThat(c, "CHARGING_PROFILE_CAPABLE", true).key()], authorisation{emsp: e.Key, card: cardOf(e, RFID, "").forCDR()})
		r.id = id
		r.keep(r.session(0, sessionActive))
		c.active[id] = &r.charge
		if got, err := s.SetProfile(t.Context(), c.Key, id, 7400); err != nil || got.Response != rejected {
			t.Errorf("before it was shared: %+v, %v", got, err)
		}
		if err := c.ShareSession(t.Context(), s.Key, id); err != nil {
			t.Fatal(err)
		}
		if doc, ok := s.Session(c.Key, id); !ok {
			t.Errorf("Session %s", doc)
		}
		cpo := c.Key
		if open {
			cpo = ocpi.PartyKey{}
		}
		if err := c.LimitPower(t.Context(), id, 4140, open); !errors.Is(err, errNoSession) {
			t.Errorf("nobody steers it yet: %v", err)
		}
		command, err := s.SetProfile(t.Context(), cpo, id, 7400)
		if err != nil || command.Response != accepted {
			t.Fatalf("%+v, %v", command, err)
		}
		if result, err := command.Result(t.Context()); result != accepted || err != nil {
			t.Errorf("%s, %v", result, err)
		}
		if err := c.LimitPower(t.Context(), id, 4140, open); err != nil {
			t.Fatal(err)
		}
		if profile, _ := s.ActiveProfile(id); !strings.Contains(string(profile), `"limit":4140`) {
			t.Errorf("active profile %s", profile)
		}
	}
	if err := c.ShareSession(t.Context(), s.Key, "none"); !errors.Is(err, errNoSession) {
		t.Error(err)
	}
}

// TestO3_PlatformGoesOfflineAndComesBack: others hear of it, nothing is sent
// meanwhile, and it comes back at the same address.
func TestO3_PlatformGoesOfflineAndComesBack(t *testing.T) {
	t.Parallel()
	h, c, e := pair(t)
	role := ocpi.PartyRole{Party: e.Key, Role: ocpi.RoleEMSP}
	h.settle(0)
	if got := c.p.Status(role); got != ocpi.Connected {
		t.Errorf("at first %q", got)
	}
	for range 2 {
		if err := e.p.GoOffline(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Command(t.Context(), CommandRequest{Type: StopSession, CPO: c.Key}); !errors.Is(err, ErrOffline) {
		t.Errorf("sent while offline: %v", err)
	}
	var refusal *Refusal
	if err := c.PushTariffs(t.Context(), e.Key); !errors.As(err, &refusal) || refusal.Status != ocpi.ConnectionProblem {
		t.Errorf("sent to a platform that is offline: %v", err)
	}
	h.settle(0)
	if got := c.p.Status(role); got != ocpi.Offline {
		t.Errorf("then %q", got)
	}
	for range 2 {
		if err := e.p.ComeBack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := e.p.PullClientInfos(t.Context()); n != 1 || err != nil || e.p.IsOffline() {
		t.Errorf("%d ClientInfos, %v", n, err)
	}
	h.settle(0)
	if got := c.p.Status(role); got != ocpi.Connected {
		t.Errorf("at last %q", got)
	}
	if err := c.PushTariffs(t.Context(), e.Key); err != nil {
		t.Error(err)
	}
}

// TestO4_ClientInfoIsKeptByRole, the newest of each.
func TestO4_ClientInfoIsKeptByRole(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.start(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	url := h.peers[0].endpoint(clientInfoFace) + "/lt/gan"
	put := func(body string) int {
		return h.call(http.MethodPut, url, h.peers[0].out.Token, nil, []byte(body), nil)
	}
	info := func(role, status, second string) string {
		return `{"country_code":"LT","party_id":"GAN","role":"` + role + `","status":"` + status + `","last_updated":"2026-01-01T00:00:` + second + `Z"}`
	}
	for _, body := range []string{
		info("CPO", "CONNECTED", "01"), info("EMSP", "OFFLINE", "02"), info("CPO", "PLANNED", "00"), // the last is old news
	} {
		if got := put(body); got != 200 {
			t.Fatalf("%s: HTTP %d", body, got)
		}
	}
	lt := key("LTGAN")
	for role, want := range map[ocpi.Role]ocpi.ConnectionStatus{ocpi.RoleCPO: ocpi.Connected, ocpi.RoleEMSP: ocpi.Offline, ocpi.RoleNSP: ""} {
		if got := p.Status(ocpi.PartyRole{Party: lt, Role: role}); got != want {
			t.Errorf("%s: %q, want %q", role, got, want)
		}
	}
	var got ocpi.ClientInfo
	if h.call(http.MethodGet, url, h.peers[0].out.Token, nil, nil, &got); got.Role != ocpi.RoleEMSP {
		t.Errorf("%+v", got)
	}
	for _, body := range []string{
		`{}`, info("CPO", "AWAY", "03"), info("BOSS", "OFFLINE", "03"), info("CPO", "OFFLINE", "xx"),
		strings.Replace(info("CPO", "OFFLINE", "03"), "GAN", "NAG", 1), `[]`,
	} {
		if got := p.receiveClientInfo(inbound{method: http.MethodPut, segments: []string{"LT", "GAN"}, body: json.RawMessage(body)}); got.status != ocpi.InvalidParameters {
			t.Errorf("%s: %d", body, got.status)
		}
	}
}
