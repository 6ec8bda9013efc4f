package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestCreate_AnswersWithTokenA(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.call("POST", "/api/v1/platforms", `{"name":" CPO A ","roles":[{"country_code":"nl","party_id":"cpa","role":"cpo"}],
		"version":"2.2","quirks":{"token_form":"plain","register_status":201,"extra_role":"emsp","spent_token_reads":true}}`).
		want(http.StatusCreated)
	p := got.platform()
	if got.header.Get("Location") != "/api/v1/platforms/"+p.ID {
		t.Errorf("Location %q", got.header.Get("Location"))
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Error("an answer with a token may be cached")
	}
	cpo := []role{{"NL", "CPA", "CPO"}}
	if p.Name != "CPO A" || p.Status != "PLANNED" || p.Registered || !p.TokenAPending || p.VersionLimit != "2.2" ||
		!slices.Equal(p.Roles, cpo) || !slices.Equal(p.ApprovedRoles, cpo) || !slices.Equal(p.Parties, []string{"NLCPA"}) ||
		p.VersionsURL != "https://hub.example.com/ocpi/versions" {
		t.Errorf("platform %+v", p)
	}
	if p.Quirks["token_form"] != "plain" || p.Quirks["extra_role"] != "EMSP" || p.Quirks["spent_token_reads"] != true {
		t.Errorf("quirks %v", p.Quirks)
	}
	shown := s.call("GET", "/api/v1/platforms/"+p.ID, "").want(http.StatusOK).platform()
	if shown.TokenA != "" || !shown.TokenAPending || shown.ID != p.ID {
		t.Errorf("shown %+v", shown)
	}
}

func TestCreate_NeedsNothingButAName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, body := range []string{
		`{"name":"a"}`,
		`{"name":"b","roles":[],"version":"","quirks":{}}`,
		`{"name":"c","roles":null,"version":null,"quirks":null}`,
		`{"name":"` + strings.Repeat("ü", 100) + `"}`,
	} {
		p := s.call("POST", "/api/v1/platforms", body).want(http.StatusCreated).platform()
		if p.Roles == nil || p.ApprovedRoles == nil || p.Parties == nil || p.Endpoints == nil {
			t.Errorf("%.40s: a list is null: %+v", body, p)
		}
	}
}

func TestPlatformInput_FaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.create("there", "DEEXI EMSP").ID
	role := func(country, party, name string) string {
		return fmt.Sprintf(`{"name":"x","roles":[{"country_code":%q,"party_id":%q,"role":%q}]}`, country, party, name)
	}
	const cpo = `{"country_code":"NL","party_id":"CPA","role":"CPO"}`
	for name, c := range map[string]struct {
		body   string
		fields []string
	}{
		"an empty name":                {`{"name":""}`, []string{"name"}},
		"a name of spaces":             {`{"name":"  "}`, []string{"name"}},
		"a name of 101 characters":     {`{"name":"` + strings.Repeat("n", 101) + `"}`, []string{"name"}},
		"a country of three letters":   {role("NLD", "CPA", "CPO"), []string{"roles[0]"}},
		"no country":                   {role("", "CPA", "CPO"), []string{"roles[0]"}},
		"a party id of four":           {role("NL", "CPAX", "CPO"), []string{"roles[0]"}},
		"an empty party id":            {role("NL", "", "CPO"), []string{"roles[0]"}},
		"a party id that is no CiChar": {role("NL", "C/A", "CPO"), []string{"roles[0]"}},
		"an unknown role":              {role("NL", "CPA", "PRINCE"), []string{"roles[0].role"}},
		"no role":                      {role("NL", "CPA", ""), []string{"roles[0].role"}},
		"the hub itself":               {role("EU", "BUS", "CPO"), []string{"roles[0]"}},
		"the hub itself in lower case": {role("eu", "bus", "cpo"), []string{"roles[0]"}},
		"a party that stands twice":    {`{"name":"x","roles":[` + cpo + `,` + strings.ToLower(cpo) + `]}`, []string{"roles[1]"}},
		"an old version":               {`{"name":"x","version":"2.1.1"}`, []string{"version"}},
		"no version number":            {`{"name":"x","version":"latest"}`, []string{"version"}},
		"a strange token form":         {`{"name":"x","quirks":{"token_form":"rot13"}}`, []string{"quirks.token_form"}},
		"a strange register status":    {`{"name":"x","quirks":{"register_status":204}}`, []string{"quirks.register_status"}},
		"a strange extra role":         {`{"name":"x","quirks":{"extra_role":"KING"}}`, []string{"quirks.extra_role"}},
		"HUB as the extra role":        {`{"name":"x","quirks":{"extra_role":"HUB"}}`, []string{"quirks.extra_role"}},
		"everything at once": {`{"name":"","roles":[{"country_code":"1","party_id":"A","role":"CPO"},{"country_code":"NL","party_id":"A","role":"?"}],
			"version":"1","quirks":{"token_form":"x","register_status":1,"extra_role":"x"}}`,
			[]string{"name", "roles[0]", "roles[1].role", "version", "quirks.token_form", "quirks.register_status", "quirks.extra_role"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			s.call("POST", "/api/v1/platforms", c.body).want(http.StatusUnprocessableEntity).wantFields(c.fields...)
			s.call("PATCH", "/api/v1/platforms/"+id, c.body).want(http.StatusUnprocessableEntity).wantFields(c.fields...)
		})
	}
	t.Run("no name", func(t *testing.T) {
		t.Parallel()
		s.in(t).call("POST", "/api/v1/platforms", `{"roles":[]}`).want(http.StatusUnprocessableEntity).wantFields("name")
	})
}

