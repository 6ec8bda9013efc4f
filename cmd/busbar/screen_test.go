package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/simulator"
)

// partyOf reads a party that the test wrote.
func partyOf(t *testing.T, s string) ocpi.PartyKey {
	t.Helper()
	key, err := ocpi.ParseParty(s)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestScreen_OneLineForEveryMessage(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	cpo, emsp, hub := partyOf(t, "NLKVL"), partyOf(t, "DEZKM"), partyOf(t, "EUBUS")
	message := func(plan routing.PlanKind, method, path string, from, to ocpi.PartyKey, status ocpi.StatusCode) *routing.Message {
		return &routing.Message{
			Time: at, Plan: plan, Method: method, Module: ocpi.ModuleLocations, Path: path, From: from, To: to,
			OCPIStatus: status, Detail: "because", Duration: 1500 * time.Microsecond,
		}
	}
	legs := func(total, ok, superseded int, failed ...routing.FailedLeg) *routing.Legs {
		return &routing.Legs{
			Time: at, Duration: 12 * time.Millisecond, Method: http.MethodPatch, Module: ocpi.ModuleLocations, From: cpo,
			Total: total, OK: ok, Superseded: superseded, Failed: failed,
		}
	}
	gone := routing.FailedLeg{To: emsp, Outcome: routing.OutcomeUnreachable}
	tests := []struct {
		show func(*screen)
		want string
	}{
		{func(s *screen) { s.Record(message(routing.PlanDirect, "PUT", "/NL/KVL/a%20b", cpo, emsp, 1000)) },
			"12:30:00  NLKVL → DEZKM  PUT    locations/NL/KVL/a b                         1000 ok                  1.5 ms"},
		{func(s *screen) { s.Record(message(routing.PlanOpen, "PUT", "/x", cpo, emsp, 2003)) }, "NLKVL ⇢ DEZKM  PUT    locations/x"},
		{func(s *screen) { s.Record(message(routing.PlanBroadcast, "PUT", "/x", cpo, hub, 1000)) }, "NLKVL ⇉ EUBUS  PUT    locations/x"},
		{func(s *screen) { s.Record(message(routing.PlanCatalog, "GET", "", emsp, hub, 1000)) }, "DEZKM → EUBUS  GET    locations "},
		{func(s *screen) { s.Record(message(routing.PlanRefused, "GET", "", emsp, ocpi.PartyKey{}, 4001)) }, "DEZKM →   -    GET    locations                                    4001 because"},
		{func(s *screen) { s.RecordLegs(legs(7, 7, 0)) },
			"12:30:00  EUBUS ⇉ 7      PATCH  locations of NLKVL                           7 ok                    12.0 ms"},
		{func(s *screen) { s.RecordLegs(legs(7, 4, 2, gone)) }, "4 ok, 2 superseded, 1 failed (DEZKM: unreachable)"},
		{func(s *screen) { s.RecordLegs(legs(7, 5, 0, gone, gone)) }, "5 ok, 2 failed (DEZKM: unreachable, …)"},
		{func(s *screen) { s.Story("Mésange Mobilité goes offline") }, "  ── Mésange Mobilité goes offline\n"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		test.show(newScreen(&out, hub))
		if !strings.Contains(out.String(), test.want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q lacks %q", out.String(), test.want)
		}
	}
}

// TestScreen_ThinsOut what comes by the hundred, and says so.
func TestScreen_ThinsOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&out, partyOf(t, "EUBUS"))
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	for range 100 {
		s.Record(&routing.Message{Time: at, Method: http.MethodPut, Module: ocpi.ModuleLocations})
	}
	s.Record(&routing.Message{Time: at, Method: http.MethodPost, Module: ocpi.ModuleCDRs})
	s.Record(&routing.Message{Time: at.Add(time.Second), Method: http.MethodPut, Module: ocpi.ModuleLocations})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != mostAlike+3 || !strings.Contains(lines[mostAlike], "POST   cdrs") {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	if want := "12:30:00  … and 88 more like these"; lines[mostAlike+1] != want {
		t.Errorf("%q, want %q", lines[mostAlike+1], want)
	}
}

// TestScreen_AdminCalls can be pasted into a shell.
func TestScreen_AdminCalls(t *testing.T) {
	t.Parallel()
	n, err := simulator.NewNetwork(simulator.NetworkConfig{Enrol: simulator.AdminEnrol("http://unused", "unused")})
	if err != nil {
		t.Fatal(err)
	}
	calls := adminCalls(n.CPOs()[0], partyOf(t, "EUBUS"))
	last := calls[len(calls)-1].rest
	want := `/api/v1/explain -d '{"method":"PATCH","module":"locations","interface":"RECEIVER","path":"/NL/KVL/KVL-001/KVL-001-1","from":"NLKVL","to":"EUBUS"}'`
	if last != want {
		t.Errorf("%s\nwant %s", last, want)
	}
}
