package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"busbar/ocpi"
)

// FuzzReadPlace: a URL that is routed names a functional module, and what is sent
// on of it is what was sent.
func FuzzReadPlace(f *testing.F) {
	for _, seed := range []string{
		"/ocpi/2.2.1/sender/locations?limit=1", "/ocpi/receiver/tokens/NL/TNM/1?type=RFID", "/ocpi/2.2/receiver/com.example/x",
		"http://hub/ocpi/2.2.1/sender/cdrs", "/ocpi/2.2.1/sender/credentials", "/ocpi/2.2.1/receiver/locations/../x", "/ocpi/2.2.1/sender/%6cocations",
		"/ocpi//sender/locations", "/ocpi/9/sender/locations", "*", "", "/ocpi/2.2.1/sender/locations/%zz", "/ocpi/sender/sender/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		p, err := readPlace(&http.Request{RequestURI: target})
		if err != nil {
			var refusal *ocpi.Error
			if !errors.As(err, &refusal) {
				t.Errorf("%q: %v is no answer", target, err)
			}
			return
		}
		if p.module == "" || p.module.IsConfiguration() || p.side != ocpi.Sender && p.side != ocpi.Receiver ||
			p.version != "" && !p.version.Supported() {
			t.Errorf("%q: %+v", target, p)
		}
		sent, query, _ := strings.Cut(target, "?")
		if !strings.HasSuffix(sent, p.path) || p.query != query && strings.HasPrefix(target, "/") {
			t.Errorf("%q: path %q query %q are not what was sent", target, p.path, p.query)
		}
		if p.malformed == nil && ocpi.CheckPath(p.path) != nil {
			t.Errorf("%q: %q passes", target, p.path)
		}
	})
}

// FuzzParseTarget: the short cut reads a target as net/url does.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"/ocpi/versions", "/a?b=c%20d", "//host/a", "/%41?x", "/a%zz", "*", "http://h/a", "/a#b", "/é", "/a b", "/?", "?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, err := parseTarget(target)
		want, wantErr := url.ParseRequestURI(target)
		if strings.Contains(target, "#") {
			if err == nil {
				t.Errorf("%q: a fragment passes", target)
			}
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, net/url says %v", target, err, wantErr)
		}
		if err == nil && (got.Path != want.Path || got.RawQuery != want.RawQuery) {
			t.Errorf("%q: %+v, net/url says %+v", target, got, want)
		}
	})
}

// FuzzReadAddresses: routing headers are two parties, or none, or refused.
func FuzzReadAddresses(f *testing.F) {
	f.Add("NL", "TNM", "DE", "MSP")
	f.Add("nl", "tnm", "", "")
	f.Add("", "TNM", "NLD", "\x00")
	f.Add("N\r\nX: y", "TNM", "ﬁ", "ß")
	f.Fuzz(func(t *testing.T, fromCountry, fromParty, toCountry, toParty string) {
		request := &http.Request{Header: http.Header{
			"Ocpi-From-Country-Code": {fromCountry}, "Ocpi-From-Party-Id": {fromParty},
			"Ocpi-To-Country-Code": {toCountry}, "Ocpi-To-Party-Id": {toParty},
		}}
		var req ocpi.Request
		if readAddresses(request, &req) != nil {
			return
		}
		for _, a := range []ocpi.Address{req.From, req.To} {
			if a.Party.IsZero() {
				continue
			}
			// They go into headers of the forwarded request.
			for _, value := range []string{a.CountryCode, a.PartyID} {
				if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
					t.Errorf("%q %q: %q would be sent on", fromCountry, toCountry, value)
				}
			}
		}
	})
}
