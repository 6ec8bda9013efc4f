package web

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/access"
	"busbar/journal"
	"busbar/ocpi"
	"busbar/routing"
)

// bare is a server with an explainer and a journal, and nothing else.
func bare(t *testing.T, explain func(*ocpi.Request) routing.Explanation) *Server {
	t.Helper()
	s := New(Config{
		Metrics: prometheus.NewRegistry(), Journal: journal.New(journal.Config{}),
		Keyring: access.NewKeyring(access.KeyringConfig{Root: sha256.Sum256([]byte("secret"))}),
		Router:  routing.NewRouter(routing.RouterConfig{}),
	})
	s.explainer = func(_ context.Context, req *ocpi.Request) routing.Explanation { return explain(req) }
	return s
}

func (s *Server) ask(ctx context.Context, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer secret")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestExplain_SaysWhatTheRouterSays(t *testing.T) {
	t.Parallel()
	msp, other := ocpi.PartyKey{'D', 'E', 'M', 'S', 'P'}, ocpi.PartyKey{'F', 'R', 'M', 'S', 'P'}
	var asked ocpi.Request
	s := bare(t, func(req *ocpi.Request) routing.Explanation {
		asked = *req
		return routing.Explanation{
			Plan: routing.PlanBroadcast, Targets: []routing.ExplainedTarget{{Party: msp, Platform: "p1", URL: "https://x/1"}},
			Excluded: []routing.Exclusion{{Party: other, Reason: "the platform is OFFLINE"}},
		}
	})
	got := s.ask(t.Context(), "POST", "/api/v1/explain", `{"method":"put","module":"Locations","interface":"receiver",
		"path":"/NL/CPA/LOC%2F1?x=a%20b","from":"nlcpa","to":"EUBUS","body":{ "Id": 1.0, "id": 1.0 }}`)
	want := `{"plan":"broadcast","targets":[{"party":"DEMSP","platform":"p1","url":"https://x/1"}],` +
		`"excluded":[{"party":"FRMSP","reason":"the platform is OFFLINE"}]}`
	if got.Code != http.StatusOK || got.Body.String() != want {
		t.Errorf("HTTP %d: %s", got.Code, got.Body)
	}
	if asked.Method != "PUT" || asked.Module != ocpi.ModuleLocations || asked.Interface != ocpi.Receiver || asked.Path != "/NL/CPA/LOC%2F1" ||
		asked.Query != "x=a%20b" || asked.From.PartyID != "CPA" || asked.To.Party.String() != "EUBUS" || string(asked.Body) != `{ "Id": 1.0, "id": 1.0 }` {
		t.Errorf("asked %+v, body %s", asked, asked.Body)
	}
	s = bare(t, func(req *ocpi.Request) routing.Explanation {
		if req.Body != nil || !req.To.IsZero() {
			t.Errorf("asked %+v", req)
		}
		return routing.Explanation{Plan: routing.PlanRefused, Refusal: ocpi.Errorf(4001, "no party FRXXX")}
	})
	got = s.ask(t.Context(), "POST", "/api/v1/explain", `{"method":"GET","module":"my-own","interface":"SENDER","path":"","from":"NLCPA","body":null}`)
	want = `{"plan":"refused","targets":[],"excluded":[],"error":{"status_code":4001,"status_message":"no party FRXXX","http_status":200}}`
	if got.Body.String() != want {
		t.Errorf("%s", got.Body)
	}
}

func TestExplain_FaultsAreNamed(t *testing.T) {
	t.Parallel()
	good := explainInput{Method: "GET", Module: "locations", Interface: "SENDER", From: "NLCPA"}
	for name, c := range map[string]struct {
		change func(*explainInput)
		fields []string
	}{
		"nothing":               {func(in *explainInput) { *in = explainInput{} }, []string{"from", "interface", "method", "module"}},
		"an unknown method":     {func(in *explainInput) { in.Method = "HEAD" }, []string{"method"}},
		"a configuration":       {func(in *explainInput) { in.Module = "credentials" }, []string{"module"}},
		"a role":                {func(in *explainInput) { in.Interface = "CPO" }, []string{"interface"}},
		"a path without slash":  {func(in *explainInput) { in.Path = "NL/CPA" }, []string{"path"}},
		"a path that leads out": {func(in *explainInput) { in.Path = "/../x" }, []string{"path"}},
		"parties that are none": {func(in *explainInput) { in.From, in.To = "N", "*" }, []string{"from", "to"}},
		"all is well":           {func(in *explainInput) {}, nil},
	} {
		in := good
		c.change(&in)
		_, faults := in.request()
		var names []string
		for field := range faults {
			names = append(names, field)
		}
		if slices.Sort(names); !slices.Equal(names, c.fields) {
			t.Errorf("%s: %v, want %v", name, faults, c.fields)
		}
	}
	got := bare(t, nil).ask(t.Context(), "POST", "/api/v1/explain", `{"method":"GET","module":"","interface":"SENDER","from":"NLCPA"}`)
	if got.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Body.String(), `"fields":{"module":`) {
		t.Errorf("HTTP %d: %s", got.Code, got.Body)
	}
}

func TestStream_HasAHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bare(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 46*time.Second)
		defer cancel()
		got := s.ask(ctx, "GET", "/api/v1/messages/stream", "")
		if n := strings.Count(got.Body.String(), ": still here\n\n"); n != 3 {
			t.Errorf("%d heartbeats in 46 seconds", n)
		}
	})
}

func TestAttention_TheWorstFirst(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 5, 9, 30, 0, 0, time.UTC)
	o := overviewJSON{Catalog: catalogJSON{Loaded: true}, Platforms: []feederJSON{
		{Name: "slow", Status: ocpi.Connected, Queue: laneFull, Parties: []string{"FRMSP"}},
		{Name: "gone", Status: ocpi.Offline, StatusSince: &since, Parties: []string{"DEMSP", "DEMSQ"}},
		{Name: "fine", Status: ocpi.Connected, Queue: laneFull - 1},
		{Name: "held", Status: ocpi.Suspended},
	}}
	failing := []journal.Failing{{Party: ocpi.PartyKey{'N', 'L', 'C', 'P', 'A'}, Failed: 12, Last: routing.OutcomeTimeout}}
	var got []string
	for _, a := range attention(o, failing) {
		got = append(got, a.Severity+": "+a.Text)
	}
	want := []string{
		"error: gone (DEMSP, DEMSQ) cannot be reached since 2026-01-05T09:30:00Z.",
		"warning: 1000 updates wait for slow (FRMSP), which takes them more slowly than they come.",
		`warning: 12 messages to NLCPA failed in the last minute, the last one with "timeout".`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
