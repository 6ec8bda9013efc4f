package hub_test

import (
	"fmt"
	"testing"

	"busbar/hub/hubtest"
)

// What a receiver answers about its connection to the hub is not relayed as if the
// hub had said it about the requester's.
func TestS4_HTTPStatusesThatAreRelayed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const done, refused = 1000, 2001
	for _, test := range []struct{ status, code, wantHTTP, wantOCPI int }{
		{200, done, 200, done}, {201, done, 201, done}, {202, done, 202, done}, {203, done, 200, done}, {206, done, 200, done},
		{226, done, 200, done}, {299, refused, 200, refused},
		{400, refused, 400, refused}, {403, refused, 403, refused}, {404, refused, 404, refused}, {405, refused, 405, refused},
		{409, refused, 409, refused}, {422, refused, 422, refused}, {429, refused, 429, refused}, {500, 3000, 500, 3000}, {503, 3000, 503, 3000},
		{401, refused, 200, 4000}, {407, refused, 200, 4000}, {408, refused, 200, 4000}, {421, refused, 200, 4000},
		{426, refused, 200, 4000}, {431, refused, 200, 4000}, {511, refused, 200, 4000}, {600, refused, 200, 4000}, {999, done, 200, 4000},
	} {
		msp.Answers(hubtest.Answer{Status: test.status, Body: fmt.Sprintf(`{"status_code":%d,"timestamp":"2026-01-01T00:00:00Z"}`, test.code)})
		got := cpo.Send(hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/sessions/NL/CPA/1", To: "DE/MSP", Body: `{"id":"1"}`})
		if got.Status != test.wantHTTP || got.OCPI() != test.wantOCPI {
			t.Errorf("HTTP %d with %d: relayed as HTTP %d %s", test.status, test.code, got.Status, got.Body)
		}
	}
	for _, status := range []int{204, 205} {
		msp.Answers(hubtest.Answer{Status: status})
		got := cpo.Send(hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/sessions/NL/CPA/1", To: "DE/MSP", Body: `{"id":"1"}`})
		if got.Status != 200 || got.OCPI() != done {
			t.Errorf("HTTP %d: relayed as HTTP %d %s", status, got.Status, got.Body)
		}
	}
}