func TestBody_MustBeAnObjectOfKnownFields(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := "/api/v1/platforms/" + s.create("there", "DEEXI EMSP").ID
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"missing":                 {``, http.StatusBadRequest, nil},
		"broken":                  {`{"name":`, http.StatusBadRequest, nil},
		"not JSON":                {`name=x`, http.StatusBadRequest, nil},
		"a list":                  {`[]`, http.StatusBadRequest, nil},
		"null":                    {`null`, http.StatusBadRequest, nil},
		"a string":                {`"x"`, http.StatusBadRequest, nil},
		"two objects":             {`{"name":"x"}{}`, http.StatusBadRequest, nil},
		"a bracket too many":      {`{"name":"x"}}`, http.StatusBadRequest, nil},
		"an unknown field":        {`{"name":"x","colour":"red"}`, http.StatusBadRequest, []string{"colour"}},
		"a field twice":           {`{"name":"x","name":"y"}`, http.StatusBadRequest, []string{"name"}},
		"a role's field twice":    {`{"name":"x","roles":[{"country_code":"NL","party_id":"CPA","role":"CPO","role":"HUB"}]}`, http.StatusBadRequest, []string{"role"}},
		"a field in upper case":   {`{"name":"x","ROLES":[]}`, http.StatusBadRequest, []string{"ROLES"}},
		"a field in look-alikes":  {`{"name":"x","role\u017f":[]}`, http.StatusBadRequest, []string{"roleſ"}},
		"an unknown quirk":        {`{"name":"x","quirks":{"colour":1}}`, http.StatusBadRequest, []string{"colour"}},
		"an unknown role field":   {`{"name":"x","roles":[{"country":"NL"}]}`, http.StatusBadRequest, []string{"country"}},
		"a name that is a number": {`{"name":5}`, http.StatusBadRequest, []string{"name"}},
		"roles that are a map":    {`{"name":"x","roles":{}}`, http.StatusBadRequest, []string{"roles"}},
		"a status that is text":   {`{"name":"x","quirks":{"register_status":"200"}}`, http.StatusBadRequest, []string{"quirks.register_status"}},
		"more than a mebibyte":    {`{"name":"` + strings.Repeat("x", 1<<20) + `"}`, http.StatusRequestEntityTooLarge, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			for _, target := range []string{"POST /api/v1/platforms", "PATCH " + path} {
				method, url, _ := strings.Cut(target, " ")
				got := s.call(method, url, c.body).want(c.status).wantFields(c.fields...)
				if strings.Contains(string(got.body), "web.") || strings.Contains(string(got.body), "Go ") {
					t.Errorf("the error shows the program's inside: %s", got.body)
				}
			}
		})
	}
}

func TestCreate_C8_ATakenClaimIsAConflict(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.create("first", "NLCPA CPO")
	second := s.create("second", "NLCPA EMSP") // the same party in another role
	const body = `{"name":"third","roles":[{"country_code":"nl","party_id":"cpa","role":"cpo"}]}`
	s.call("POST", "/api/v1/platforms", body).want(http.StatusConflict).wantFields("roles").wantError("NLCPA (CPO)")
	s.call("PATCH", "/api/v1/platforms/"+second.ID, body).want(http.StatusConflict).wantFields("roles")
	if names := s.names(""); !slices.Equal(names, []string{"first", "second"}) {
		t.Errorf("platforms %v", names)
	}
}

