package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestAPI_NeedsTheAdminToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.create("cpo", "NLCPA CPO").ID
	var calls []string
	for _, r := range s.server.Handler().(*gin.Engine).Routes() {
		if strings.HasPrefix(r.Path, "/api/") {
			calls = append(calls, r.Method+" "+strings.Replace(r.Path, ":id", id, 1))
		}
	}
	guesses := 0
	// What does not exist says no more.
	calls = append(calls, "GET /api", "GET /api/v1/nothing", "PUT /api/v1/platforms", "GET /api/v1/platforms/", "GET /api/v2/platforms")
	for name, authorization := range map[string]string{
		"no header":             "",
		"another token":         "Bearer " + strings.Repeat("x", len(adminToken)),
		"half of the token":     "Bearer " + adminToken[:10],
		"more than the token":   "Bearer " + adminToken + "x",
		"no scheme":             adminToken,
		"another scheme":        "Token " + adminToken,
		"basic authentication":  "Basic " + adminToken,
		"no token":              "Bearer",
		"an empty token":        "Bearer ",
		"a comma":               "Bearer," + adminToken,
		"the token in the next": "Bearer x " + adminToken,
	} {
		for _, call := range calls {
			method, path, _ := strings.Cut(call, " ")
			// From an address of its own: guesses are braked.
			guesses++
			got := s.callFrom(fmt.Sprintf("127.0.%d.%d", 1+guesses/250, 1+guesses%250), authorization, method, path, "")
			if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %s: HTTP %d, WWW-Authenticate %q", name, call, got.status, got.header.Get("WWW-Authenticate"))
			}
		}
	}
	if names := s.names(""); !slices.Equal(names, []string{"cpo"}) {
		t.Errorf("a call without the token changed something: %v", names)
	}
}

func TestAPI_SchemeIsCaseInsensitive(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.callAs("bearer "+adminToken, "GET", "/api/v1/platforms", "").want(http.StatusOK)
	s.callAs("BEARER  "+adminToken, "GET", "/api/v1/platforms", "").want(http.StatusOK)
}

func TestUnknownPlatform(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	connect := `{"versions_url":"http://127.0.0.1:0/versions","token_a":"token-of-nobody"}`
	for _, id := range []string{"nothinghere", "aaaaaaaaaaaaaaaa", "a%2Fb", "..", "%00", strings.Repeat("x", 2000)} {
		for call, body := range map[string]string{
			"GET ": "", "PATCH ": `{"name":"x"}`, "DELETE ": "", "POST /token": "", "POST /rotate": "",
			"POST /suspend": "", "POST /resume": "", "POST /connect": connect,
		} {
			method, action, _ := strings.Cut(call, " ")
			s.call(method, "/api/v1/platforms/"+id+action, body).want(http.StatusNotFound)
		}
	}
}

func TestUnknownURL(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/nothing", "/api", "/api/", "/api/v1", "/api/v2/platforms", "/api/v1/platforms/", "/api/v1//platforms", "/healthz/"} {
		s.call("GET", path, "").want(http.StatusNotFound).wantError("no such URL")
	}
	s.callAs("", "GET", "/nothing", "").want(http.StatusNotFound)
}

func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for call, allowed := range map[string][]string{
		"PUT /api/v1/platforms":            {"GET", "POST"},
		"DELETE /api/v1/platforms":         {"GET", "POST"},
		"POST /api/v1/platforms/x":         {"DELETE", "GET", "PATCH"},
		"GET /api/v1/platforms/x/rotate":   {"POST"},
		"DELETE /api/v1/platforms/x/token": {"POST"},
		"POST /api/v1/openapi.yaml":        {"GET"},
		"POST /healthz":                    {"GET"},
	} {
		method, path, _ := strings.Cut(call, " ")
		got := s.call(method, path, "").want(http.StatusMethodNotAllowed)
		allow := strings.Split(got.header.Get("Allow"), ", ")
		if slices.Sort(allow); !slices.Equal(allow, allowed) {
			t.Errorf("%s: Allow %v, want %v", call, allow, allowed)
		}
	}
}

func TestHealth_NeedsNeitherTokenNorStores(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.setReady(errors.New("everything is down"))
	s.callAs("", "GET", "/healthz", "").want(http.StatusOK)
}

func TestReadiness_TellsTheReason(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.callAs("", "GET", "/readyz", "").want(http.StatusOK)
	s.setReady(errors.New("database is down: connection refused"))
	s.callAs("", "GET", "/readyz", "").want(http.StatusServiceUnavailable).wantError("database is down: connection refused")
	s.setReady(nil)
	s.callAs("", "GET", "/readyz", "").want(http.StatusOK)
}

func TestMetrics_OfThePlatforms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, _ := connected(s)
	second := s.create("second", "DEEXI EMSP")
	s.call("POST", second.path("connect"), `{"versions_url":"http://127.0.0.1:0/versions","token_a":"token-of-nobody"}`).
		want(http.StatusUnprocessableEntity)
	text := string(s.callAs("", "GET", "/metrics", "").want(http.StatusOK).body)
	for _, line := range []string{
		`busbar_platforms{status="CONNECTED"} 1`, `busbar_platforms{status="PLANNED"} 1`,
		`busbar_platforms{status="SUSPENDED"} 0`, `busbar_platforms{status="OFFLINE"} 0`,
		`busbar_handshakes_total{outcome="ok"} 1`, `busbar_handshakes_total{outcome="3001"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if unbounded := regexp.MustCompile(p.ID + `|NLCPA|http://`).FindString(text); unbounded != "" {
		t.Errorf("a metric holds %s", unbounded)
	}
}

// An error whose reason is not for the caller goes to the log.
func TestInternalError_SaysNothingButLogs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := s.stores.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/audit", "/api/v1/tokens"} {
		got := s.call("GET", path, "").want(http.StatusInternalServerError)
		if string(got.body) != `{"error":"internal error"}` {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	if logs := s.logs.String(); strings.Count(logs, "admin request failed") != 2 || !strings.Contains(logs, "closed") {
		t.Errorf("the log does not say what failed:\n%s", logs)
	}
}

func TestReadiness_OfRoutingOutlivesTheStores(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	degraded := func(want string) {
		t.Helper()
		if got := string(s.callAs("", "GET", "/readyz/routing", "").want(http.StatusOK).body); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	degraded(`{"degraded":[],"status":"ready"}`)
	s.setReady(errors.Join(errors.New("database is down: refused"), errors.New("redis is down: refused")))
	degraded(`{"degraded":["database is down: refused","redis is down: refused"],"status":"ready"}`)
	s.setRoutes(errors.New("the hub is stopping"))
	s.callAs("", "GET", "/readyz/routing", "").want(http.StatusServiceUnavailable).wantError("the hub is stopping")
}
