package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// trail is what the audit trail says of a platform, the newest first; each line
// reads "kind action outcome status: field: before → after; …".
func trail(t *testing.T, h *hubtest.Hub, id string) (lines []string) {
	t.Helper()
	status, answer := h.Admin("GET", "/api/v1/audit?target="+id, nil)
	if status != http.StatusOK {
		t.Fatalf("audit: HTTP %d %v", status, answer)
	}
	for _, item := range answer["items"].([]any) {
		e := item.(map[string]any)
		line := fmt.Sprintf("%s %s %s %v:", e["actor"].(map[string]any)["kind"], e["action"], e["outcome"], e["status"])
		for _, change := range e["changes"].([]any) {
			c := change.(map[string]any)
			line += fmt.Sprintf(" %s: %s → %s;", c["field"], c["before"], c["after"])
		}
		lines = append(lines, line)
	}
	return lines
}

// What a platform changes by the credentials module is in the trail, with what
// changed and without a token; what it asks for in vain, and what is routed, is
// not.
func TestAudit_WhatPlatformsChangeThemselves(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	p.Modules = []string{"locations:SENDER"}
	h.Platform("msp", "DE/MSP:EMSP")
	wantTrail := func(when string, entries int, newest ...string) {
		t.Helper()
		got := trail(t, h, p.ID)
		if len(got) != entries {
			t.Fatalf("%s: trail %q, want %d entries", when, got, entries)
		}
		for _, part := range newest {
			if !strings.Contains(got[0], part) {
				t.Errorf("%s: %s, which does not say %q", when, got[0], part)
			}
		}
	}
	wantTrail("an enrolment", 1, "root platform.create done 201:")
	p.Credentials("POST", p.TokenA, []hubtest.Role{hubtest.ParseRole(t, "NL/XXX:CPO")})
	p.Credentials("PUT", p.TokenA, nil)
	wantTrail("what is refused", 1)
	p.Register()
	wantTrail("a registration", 2, "platform platform.register done 200: credentials:  → made anew; status: PLANNED → CONNECTED; registered: false → true;",
		"endpoint locations SENDER:  → "+p.Server.URL)
	p.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/locations", To: "DE/MSP"})
	get(h, t, "/ocpi/2.2.1/credentials", p.TokenC)
	wantTrail("a message and a GET", 2)
	p.Change(func() { p.Modules = []string{"tariffs:SENDER"} })
	p.TokenC = p.Credentials("PUT", p.TokenC, nil).Token()
	wantTrail("a renewal", 3, "platform platform.renew done 200: credentials:  → made anew; ",
		"endpoint locations SENDER: "+p.Server.URL, "endpoint tariffs SENDER:  → "+p.Server.URL)
	wantHTTP(t, "DELETE credentials", p.Credentials("DELETE", p.TokenC, nil), 200, 1000)
	wantTrail("the end", 4, "platform platform.leave done 200: credentials:  → void; status: CONNECTED → SUSPENDED; registered: true → false;")

	_, answer := h.Admin("GET", "/api/v1/audit?action=platform.register&actor="+p.ID, nil)
	e := answer["items"].([]any)[0].(map[string]any)
	actor := e["actor"].(map[string]any)
	if actor["name"] != "cpo" || actor["role"] != "" || e["remote"] != "127.0.0.1" || e["method"] != "POST" || e["route"] != "/ocpi/:version/credentials" {
		t.Errorf("entry %v", e)
	}
	_, all := h.Admin("GET", "/api/v1/audit", nil)
	raw, _ := json.Marshal(all)
	for _, token := range []string{p.TokenA, p.TokenB, p.TokenC} {
		if strings.Contains(string(raw), token) {
			t.Error("the trail holds a token")
		}
	}
}