func TestPatch_ChangesWhatIsGiven(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.create("before", "NLCPA CPO")
	path := "/api/v1/platforms/" + before.ID
	p := s.call("PATCH", path, `{"name":"after"}`).want(http.StatusOK).platform()
	if p.Name != "after" || len(p.ApprovedRoles) != 1 || !p.TokenAPending {
		t.Errorf("after the name: %+v", p)
	}
	p = s.call("PATCH", path, `{"version":"2.2.1","quirks":{"register_status":200}}`).want(http.StatusOK).platform()
	if p.Name != "after" || p.VersionLimit != "2.2.1" || p.Quirks["register_status"] != float64(200) {
		t.Errorf("after version and quirks: %+v", p)
	}
	p = s.call("PATCH", path, `{"roles":[],"version":"","quirks":{}}`).want(http.StatusOK).platform()
	if len(p.ApprovedRoles) != 0 || p.VersionLimit != "" || len(p.Quirks) != 0 || p.Name != "after" {
		t.Errorf("after taking everything back: %+v", p)
	}
	if p = s.call("PATCH", path, `{}`).want(http.StatusOK).platform(); p.Name != "after" {
		t.Errorf("after nothing: %+v", p)
	}
	// The party is free again.
	s.create("another", "NLCPA CPO")
}

func TestDelete_FreesTheParties(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := "/api/v1/platforms/" + s.create("gone", "NLCPA CPO").ID
	s.call("DELETE", path, "").want(http.StatusNoContent)
	s.call("GET", path, "").want(http.StatusNotFound)
	s.call("DELETE", path, "").want(http.StatusNotFound)
	s.create("next", "NLCPA CPO")
	if names := s.names(""); !slices.Equal(names, []string{"next"}) {
		t.Errorf("platforms %v", names)
	}
}

func TestToken_AFreshOneEndsTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.create("cpo", "NLCPA CPO")
	fresh := s.call("POST", "/api/v1/platforms/"+p.ID+"/token", "").want(http.StatusOK).platform()
	if fresh.TokenA == "" || fresh.TokenA == p.TokenA || !fresh.TokenAPending {
		t.Errorf("token A pending %v, the same as before %v", fresh.TokenAPending, fresh.TokenA == p.TokenA)
	}
	if s.opens(p.TokenA) {
		t.Error("the token A before is still good")
	}
	if !s.opens(fresh.TokenA) {
		t.Error("the fresh token A is not good")
	}
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.create("cpo", "NLCPA CPO")
	for range 2 { // twice is as good as once
		if got := s.call("POST", "/api/v1/platforms/"+p.ID+"/suspend", "").want(http.StatusOK).platform(); got.Status != "SUSPENDED" {
			t.Errorf("suspended: %s", got.Status)
		}
	}
	if s.opens(p.TokenA) {
		t.Error("a suspended platform's token is good")
	}
	for range 2 {
		if got := s.call("POST", "/api/v1/platforms/"+p.ID+"/resume", "").want(http.StatusOK).platform(); got.Status != "PLANNED" {
			t.Errorf("resumed: %s", got.Status)
		}
	}
	if !s.opens(p.TokenA) {
		t.Error("a resumed platform's token is not good")
	}
}

func TestClientCertificate_IsBoundAndFreed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const key = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	written := "SHA256:" + strings.ToUpper(key[len("sha256:"):])
	id := s.call("POST", "/api/v1/platforms", `{"name":"x","client_certificate":"`+written+`"}`).want(http.StatusCreated).platform().ID
	path := "/api/v1/platforms/" + id
	shown := func(want string) {
		t.Helper()
		if got := string(s.call("GET", path, "").want(http.StatusOK).body); !strings.Contains(got, `"client_certificate":`+want) {
			t.Errorf("client_certificate is not %s in %s", want, got)
		}
	}
	shown(`"` + key + `"`)
	s.call("PATCH", path, `{"name":"y"}`).want(http.StatusOK)
	shown(`"` + key + `"`)
	for _, bad := range []string{`"00"`, `"sha256:00"`, `""`, `7`, `"sha512:` + key[7:] + `"`} {
		s.call("PATCH", path, `{"client_certificate":`+bad+`}`).want(http.StatusUnprocessableEntity).wantFields("client_certificate")
	}
	s.call("PATCH", path, `{"client_certificate":null}`).want(http.StatusOK)
	shown("null")
}
