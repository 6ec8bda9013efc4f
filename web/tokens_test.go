package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/access"
)

// token is an admin token as the API shows it.
type token struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Role      string  `json:"role"`
	CreatedBy string  `json:"created_by"`
	LastUsed  *string `json:"last_used"`
	ExpiresAt *string `json:"expires_at"`
	Token     string  `json:"token"`
}

func (t token) bearer() string { return "Bearer " + t.Token }

func (a answer) token() token {
	a.t.Helper()
	var out token
	a.decode(&out)
	return out
}

// issue makes an admin token.
func (s *site) issue(name, role string) token {
	s.t.Helper()
	return s.call("POST", "/api/v1/tokens", fmt.Sprintf(`{"name":%q,"role":%q}`, name, role)).want(http.StatusCreated).token()
}

func TestTokens_OpenTheAPIUntilTheyAreDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.issue("deploy", "operator")
	if made.Name != "deploy" || made.Role != "operator" || made.CreatedBy != "root" || made.ExpiresAt != nil || made.LastUsed != nil {
		t.Errorf("token %+v", made)
	}
	by := s.callAs(made.bearer(), "POST", "/api/v1/tokens", `{"name":"dashboard","role":"viewer"}`).want(http.StatusCreated).token()
	if by.CreatedBy != "deploy" {
		t.Errorf("created by %q", by.CreatedBy)
	}
	shown := s.call("GET", "/api/v1/tokens/"+made.ID, "").want(http.StatusOK).token()
	if shown.Token != "" || shown.Name != "deploy" {
		t.Errorf("shown %+v", shown)
	}
	s.callAs(made.bearer(), "DELETE", "/api/v1/tokens/"+by.ID, "").want(http.StatusNoContent)
	s.callAs(by.bearer(), "GET", "/api/v1/overview", "").want(http.StatusUnauthorized)
	// Its own too.
	s.callAs(made.bearer(), "DELETE", "/api/v1/tokens/"+made.ID, "").want(http.StatusNoContent)
	s.callAs(made.bearer(), "GET", "/api/v1/overview", "").want(http.StatusUnauthorized)
	s.call("GET", "/api/v1/tokens/"+made.ID, "").want(http.StatusNotFound).wantError("no such token")
	s.call("DELETE", "/api/v1/tokens/"+made.ID, "").want(http.StatusNotFound)
}

func TestTokens_OneThatIsRotatedHasItsNewSecretAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.issue("dashboard", "viewer")
	after := s.call("POST", "/api/v1/tokens/"+before.ID+"/rotate", "").want(http.StatusOK).token()
	if after.ID != before.ID || after.Role != "viewer" || after.Token == before.Token {
		t.Errorf("rotated %+v", after)
	}
	s.callAs(before.bearer(), "GET", "/api/v1/overview", "").want(http.StatusUnauthorized)
	s.callAs(after.bearer(), "GET", "/api/v1/overview", "").want(http.StatusOK)
	s.call("POST", "/api/v1/tokens/nothinghere/rotate", "").want(http.StatusNotFound)
}

// Two replicas share the record and nothing else.
func TestTokens_RevokedOnEveryReplicaAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	other := access.NewKeyring(access.KeyringConfig{Store: s.stores.AdminTokens})
	made := s.issue("deploy", "operator")
	if actor, err := other.Authenticate(t.Context(), made.Token); err != nil || actor.Name != "deploy" || actor.Role != access.Operator {
		t.Fatalf("the other replica: %+v, %v", actor, err)
	}
	s.call("DELETE", "/api/v1/tokens/"+made.ID, "").want(http.StatusNoContent)
	if _, err := other.Authenticate(t.Context(), made.Token); err == nil {
		t.Error("the other replica still knows the token")
	}
}

func TestTokens_AnExpiredOneSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, secret, err := s.keyring.Issue(t.Context(), access.Root(), "old", access.Operator, time.Now().Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	s.secret(secret.Reveal(), "the expired token")
	for range 20 { // it is no guess
		s.callAs("Bearer "+secret.Reveal(), "GET", "/api/v1/overview", "").want(http.StatusUnauthorized).wantError("expired")
	}
}

