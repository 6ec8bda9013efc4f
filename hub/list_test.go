package hub_test

import (
	"fmt"
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

// TestP1_ALongListIsTheSameEachTime asks for a list that the hub keeps ready
// from the second time, between others over one connection.
func TestP1_ALongListIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	put := func(i int, pad string) {
		id := fmt.Sprintf("L%d", i)
		broadcast(t, cpo, "PUT", "locations/NL/CPA/"+id, location(id, newYear, `,"pad":"`+strings.Repeat(pad, 3000)+`"`))
	}
	for i := range 30 {
		put(i, "x")
	}
	msp := h.Platform("msp", "DE/MSP:EMSP")
	headers := strings.Join([]string{"Host: hub", "Authorization: Token " + msp.TokenC, "OCPI-to-country-code: EU", "OCPI-to-party-id: BUS",
		"OCPI-from-country-code: DE", "OCPI-from-party-id: MSP"}, "\r\n")
	list := "GET /ocpi/2.2.1/sender/locations?limit=%d HTTP/1.1\r\n" + headers + "\r\n"
	w := dial(t, h)
	hear := func() string {
		status, body := w.hear()
		data, rest, ok := strings.Cut(body, `],"status_code":1000,"status_message":"Success","timestamp":"20`)
		if status != 200 || !ok || len(rest) != len("26-01-01T00:00:00.000Z\"}") || !strings.HasPrefix(data, `{"data":[`) {
			t.Fatalf("HTTP %d %.100s … %s", status, body, rest)
		}
		return data
	}
	var first, short string
	for again := range 3 {
		w.say(fmt.Sprintf(list, 30), fmt.Sprintf(list, 1), fmt.Sprintf(list, 10), fmt.Sprintf(list, 30)+"\r\n")
		for n, want := range []*string{&first, nil, &short, &first} {
			got := hear()
			if want != nil && *want == "" {
				*want = got
			}
			if want != nil && *want != got {
				t.Errorf("round %d, list %d: %d bytes, other than the first time", again, n, len(got))
			}
		}
	}
	if strings.Count(first, `"id":"L`) != 30 || strings.Count(short, `"id":"L`) != 10 {
		t.Errorf("%d and %d Locations", strings.Count(first, `"id":"L`), strings.Count(short, `"id":"L`))
	}
	put(7, "y")
	w.say(fmt.Sprintf(list, 30), "")
	if got := hear(); got == first || !strings.Contains(got, "yyy") {
		t.Error("a push that was answered is not listed")
	}
}
