package web_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestCatalog_ShowsWhatIsHeld(t *testing.T) {
	t.Parallel()
	got := newSite(t).call("GET", "/api/v1/catalog/locations", "").want(http.StatusOK)
	want := `{"loaded":false,"objects":0,"newest":null,"owners":[],"tariffs":{"objects":0,"newest":null,"owners":[]}}`
	if string(got.body) != want {
		t.Errorf("%s", got.body)
	}
}

type overview struct {
	Platforms []platform     `json:"platforms"`
	Statuses  map[string]int `json:"statuses"`
	Parties   int            `json:"parties"`
	Partial   bool           `json:"partial"`
	Replicas  []struct {
		ID         string `json:"id"`
		Queue      int    `json:"queue"`
		LastMinute struct {
			Messages int `json:"messages"`
		} `json:"last_minute"`
	} `json:"replicas"`
	NeedsAttention []struct {
		Severity string `json:"severity"`
		Subject  string `json:"subject"`
		Text     string `json:"text"`
		Action   string `json:"action"`
	} `json:"needs_attention"`
}

func (s *site) overview() (o overview, subjects string) {
	s.t.Helper()
	s.call("GET", "/api/v1/overview", "").want(http.StatusOK).decode(&o)
	for _, a := range o.NeedsAttention {
		subjects += " " + a.Severity + ":" + a.Subject
	}
	return o, strings.TrimSpace(subjects)
}

func TestOverview_TeachesTheFirstStep(t *testing.T) {
	t.Parallel()
	o, subjects := newSite(t).overview()
	if subjects != "error:catalog info:platforms" || !strings.Contains(o.NeedsAttention[1].Action, "POST /api/v1/platforms") {
		t.Errorf("needs attention: %s", subjects)
	}
	if o.Statuses["CONNECTED"] != 0 || len(o.Statuses) != 4 {
		t.Errorf("statuses %v", o.Statuses)
	}
}

func TestOverview_CountsPlatforms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	connected(s)
	s.create("second", "DEMSP EMSP")
	o, subjects := s.overview()
	if len(o.Platforms) != 2 || o.Platforms[0].Parties[0] != "NLCPA" || o.Parties != 2 || o.Statuses["CONNECTED"] != 1 || o.Statuses["PLANNED"] != 1 {
		t.Errorf("overview %+v", o)
	}
	if subjects != "error:catalog" {
		t.Errorf("needs attention: %s", subjects)
	}
	if len(o.Replicas) != 1 || o.Partial {
		t.Errorf("replicas %+v", o.Replicas)
	}
}