func TestTokens_OneThatExpiresMakesNoneThatLastsLonger(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	soon, later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339), time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339)
	forever := s.issue("forever", "operator")
	brief := s.call("POST", "/api/v1/tokens", `{"name":"brief","role":"operator","expires_at":"`+soon+`"}`).want(http.StatusCreated).token()
	if brief.ExpiresAt == nil || *brief.ExpiresAt != soon {
		t.Errorf("expires at %v, want %s", brief.ExpiresAt, soon)
	}
	for _, body := range []string{`{"name":"x","role":"viewer"}`, `{"name":"x","role":"viewer","expires_at":"` + later + `"}`} {
		s.callAs(brief.bearer(), "POST", "/api/v1/tokens", body).want(http.StatusUnprocessableEntity).wantFields("expires_at")
	}
	s.callAs(brief.bearer(), "POST", "/api/v1/tokens/"+forever.ID+"/rotate", "").want(http.StatusUnprocessableEntity).wantFields("expires_at")
	s.callAs(brief.bearer(), "POST", "/api/v1/tokens", `{"name":"x","role":"viewer","expires_at":"`+soon+`"}`).want(http.StatusCreated)
	s.callAs(brief.bearer(), "POST", "/api/v1/tokens/"+brief.ID+"/rotate", "").want(http.StatusOK)
}

func TestTokens_FaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.issue("taken", "viewer")
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"nothing":                   {`{}`, 422, []string{"name", "role"}},
		"an empty name":             {`{"name":" ","role":"viewer"}`, 422, []string{"name"}},
		"a name of 101":             {`{"name":"` + strings.Repeat("n", 101) + `","role":"viewer"}`, 422, []string{"name"}},
		"a control character":       {`{"name":"a\u0007b","role":"viewer"}`, 422, []string{"name"}},
		"the name of root":          {`{"name":"Root","role":"viewer"}`, 422, []string{"name"}},
		"a name that is taken":      {`{"name":" taken ","role":"viewer"}`, 409, []string{"name"}},
		"an unknown role":           {`{"name":"a","role":"admin"}`, 422, []string{"role"}},
		"no moment":                 {`{"name":"a","role":"viewer","expires_at":"tomorrow"}`, 422, []string{"expires_at"}},
		"the past":                  {`{"name":"a","role":"viewer","expires_at":"2020-01-01T00:00:00Z"}`, 422, []string{"expires_at"}},
		"a role that is no text":    {`{"name":"a","role":7}`, 400, []string{"role"}},
		"a token of one's own wish": {`{"name":"a","role":"viewer","token":"x"}`, 400, []string{"token"}},
		"JSON nested too deep":      {`{"name":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`, 400, nil},
		"a body too large":          {`{"name":"` + strings.Repeat("n", 1<<20) + `"}`, 413, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.in(t).call("POST", "/api/v1/tokens", c.body).want(c.status).wantFields(c.fields...)
		})
	}
}

func TestTokens_PageByCursor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	want := []string{"a", "b", "c", "d", "e"}
	for _, name := range want {
		s.issue(name, "viewer")
	}
	for _, limit := range []int{1, 2, 5, 6} {
		var got []string
		for cursor, more := "", true; more; more = cursor != "" {
			var page struct {
				Items []token
				Next  string
			}
			s.call("GET", fmt.Sprintf("/api/v1/tokens?limit=%d&cursor=%s", limit, url.QueryEscape(cursor)), "").want(http.StatusOK).decode(&page)
			for _, item := range page.Items {
				got = append(got, item.Name)
			}
			cursor = page.Next
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
	for _, cursor := range []string{"!!", "YQ", "MSAhIQ"} {
		s.call("GET", "/api/v1/tokens?cursor="+cursor, "").want(http.StatusUnprocessableEntity).wantFields("cursor")
	}
	s.call("GET", "/api/v1/tokens?limit=0", "").want(http.StatusUnprocessableEntity).wantFields("limit")
}

// With the database down, who root is is still known.
func TestTokens_RootNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.issue("deploy", "operator")
	if err := s.stores.Close(); err != nil {
		t.Fatal(err)
	}
	s.call("GET", "/api/v1/platforms", "").want(http.StatusOK)
	s.callAs(made.bearer(), "GET", "/api/v1/platforms", "").want(http.StatusServiceUnavailable).wantError("database")
}

