package hub_test

import (
	"testing"

	"busbar/hub/hubtest"
)

// reconnected is a platform at which the hub has registered itself, and is about
// to do so once more.
func reconnected(t *testing.T, h *hubtest.Hub) (p *receiver, msp *hubtest.Platform) {
	t.Helper()
	p, msp = newReceiver(h, "cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	if status, answer := p.connect(h); status != 200 {
		t.Fatalf("connect: HTTP %d %v", status, answer)
	}
	p.TokenC = p.offered
	return p, msp
}

// wantTraffic checks that messages pass to the platform, and from it with a token.
func wantTraffic(t *testing.T, p *receiver, msp *hubtest.Platform, what, token string) {
	t.Helper()
	p.TokenC = token
	wantHTTP(t, "from the platform with "+what, p.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", To: "DE/MSP"}), 200, 1000)
	wantHTTP(t, "to the platform", msp.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/locations", To: "NL/CPA"}), 200, 1000)
}

// A peer that is registered already posts its credentials back while the hub's
// POST is open, and goes on using one token or the other.
func TestConnect_OfARegisteredPlatformWhosePeerPostsBack(t *testing.T) {
	t.Parallel()
	for name, gives := range map[string]string{"answers with credentials": "given-anew", "answers with nothing": ""} {
		for uses, offered := range map[string]bool{"the offered token": true, "the token of its own POST": false} {
			t.Run(name+", uses "+uses, func(t *testing.T) {
				t.Parallel()
				h := hubtest.Start(t)
				p, msp := reconnected(t, h)
				old, posted := p.TokenC, ""
				p.gives = gives
				p.during = func() {
					p.Change(func() { p.TokenB = "posted-back" })
					answer := p.Credentials("POST", p.offered, nil)
					wantHTTP(t, "POST with the offered token", answer, 200, 1000)
					posted = answer.Token()
				}
				if status, answer := p.connect(h); status != 200 || answer["status"] != "CONNECTED" {
					t.Fatalf("connect: HTTP %d %v", status, answer)
				}
				wantTraffic(t, p, msp, "its old token, before it uses another", old)
				if offered {
					posted = p.offered
				}
				wantTraffic(t, p, msp, uses, posted)
				wantHTTP(t, "the old token, afterwards", get(h, t, "/ocpi/versions", old), 401, 2000)
				wantHTTP(t, "POST again", p.Credentials("POST", posted, nil), 405, 2000)
			})
		}
	}
}

// Whatever makes the hub's call fail, the platform goes on as it did.
func TestConnect_OfARegisteredPlatformThatFails(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*testing.T, *receiver){
		"HTTP 500":                            func(_ *testing.T, p *receiver) { p.status, p.gives = 500, "" },
		"HTTP 405":                            func(_ *testing.T, p *receiver) { p.status, p.gives = 405, "" },
		"an empty answer and no registration": func(_ *testing.T, p *receiver) { p.gives = "" },
		"a wrong token A":                     func(_ *testing.T, p *receiver) { p.Intercepts(refuse) },
		"roles that are not approved": func(_ *testing.T, p *receiver) {
			p.gives, p.Roles = p.TokenB, []hubtest.Role{{CountryCode: "NL", PartyID: "XXX", Role: "CPO"}}
		},
		"a registration of its own, and HTTP 500": func(t *testing.T, p *receiver) {
			p.status, p.gives = 500, ""
			p.during = func() { wantHTTP(t, "POST", p.Credentials("POST", p.offered, nil), 200, 1000) }
		},
		"a registration of its own that fails": func(t *testing.T, p *receiver) {
			p.status, p.gives = 500, ""
			p.during = func() {
				wrong := []hubtest.Role{{CountryCode: "NL", PartyID: "XXX", Role: "CPO"}}
				wantHTTP(t, "POST", p.Credentials("POST", p.offered, wrong), 200, 2001)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t)
			p, msp := reconnected(t, h)
			old, roles := p.TokenC, p.Roles
			breaks(t, p)
			if status, answer := p.connect(h); status != 422 {
				t.Fatalf("connect: HTTP %d %v, want 422", status, answer)
			}
			p.Intercepts(nil)
			p.Roles = roles
			wantTraffic(t, p, msp, "its token from before", old)
			wantTraffic(t, p, msp, "its token from before, again", old)
		})
	}
}
