//go:build linux

package main

import (
	"strings"
	"testing"
)

// A contestant that leaves out a part of the work must not be timed.
func TestCompareHeads(t *testing.T) {
	t.Parallel()
	f := known(t)
	receiver, to := f[1], f[1].Parties[0]
	r := newRequest(patchEVSE(), "127.0.0.1:7", f.target("").Callers[0], f[0].Parties[0])
	r.readdress(to, 1)
	sent, body, _ := strings.Cut(string(r.bytes), "\r\n\r\n")
	good := strings.NewReplacer(
		"PATCH /ocpi", "PATCH /p1/ocpi",
		"Token aW4tcDA=", "Token b3V0LXAx",
		"X-Request-ID: 4", "x-request-id: 5",
	).Replace(sent)
	for _, c := range []struct {
		name, old, new string
		want           string // part of the error; empty: none
	}{
		{"all is done", "", "", ""},
		{"the wrong platform", "/p1/", "/p0/", "request line"},
		{"the caller's token", "b3V0LXAx", "aW4tcDA=", "Authorization"},
		{"the caller's request id", "x-request-id: 5", "x-request-id: 4", "X-Request-ID"},
		{"no request id", "x-request-id: 5", "x-other: 5", "X-Request-ID"},
		{"another correlation id", "X-Correlation-ID: b", "X-Correlation-ID: c", "X-Correlation-ID"},
		{"no routing headers", "OCPI-to-party-id", "X-party-id", "OCPI-to-party-id"},
	} {
		err := compareHeads(sent, echo{Head: strings.Replace(good, c.old, c.new, 1), BodyBytes: len(body)}, receiver)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error about %s", c.name, err, c.want)
		}
	}
	if err := compareHeads(sent, echo{Head: good, BodyBytes: len(body) - 1}, receiver); err == nil {
		t.Error("a shorter body passes")
	}
}
