package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"busbar/access"
)

// auditStore is the record of the trail; a test may let it fail.
type auditStore struct {
	access.AuditStore
	mu     sync.Mutex
	refuse func(access.Entry) error
}

func (a *auditStore) SaveEntry(ctx context.Context, e access.Entry) error {
	a.mu.Lock()
	refuse := a.refuse
	a.mu.Unlock()
	if refuse != nil {
		if err := refuse(e); err != nil {
			return err
		}
	}
	return a.AuditStore.SaveEntry(ctx, e)
}

func (a *auditStore) refuseWhen(refuse func(access.Entry) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = refuse
}

// entry is an entry of the audit trail as the API shows it.
type entry struct {
	ID    string `json:"id"`
	Actor struct {
		Kind, ID, Name, Role string
	} `json:"actor"`
	Remote    string `json:"remote"`
	Forwarded string `json:"forwarded_for"`
	Action    string `json:"action"`
	Method    string `json:"method"`
	Route     string `json:"route"`
	Target    string `json:"target"`
	Outcome   string `json:"outcome"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Changes   []struct {
		Field, Before, After string
	} `json:"changes"`
}

// summary reads "name: before → after; …".
func (e entry) summary() string {
	var parts []string
	for _, c := range e.Changes {
		parts = append(parts, c.Field+": "+c.Before+" → "+c.After)
	}
	return strings.Join(parts, "; ")
}

func (s *site) trailOf(query string) []entry {
	s.t.Helper()
	var page struct {
		Items []entry `json:"items"`
	}
	s.call("GET", "/api/v1/audit"+query, "").want(http.StatusOK).decode(&page)
	return page.Items
}

// Each change of the API is made once, and leaves an entry that says what changed
// and holds no secret. A route that is not here fails.
func TestAudit_EveryChangeLeavesASummary(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	operator := s.issue("deploy", "operator")
	do := func(method, path, body string) answer { return s.callAs(operator.bearer(), method, path, body) }
	peer := newPeer(s)
	p := do("POST", "/api/v1/platforms", `{"name":"cpo","roles":[{"country_code":"NL","party_id":"CPA","role":"CPO"}]}`).platform()
	other, made := s.issue("other", "viewer"), map[string]bool{}
	for _, c := range []struct {
		call, path, body string
		status           int
		target, says     string
	}{
		{"POST /platforms", "/platforms", `{"name":"second"}`, 201, "", "name:  → second; status:  → PLANNED; registered:  → false; quirks:  → {}"},
		{"PATCH /platforms/:id", "/platforms/" + p.ID, `{"name":"better","version":"2.2.1","quirks":{"hide_modules":["cdrs"]}}`, 200, p.ID,
			`name: cpo → better; version_limit:  → 2.2.1; quirks: {} → {"hide_modules":["cdrs"]}`},
		{"POST /platforms/:id/token", "/platforms/" + p.ID + "/token", "", 200, p.ID, "token_a:  → made anew"},
		{"POST /platforms/:id/connect", "/platforms/" + p.ID + "/connect", peer.connect(peerTokenA), 200, p.ID,
			"versions_url:  → " + peer.versionsURL() + "; status: PLANNED → CONNECTED; registered: false → true; version:  → 2.2.1; " +
				"peer_versions_url:  → " + peer.versionsURL() + `; quirks: {"hide_modules":["cdrs"]} → {"token_form":"base64","hide_modules":["cdrs"]}; ` +
				"endpoint credentials SENDER:  → " + peer.url + "/2.2.1/credentials; endpoint locations SENDER:  → " + peer.url + "/2.2.1/locations"},
		{"POST /platforms/:id/rotate", "/platforms/" + p.ID + "/rotate", "", 200, p.ID, "credentials:  → offered anew"},
		{"POST /platforms/:id/suspend", "/platforms/" + p.ID + "/suspend", "", 200, p.ID, "status: CONNECTED → SUSPENDED"},
		{"POST /platforms/:id/resume", "/platforms/" + p.ID + "/resume", "", 200, p.ID, "status: SUSPENDED → CONNECTED"},
		{"DELETE /platforms/:id", "/platforms/" + p.ID, "", 204, p.ID, "name: better → ; status: CONNECTED → ; registered: true → ; " +
			"approved_roles: NLCPA (CPO) → ; roles: NLCPA (CPO) → ; version: 2.2.1 → ; version_limit: 2.2.1 → ; peer_versions_url: " +
			peer.versionsURL() + ` → ; quirks: {"token_form":"base64","hide_modules":["cdrs"]} → ; endpoint credentials SENDER: ` + peer.url +
			"/2.2.1/credentials → ; endpoint locations SENDER: " + peer.url + "/2.2.1/locations → "},
		{"PUT /agreements", "/agreements", `{"parties":["NLCPA","*"],"modules":["cdrs"]}`, 200, "*,NLCPA", "modules:  → cdrs"},
		{"PUT /agreements", "/agreements", `{"parties":["NLCPA","*"]}`, 200, "*,NLCPA", "modules: cdrs → all"},
		{"DELETE /agreements", "/agreements?parties=NLCPA,*", "", 204, "*,NLCPA", "modules: all → "},
		{"POST /erase", "/erase", `{"token_uid":"uid-4711"}`, 200, s.stores.Names.Token("uid-4711"), ""},
		{"POST /tokens", "/tokens", `{"name":"third","role":"viewer","expires_at":"2999-01-01T00:00:00Z"}`, 201, "",
			"name:  → third; role:  → viewer; expires_at:  → 2999-01-01T00:00:00Z"},
		{"POST /tokens/:id/rotate", "/tokens/" + other.ID + "/rotate", "", 200, other.ID, "token:  → made anew"},
		{"DELETE /tokens/:id", "/tokens/" + other.ID, "", 204, other.ID, "name: other → ; role: viewer → "},
	} {
		method, pattern, _ := strings.Cut(c.call, " ")
		got := do(method, "/api/v1"+c.path, c.body).want(c.status)
		e := s.trailOf("?limit=1")[0]
		if c.target == "" { // made by the call
			c.target = got.platform().ID
		}
		if e.Method != method || e.Route != "/api/v1"+pattern || e.Outcome != "done" || e.Status != c.status || e.Target != c.target ||
			e.Actor.Kind != "token" || e.Actor.ID != operator.ID || e.Actor.Name != "deploy" || e.Actor.Role != "operator" ||
			e.Remote != "127.0.0.1" || e.Forwarded != forwardedFor || e.Detail != "" {
			t.Errorf("%s: entry %+v", c.call, e)
		}
		if e.summary() != c.says {
			t.Errorf("%s: changes\n%s, want\n%s", c.call, e.summary(), c.says)
		}
		made[c.call] = true
	}
	for _, r := range s.server.Handler().(*gin.Engine).Routes() {
		call := r.Method + " " + strings.TrimPrefix(r.Path, "/api/v1")
		if r.Method != "GET" && call != "POST /explain" && !made[call] {
			t.Errorf("%s is a change that this test does not make: what does it leave in the trail?", call)
		}
	}
}

func TestAudit_WhatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("cpo", "NLCPA CPO")
	for _, c := range []struct {
		method, path, body, target, detail string
		status                             int
	}{
		{"POST", "/platforms", `{"version":"9"}`, "", "the platform breaks a rule: name is missing; version must be one of", 422},
		{"POST", "/platforms", `{"name":"x","roles":[{"country_code":"NL","party_id":"CPA","role":"CPO"}]}`, "", "already claimed", 409},
		{"POST", "/platforms/nothinghere/suspend", "", "nothinghere", "no such platform", 404},
		{"POST", "/platforms/%00%E2%80%AE%FF/suspend", "", `\u0000\u202e\xff`, "no such platform", 404},
		{"POST", "/platforms/" + strings.Repeat("x", 1000) + "/suspend", "", strings.Repeat("x", 125) + "…", "no such platform", 404},
		{"POST", "/tokens", `{`, "", "body is not a JSON object", 400},
		{"DELETE", "/agreements?parties=NLCPA,DEMSP", "", "DEMSP,NLCPA", "no such agreement", 404},
	} {
		s.call(c.method, "/api/v1"+c.path, c.body).want(c.status)
		e := s.trailOf("?limit=1")[0]
		if e.Outcome != "failed" || e.Status != c.status || e.Target != c.target || !strings.Contains(e.Detail, c.detail) ||
			len(e.Changes) > 0 || e.Actor.Kind != "root" || e.Actor.Name != "root" {
			t.Errorf("%s %.60s: entry %+v", c.method, c.path, e)
		}
	}
}

// What cannot be taken note of is not done.
func TestAudit_NothingIsChangedWithoutTheTrail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.audit.refuseWhen(func(access.Entry) error { return errors.New("the disk is full") })
	s.call("POST", "/api/v1/platforms", `{"name":"x"}`).want(http.StatusServiceUnavailable).wantError("nothing was changed")
	s.call("PUT", "/api/v1/agreements", `{"parties":["NLCPA","*"]}`).want(http.StatusServiceUnavailable)
	s.call("POST", "/api/v1/tokens", `{"name":"x","role":"viewer"}`).want(http.StatusServiceUnavailable)
	s.audit.refuseWhen(nil)
	if names := s.names(""); len(names) > 0 {
		t.Errorf("platforms %v", names)
	}
	if len(s.directory.Snapshot().Agreements()) > 0 {
		t.Error("an agreement was made")
	}
	if list := s.trailOf(""); len(list) > 0 {
		t.Errorf("trail %+v", list)
	}
	if !strings.Contains(s.logs.String(), "the disk is full") {
		t.Error("the log does not say why")
	}
}

// The end of a change that was made is recorded as soon as that is possible; the
// answer says that it is late.
func TestAudit_AnEndThatCannotBeWrittenComesLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ends, recorded := 0, make(chan struct{})
	s.audit.refuseWhen(func(e access.Entry) error {
		if e.Outcome == access.Attempted {
			return nil
		}
		if ends++; ends == 1 {
			return errors.New("the disk is full")
		}
		close(recorded)
		return nil
	})
	got := s.call("POST", "/api/v1/platforms", `{"name":"x"}`).want(http.StatusCreated)
	if got.header.Get("Busbar-Audit") != "late" {
		t.Errorf("Busbar-Audit %q", got.header.Get("Busbar-Audit"))
	}
	select {
	case <-recorded:
	case <-t.Context().Done():
	}
	s.audit.refuseWhen(nil)
	s.call("POST", "/api/v1/platforms/"+got.platform().ID+"/suspend", "").want(http.StatusOK)
	for len(s.trailOf("?action=platform.create")) != 1 || s.trailOf("?action=platform.create")[0].Outcome != "done" {
		if t.Context().Err() != nil {
			t.Fatal("the end is not in the trail")
		}
	}
}

// An entry has its outcome before the answer goes out.
func TestAudit_IsCompleteBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var saved []access.Outcome
	s.audit.refuseWhen(func(e access.Entry) error { saved = append(saved, e.Outcome); return nil })
	for i := range 20 {
		s.create(fmt.Sprint(i), fmt.Sprintf("NLC%02d CPO", i))
		if e := s.trailOf("?limit=1")[0]; e.Outcome != "done" {
			t.Fatalf("entry %+v after the answer", e)
		}
	}
	if len(saved) != 40 || saved[0] != access.Attempted || saved[1] != access.Done {
		t.Errorf("saved %v", saved)
	}
}

func TestAudit_IsSearchedAndPaged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	operator := s.issue("deploy", "operator")
	p := s.create("cpo", "NLCPA CPO")
	for _, action := range []string{"suspend", "resume", "suspend"} {
		s.callAs(operator.bearer(), "POST", p.path(action), "").want(http.StatusOK)
	}
	actions := func(query string) (list []string) {
		for _, e := range s.trailOf(query) {
			list = append(list, e.Action)
		}
		return list
	}
	all := []string{"platform.suspend", "platform.resume", "platform.suspend", "platform.create", "token.create"}
	for query, want := range map[string][]string{
		"":                                   all,
		"?actor=root":                        all[3:],
		"?actor=deploy":                      all[:3],
		"?actor=" + operator.ID:              all[:3],
		"?target=" + p.ID:                    all[:4],
		"?action=platform.resume":            all[1:2],
		"?actor=deploy&target=nothing":       nil,
		"?since=2020-01-01T00:00:00Z":        all,
		"?until=2020-01-01T00:00:00Z":        nil,
		"?actor=%00":                         nil,
		"?limit=2":                           all[:2],
		"?actor=root&action=token.create":    all[4:],
		"?action=" + url.QueryEscape("' --"): nil,
	} {
		if got := actions(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	var got []string
	for cursor, more := "", true; more; more = cursor != "" {
		var page struct {
			Items []entry
			Next  string
		}
		s.call("GET", "/api/v1/audit?limit=2&cursor="+cursor, "").want(http.StatusOK).decode(&page)
		for _, e := range page.Items {
			got = append(got, e.Action)
		}
		cursor = page.Next
	}
	if !slices.Equal(got, all) {
		t.Errorf("pages of two: %v", got)
	}
	for field, value := range map[string]string{"since": "x", "until": "x", "limit": "0", "cursor": "x"} {
		s.call("GET", "/api/v1/audit?"+field+"="+value, "").want(http.StatusUnprocessableEntity).wantFields(field)
	}
	s.call("GET", "/api/v1/audit?cursor="+strings.Repeat("z", 28), "").want(http.StatusUnprocessableEntity).wantFields("cursor")
}

// Nobody deletes entries.
func TestAudit_HasNoCallThatDeletes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, method := range []string{"DELETE", "PUT", "PATCH", "POST"} {
		s.call(method, "/api/v1/audit", "").want(http.StatusMethodNotAllowed)
	}
}
