package ocpi_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// FuzzParseCredentials: what is accepted keeps the rules of its fields, is
// written and read again as the same, and its token shows in no error.
func FuzzParseCredentials(f *testing.F) {
	samples, err := filepath.Glob("testdata/credentials*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, sample := range samples {
		raw, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, seed := range []string{
		`{"token":"ebf3b399","url":"https://example.com/ocpi/versions/","roles":[{"role":"CPO","party_id":"EXA","country_code":"NL","business_details":{"name":"Example Operator"}}]}`,
		`{"token":"a","url":"http://x","roles":[{"role":"emsp","party_id":"a","country_code":"de","business_details":null}]}`,
		`{"token":"a\u0000","url":"ftp://x","roles":[]}`, `{"token":1}`, `[]`, `{"roles":[{"role":"CPO","party_id":"EXA","country_code":"NL"},{"role":"CPO","party_id":"exa","country_code":"nl"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := ocpi.ParseCredentials(body)
		if err != nil {
			if _, ok := ocpi.AsError(err); !ok {
				t.Errorf("%q: %v is no answer", body, err)
			}
			return
		}
		if ocpi.CheckURL(c.URL) != nil || len(c.Roles) == 0 || c.Token.IsZero() {
			t.Errorf("%q: %+v breaks a rule", body, c)
		}
		again, err := ocpi.ParseCredentials(c.JSON())
		if err != nil || again.Token != c.Token || again.URL != c.URL || len(again.Roles) != len(c.Roles) {
			t.Errorf("%q: written and read again: %+v, %v, want %+v", body, again, err, c)
		}
	})
}

// FuzzReadAuthorization: no header panics, and one that is taken for a token is
// presented as that token.
func FuzzReadAuthorization(f *testing.F) {
	for _, seed := range []string{
		"Token YWJj", "Token abc", "token  YWJjCg==", "YWJj", "Bearer abc", "", "Token", "Token =", "Token a b", "Basic YWJj",
		"Token " + strings.Repeat("A", 200), "Token \x00", "Token YWJj\n", "TokenYWJj", "Token ZWJmM2IzOTktNzc5Zi00NDk3LTliOWQtYWM2YWQzY2M0NGQy",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		var asked []ocpi.TokenHash
		if _, ok := ocpi.ReadAuthorization(header, func(h ocpi.TokenHash) bool { asked = append(asked, h); return false }); ok {
			t.Fatalf("%q: known to nobody, and read", header)
		}
		if len(asked) > 2 {
			t.Fatalf("%q: %d readings", header, len(asked))
		}
		for i := range asked {
			form, ok := ocpi.ReadAuthorization(header, func(h ocpi.TokenHash) bool { return h == asked[i] })
			if !ok {
				t.Fatalf("%q: reading %d is not found again", header, i)
			}
			if token := ocpi.PresentedToken(header, form); !token.IsZero() && token.Hash() != asked[i] {
				t.Errorf("%q: presents another token than was read as %s", header, form)
			}
		}
	})
}

// FuzzParseAddress reads routing headers: what is accepted is a party in upper
// case, whatever space was around it.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range [][2]string{{"NL", "TNM"}, {"nl", "t"}, {"", ""}, {"NL", ""}, {"NLD", "TNM"}, {"N\n", "T\x00"}, {"ŉ", "ß"}, {" NL ", "TNM\t"}, {"\u00a0NL", "TNM\u0085"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, countryCode, partyID string) {
		a, err := ocpi.ParseAddress("to", countryCode, partyID)
		if err != nil || a.Party.IsZero() {
			return
		}
		again, err := ocpi.ParsePartyKey(a.Party.CountryCode(), a.Party.PartyID())
		if err != nil || again != a.Party || !strings.EqualFold(a.Party.String(), strings.TrimSpace(countryCode)+strings.TrimSpace(partyID)) {
			t.Errorf("%q %q: %v, read again %v %v", countryCode, partyID, a.Party, again, err)
		}
		if !strings.EqualFold(a.CountryCode+a.PartyID, a.Party.String()) {
			t.Errorf("%q %q: %q %q would be sent on", countryCode, partyID, a.CountryCode, a.PartyID)
		}
	})
}

// FuzzCheckPath: a path that passes leads nowhere but down, however it is
// decoded.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"/NL/TNM/1", "/..", "/%2e%2e/x", "/a%2f..%2fb", "/a\\..\\b", "/..;x/b", "/%", "/%0a", "//", "/é", "/%c0%ae%c0%ae/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if ocpi.CheckPath(path) != nil {
			return
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("%q: passes with a broken escape", path)
		}
		if strings.ContainsAny(decoded, "\r\n\x00") {
			t.Errorf("%q: passes with a control character", path)
		}
		for _, segment := range strings.FieldsFunc(decoded, func(c rune) bool { return c == '/' || c == '\\' }) {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				t.Errorf("%q: passes with the segment %q", path, segment)
			}
		}
	})
}

// FuzzParseTime: what is read is UTC, and is the same instant when it is written
// and read again.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2015-06-29T20:39:09Z", "2015-06-29T20:39:09", "2016-12-29T17:45:09.2Z", "2018-01-01T01:08:01.123Z", "2015-06-29T20:39:09+01:00",
		"2015-06-29T24:00:00Z", "2016-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "2015-06-29T2:39:09Z", "2015-06-29T20:39:09,5Z", "",
		"0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31T24:00:00Z", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59.9999Z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ocpi.ParseTime(s)
		if err != nil {
			return
		}
		again, err := ocpi.ParseTime(ocpi.FormatTime(at))
		if err != nil || at.Location() != time.UTC || !again.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%q: %v, written and read again %v, %v", s, at, again, err)
		}
	})
}

// FuzzParsePaging: the numbers are within their bounds.
func FuzzParsePaging(f *testing.F) {
	for _, seed := range []string{
		"offset=0&limit=50", "limit=-1", "limit=9223372036854775807&offset=9223372036854775807", "date_from=2015-06-29T20:39:09Z&date_to=x",
		"limit=1&limit=2", "limit=%31", "offset=0x1", "date_from=2015-06-29T20:39:09Z&date_to=2015-06-29T20:39:09Z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p, err := ocpi.ParsePaging(values)
		if err != nil {
			if _, ok := ocpi.AsError(err); !ok {
				t.Errorf("%q: %v is no answer", query, err)
			}
			return
		}
		if p.Offset < 0 || p.Limit < 0 || p.Limit > ocpi.MaxPage {
			t.Errorf("%q: %+v", query, p)
		}
		for _, h := range p.Headers("https://hub.example.com/ocpi", p.Limit, p.Limit+1) {
			if strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Errorf("%q: header %s holds %q", query, h.Name, h.Value)
			}
		}
	})
}

// FuzzFindMember finds what encoding/json finds, and everything that a lenient
// reader might.
func FuzzFindMember(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed), "a")
		f.Add([]byte(seed), "\ufffd")
		f.Add([]byte(`{"response_url":`+seed+`,"RESPONSE_URL":1,"\u0072esponse_url":2}`), "response_url")
	}
	for _, seed := range []string{"{\"\xff\":1}", `{"\ud800":1}`, "{\"\xe2\x82\":1}", "{\"\ufffd\":1}", "{\"\":1}"} {
		f.Add([]byte(seed), "\ufffd")
		f.Add([]byte(seed), "\xff")
		f.Add([]byte(seed), "\ufffd\ufffd")
	}
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		found := ocpi.FindMember(body, name)
		if ocpi.CheckJSON(body) != nil {
			return
		}
		for _, m := range found {
			if ocpi.CheckJSON(body[m.Start:m.End]) != nil {
				t.Fatalf("%q: %q is no value", body, body[m.Start:m.End])
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(body, &object) != nil {
			return
		}
		if want, there := object[name]; there && (len(found) == 0 || len(found) == 1 && !bytes.Equal(body[found[0].Start:found[0].End], want)) {
			t.Errorf("%q: %v, encoding/json finds %q", body, found, want)
		}
	})
}
