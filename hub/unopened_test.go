package hub_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// One outbound token that cannot be opened leaves its platform out, says so, and
// leaves the others alone. The platform comes back by renewing its credentials.
func TestSecrets_OneTokenThatCannotBeOpenedStopsNobodyElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	same := func(c *hub.Config) { c.DataDir = dir }
	first := hubtest.Start(t, same)
	damaged, msp, other := first.Platform("damaged", "NL/CPA:CPO"), first.Platform("msp", "DE/MSP:EMSP"), first.Platform("other", "NL/CPB:CPO")
	first.Stop()
	db, err := sql.Open("sqlite", filepath.Join(dir, "busbar.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE platforms SET outbound = 'AAAA' || substr(outbound, 5) WHERE id = ?", damaged.ID); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	h := hubtest.Start(t, same)
	for _, p := range []*hubtest.Platform{damaged, msp, other} {
		p.MoveTo(h)
	}
	to := func(party string) *hubtest.Response {
		return msp.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/locations", To: party})
	}
	wantHTTP(t, "to another platform", to("NL/CPB"), 200, 1000)
	wantHTTP(t, "to the damaged one", to("NL/CPA"), 200, 4003)
	wantHTTP(t, "from the damaged one", damaged.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", To: "DE/MSP"}), 200, 1000)
	wantHTTP(t, "to the damaged one, after it called", to("NL/CPA"), 200, 4003)
	if log := h.Log.String(); strings.Count(log, "nothing can be sent to a platform") != 1 || !strings.Contains(log, "platform="+damaged.ID) ||
		!strings.Contains(log, "BUSBAR_SECRET_KEY") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	_, overview := h.Admin("GET", "/api/v1/overview", nil)
	if text := attentions(overview); !strings.Contains(text, "Nothing can be sent to damaged (NLCPA)") {
		t.Errorf("attention: %s", text)
	}
	if status, answer := h.Admin("POST", "/api/v1/platforms/"+damaged.ID+"/rotate", nil); status != 409 || !strings.Contains(answer["error"].(string), "renew") {
		t.Errorf("rotate: HTTP %d %v", status, answer)
	}
	wantHTTP(t, "PUT credentials", damaged.Credentials("PUT", damaged.TokenC, nil), 200, 1000)
	if _, overview := h.Admin("GET", "/api/v1/overview", nil); strings.Contains(attentions(overview), "damaged") {
		t.Errorf("attention after it renewed: %s", attentions(overview))
	}
	wantHTTP(t, "to the one that renewed", to("NL/CPA"), 200, 1000)
}

func attentions(overview map[string]any) string {
	var all []string
	for _, item := range overview["needs_attention"].([]any) {
		all = append(all, item.(map[string]any)["text"].(string))
	}
	return strings.Join(all, "\n")
}
