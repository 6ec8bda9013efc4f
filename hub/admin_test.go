package hub_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// as is the same hub for whoever holds another admin token.
func as(t *testing.T, h *hubtest.Hub, token string) func(method, path string, body any) (int, map[string]any) {
	return hubtest.Attach(t, h.URL, h.AdminURL, token).Admin
}

// actions are those in the audit trail, the newest first, with their outcomes.
func actions(t *testing.T, h *hubtest.Hub) (list []string) {
	t.Helper()
	status, answer := h.Admin("GET", "/api/v1/audit", nil)
	if status != http.StatusOK {
		t.Fatalf("audit: HTTP %d %v", status, answer)
	}
	for _, item := range answer["items"].([]any) {
		e := item.(map[string]any)
		list = append(list, e["actor"].(map[string]any)["name"].(string)+" "+e["action"].(string)+" "+e["outcome"].(string))
	}
	return list
}

func issue(t *testing.T, h *hubtest.Hub, name, role string) (id, token string) {
	t.Helper()
	status, answer := h.Admin("POST", "/api/v1/tokens", map[string]any{"name": name, "role": role})
	if status != http.StatusCreated {
		t.Fatalf("make token %s: HTTP %d %v", name, status, answer)
	}
	return answer["id"].(string), answer["token"].(string)
}

// What one replica lets in or turns away, every other does from then on, and one
// trail has the changes of all.
func TestAdmin_ReplicasShareTokensAndTheTrail(t *testing.T) {
	t.Parallel()
	both := shared(t)
	one, two := hubtest.Start(t, both), hubtest.Start(t, both)
	id, token := issue(t, one, "deploy", "operator")
	if status, _ := as(t, two, token)("POST", "/api/v1/platforms", map[string]any{"name": "x"}); status != http.StatusCreated {
		t.Errorf("the other replica: HTTP %d", status)
	}
	if status, _ := two.Admin("DELETE", "/api/v1/tokens/"+id, nil); status != http.StatusNoContent {
		t.Fatalf("delete the token: HTTP %d", status)
	}
	for _, replica := range []*hubtest.Hub{one, two} {
		if status, _ := as(t, replica, token)("GET", "/api/v1/platforms", nil); status != http.StatusUnauthorized {
			t.Errorf("a deleted token: HTTP %d", status)
		}
		want := []string{"root token.delete done", "deploy platform.create done", "root token.create done"}
		if got := actions(t, replica); !slices.Equal(got, want) {
			t.Errorf("trail %q, want %q", got, want)
		}
	}
}

func TestAdmin_TokensAndTheTrailOutliveARestart(t *testing.T) {
	t.Parallel()
	first := hubtest.Start(t)
	_, token := issue(t, first, "dashboard", "viewer")
	if status, _ := as(t, first, token)("GET", "/api/v1/overview", nil); status != http.StatusOK {
		t.Errorf("a viewer: HTTP %d", status)
	}
	if status, _ := as(t, first, token)("POST", "/api/v1/platforms", map[string]any{"name": "x"}); status != http.StatusForbidden {
		t.Errorf("a viewer who changes something: HTTP %d", status)
	}
	first.Stop()

	second := hubtest.Start(t, sameFolder(first))
	if status, _ := as(t, second, token)("GET", "/api/v1/overview", nil); status != http.StatusOK {
		t.Errorf("after a restart: HTTP %d", status)
	}
	want := []string{"dashboard platform.create refused", "root token.create done"}
	if got := actions(t, second); !slices.Equal(got, want) {
		t.Errorf("trail %q, want %q", got, want)
	}
	// The first hub recorded the use when it stopped.
	_, answer := second.Admin("GET", "/api/v1/tokens", nil)
	if shown := answer["items"].([]any)[0].(map[string]any); shown["last_used"] == nil {
		t.Errorf("token %v", shown)
	}
	second.Stop()
	if strings.Contains(first.Log.String()+second.Log.String(), token) {
		t.Error("the log holds the admin token")
	}
}
