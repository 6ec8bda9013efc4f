//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// A hub that leaves out a part of a delivery must not be timed.
func TestCheckDelivery(t *testing.T) {
	t.Parallel()
	f := newMarket(1, 2, 0)
	for i := range f {
		f[i].Outbound = token(t, "out-"+f[i].Name)
	}
	to := f[1].Parties[0]
	p := &pusher{loadPush: loadPush{Target: f.target("h"), Objects: 1}}
	pushed := string(p.compose(time.Unix(0, 0)))
	good := strings.NewReplacer(
		"PATCH /ocpi", "PATCH /p1/ocpi",
		"OCPI-from-country-code: "+f[0].Parties[0].CountryCode(), "OCPI-from-country-code: EU",
		"OCPI-from-party-id: "+f[0].Parties[0].PartyID(), "OCPI-from-party-id: BUS",
		"OCPI-to-country-code: EU", "OCPI-to-country-code: "+to.CountryCode(),
		"OCPI-to-party-id: BUS", "OCPI-to-party-id: "+to.PartyID(),
	).Replace(pushed)
	good = authorizedBy(good, "Token b3V0LXAx")
	for _, c := range []struct {
		name, old, new string
		want           string // part of the error; empty: none
	}{
		{"all is done", "", "", ""},
		{"to nobody", "OCPI-to-party-id", "X-party-id", "without a receiver"},
		{"to a CPO", "OCPI-to-party-id: " + to.PartyID(), "OCPI-to-party-id: ZZZ", "no eMSP"},
		{"the wrong platform", "/p1/", "/p2/", "request line"},
		{"another object", evsePath(0), evsePath(1), "request line"},
		{"another platform's token", "b3V0LXAx", "b3V0LXAy", "Authorization"},
		{"not from the hub", "OCPI-from-party-id: BUS", "OCPI-from-party-id: 000", "from-party-id"},
		{"another correlation id", correlationPrefix, "other", "X-Correlation-ID"},
		{"another body", statuses[0], "AVAILABL", "body"},
	} {
		err := checkDelivery(f, []byte(strings.Replace(good, c.old, c.new, 1)))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want))):
			t.Errorf("%s: %v, want an error about %s", c.name, err, c.want)
		}
	}
}

// authorizedBy replaces the value of Authorization.
func authorizedBy(request, value string) string {
	before, rest, _ := strings.Cut(request, "Authorization: ")
	_, after, _ := strings.Cut(rest, "\r\n")
	return before + "Authorization: " + value + "\r\n" + after
}
