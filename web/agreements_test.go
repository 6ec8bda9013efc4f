package web_test

import (
	"net/http"
	"testing"
)

func TestAgreements_FaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"nothing":                  {`{}`, 422, []string{"parties"}},
		"one party":                {`{"parties":["NLCPA"]}`, 422, []string{"parties"}},
		"three parties":            {`{"parties":["NLCPA","DEMSP","FRMSP"]}`, 422, []string{"parties"}},
		"a party with itself":      {`{"parties":["NLCPA","nlcpa"]}`, 422, []string{"parties"}},
		"no parties":               {`{"parties":["N","?"]}`, 422, []string{"parties[0]", "parties[1]"}},
		"the hub":                  {`{"parties":["eubus","DEMSP"]}`, 422, []string{"parties[0]"}},
		"everybody and the hub":    {`{"parties":["*","EUBUS"]}`, 422, []string{"parties[1]"}},
		"a module twice":           {`{"parties":["NLCPA","*"],"modules":["cdrs","CDRs"]}`, 422, []string{"modules[1]"}},
		"credentials":              {`{"parties":["NLCPA","*"],"modules":["credentials"]}`, 422, []string{"modules[0]"}},
		"a module that is none":    {`{"parties":["NLCPA","x"],"modules":["a b"]}`, 422, []string{"parties[1]", "modules[0]"}},
		"parties that are no list": {`{"parties":"NLCPA"}`, 400, []string{"parties"}},
		"an unknown field":         {`{"party":"NLCPA"}`, 400, []string{"party"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.in(t).call("PUT", "/api/v1/agreements", c.body).want(c.status).wantFields(c.fields...)
		})
	}
	s.call("DELETE", "/api/v1/agreements?parties=NLCPA", "").want(http.StatusUnprocessableEntity).wantFields("parties")
	s.call("DELETE", "/api/v1/agreements", "").want(http.StatusUnprocessableEntity).wantFields("parties")
	s.call("DELETE", "/api/v1/agreements", "{}").want(http.StatusUnprocessableEntity).wantFields("parties")
	s.call("GET", "/api/v1/agreements?party=x", "").want(http.StatusUnprocessableEntity).wantFields("party")
}

func TestAgreements_PutShowsWhatHolds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for body, want := range map[string]string{
		`{"parties":["nlcpa","DEMSP"],"modules":["Locations","my-own"]}`: `{"parties":["DEMSP","NLCPA"],"modules":["locations","my-own"]}`,
		`{"parties":["NLCPB","*"]}`:                                      `{"parties":["*","NLCPB"],"modules":[]}`,
		`{"parties":["*","*"],"modules":null}`:                           `{"parties":["*","*"],"modules":[]}`,
	} {
		if got := s.call("PUT", "/api/v1/agreements", body).want(http.StatusOK); string(got.body) != want {
			t.Errorf("%s: %s, want %s", body, got.body, want)
		}
	}
}

func TestAgreements_UnknownIsNotFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.call("DELETE", "/api/v1/agreements?parties=NLCPA,DEMSP", "").want(http.StatusNotFound).wantError("no such agreement")
	s.call("DELETE", "/api/v1/agreements", `{"parties":["NLCPA","DEMSP"]}`).want(http.StatusNotFound)
	s.call("GET", "/api/v1/agreements", "").want(http.StatusOK)
}
