package web

import (
	"strings"
	"testing"

	"busbar/access"
)

// Every call says who may make it, and every change what the trail calls it.
func TestRoutes_EachHasARoleAndEveryChangeAnAction(t *testing.T) {
	t.Parallel()
	s := bare(t, nil)
	declared := make(map[string]route)
	for _, r := range s.routes() {
		declared[r.method+" /api/v1"+r.path] = r
	}
	for _, served := range s.engine.Routes() {
		call := served.Method + " " + served.Path
		r, ok := declared[call]
		open := call == "GET /healthz" || call == "GET /readyz" || call == "GET /readyz/routing" || call == "GET /metrics"
		switch {
		case open:
		case !ok:
			t.Errorf("%s is not in the table of routes", call)
		case r.least != access.Viewer && r.least != access.Operator:
			t.Errorf("%s: nobody said which role is needed", call)
		case (r.action == "") != (served.Method == "GET" || call == "POST /api/v1/explain"):
			t.Errorf("%s: every change, and nothing else, has an action in the audit trail; this has %q", call, r.action)
		case r.action != "" && (r.least != access.Operator || strings.Count(string(r.action), ".") != 1):
			t.Errorf("%s: a change is for operators, and is called like platform.change, not %q", call, r.action)
		}
		delete(declared, call)
	}
	for call := range declared {
		t.Errorf("%s is in the table of routes, but not served", call)
	}
}