// A viewer may make all calls that change nothing, and no other.
func TestRoles_AViewerChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p, viewer := s.create("cpo", "NLCPA CPO"), s.issue("dashboard", "viewer")
	before := string(s.call("GET", "/api/v1/platforms", "").want(http.StatusOK).body)
	changes := 0
	for _, r := range s.server.Handler().(*gin.Engine).Routes() {
		if !strings.HasPrefix(r.Path, "/api/") {
			continue
		}
		path := strings.NewReplacer("platforms/:id", "platforms/"+p.ID, "tokens/:id", "tokens/"+viewer.ID, ":correlation_id", "c-1").Replace(r.Path)
		if r.Method == "GET" || r.Path == "/api/v1/explain" {
			// A stream would last; a number that it does not take shows as much.
			got := s.callAs(viewer.bearer(), r.Method, strings.Replace(path, "/stream", "/stream?recent=-1", 1), "")
			if got.status == http.StatusForbidden || got.status == http.StatusUnauthorized {
				t.Errorf("%s %s: HTTP %d for a viewer", r.Method, r.Path, got.status)
			}
			continue
		}
		changes++
		s.callAs(viewer.bearer(), r.Method, path, `{"name":"x"}`).want(http.StatusForbidden).
			wantError(`role operator is needed; "dashboard" has role viewer`)
	}
	if after := string(s.call("GET", "/api/v1/platforms", "").want(http.StatusOK).body); after != before {
		t.Errorf("platforms %s, before %s", after, before)
	}
	refused := 0
	for _, e := range s.trailOf("?actor=dashboard&limit=1000") {
		if e.Outcome != "refused" || e.Status != 403 || e.Actor.ID != viewer.ID || !strings.Contains(e.Detail, "operator") {
			t.Errorf("entry %+v", e)
		}
		refused++
	}
	if changes < 12 || refused != changes {
		t.Errorf("%d refused calls are in the trail, want %d", refused, changes)
	}
}

func TestBrake_GuessesAreSlowedDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.issue("deploy", "operator")
	guess := func(from string) answer {
		return s.callFrom(from, "Bearer a-wrong-token-of-this-test", "GET", "/api/v1/overview", "")
	}
	s.secret("a-wrong-token-of-this-test", "what was guessed")
	start, passed, braked := time.Now(), 0, guess("127.0.0.2")
	for ; braked.status != http.StatusTooManyRequests; braked = guess("127.0.0.2") {
		braked.want(http.StatusUnauthorized)
		// On a machine that is busy, some seconds may have earned one more.
		if passed++; passed > 10+int(time.Since(start)/(6*time.Second)) {
			t.Fatalf("%d guesses in %s", passed, time.Since(start))
		}
	}
	if passed < 10 {
		t.Errorf("only %d guesses, want ten", passed)
	}
	braked.wantError("too many")
	if after, err := strconv.Atoi(braked.header.Get("Retry-After")); err != nil || after < 1 || after > 6 {
		t.Errorf("Retry-After %q", braked.header.Get("Retry-After"))
	}
	// Whoever holds a token is let in from there, and who has none is told what is
	// missing; other addresses are not braked.
	s.callFrom("127.0.0.2", made.bearer(), "GET", "/api/v1/overview", "").want(http.StatusOK)
	s.callFrom("127.0.0.2", "Bearer "+adminToken, "GET", "/api/v1/overview", "").want(http.StatusOK)
	s.callFrom("127.0.0.2", "", "GET", "/api/v1/overview", "").want(http.StatusUnauthorized)
	guess("127.0.0.3").want(http.StatusUnauthorized)
	if n := strings.Count(s.logs.String(), "one wrong admin token after the other"); n != 1 {
		t.Errorf("the log tells of it %d times, want once a minute", n)
	}
}

func TestHeaders_KeepBrowsersFromHarm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/healthz", "/metrics", "/api/v1/overview", "/api/v1/nothing", "/nothing"} {
		for _, authorization := range []string{"", "Bearer " + adminToken} {
			header := s.callAs(authorization, "GET", path, "").header
			if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" ||
				!strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s: header %v", path, header)
			}
			if strings.HasPrefix(path, "/api") && header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cache-Control %q", path, header.Get("Cache-Control"))
			}
		}
	}
}
