package hub_test

import (
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

func TestP4_AGatheredListGoesOnThroughItsLinks(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	for name, ids := range map[string]string{"CPA": `{"id":"A1"},{"id":"A2"},{"id":"A3"}`, "CPB": ``, "CPC": `{"id":"C1"}`} {
		cpo := h.Platform(name, "NL/"+name+":CPO")
		// It ignores limit, as many do.
		cpo.Answers(hubtest.Answer{Status: 200, Body: `{"data":[` + ids + `],"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`})
	}
	msp, other := h.Platform("msp", "DE/MSP:EMSP"), h.Platform("other", "DE/OTH:EMSP")
	path := "/ocpi/2.2.1/sender/cdrs?limit=2"
	for _, want := range []string{`[{"id":"A1"},{"id":"A2"}]`, `[{"id":"A3"}]`, `[{"id":"C1"}]`} {
		got := msp.Send(hubtest.Request{Method: "GET", Path: path, From: "DE/MSP", To: "EU/BUS"})
		if got.OCPI() != 1000 || !strings.HasPrefix(got.Body, `{"data":`+want+`,`) || got.Header.Get("X-Total-Count") != "4" {
			t.Fatalf("%s: HTTP %d %v %s, want %s", path, got.Status, got.Header, got.Body, want)
		}
		link := got.Header.Get("Link")
		if _, path, _ = strings.Cut(strings.TrimSuffix(link, `>; rel="next"`), "/ocpi/"); path == "" {
			break
		}
		path = "/ocpi/" + path
		if got := other.Send(hubtest.Request{Method: "GET", Path: path, From: "DE/OTH", To: "EU/BUS"}); got.OCPI() != 2001 {
			t.Errorf("another platform goes on with the list: %s", got.Body)
		}
	}
	if path != "" {
		t.Errorf("the last page has a link to %s", path)
	}
}
