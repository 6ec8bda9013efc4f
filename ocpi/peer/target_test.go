package peer

import (
	"testing"

	"github.com/valyala/fasthttp"
)

func TestM2_ExactlyOneSlashAtTheJoint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoint, path, query, is string }{
		{"http://p/ocpi/locations", "/NL/CPA/L1", "", "/ocpi/locations/NL/CPA/L1"},
		{"http://p/ocpi/locations/", "/NL/CPA/L1", "", "/ocpi/locations/NL/CPA/L1"},
		{"http://p/ocpi/locations", "NL/CPA/L1", "", "/ocpi/locations/NL/CPA/L1"},
		{"http://p/ocpi/locations/", "NL/CPA/L1", "", "/ocpi/locations/NL/CPA/L1"},
		{"http://p/ocpi/locations//", "/NL", "", "/ocpi/locations/NL"},
		{"http://p", "/NL", "", "/NL"},
		{"http://p/", "/NL", "", "/NL"},
		{"http://p", "NL", "", "/NL"},
		// With nothing to add, the URL is the advertised one.
		{"http://p/ocpi/locations", "", "", "/ocpi/locations"},
		{"http://p/ocpi/locations/", "", "", "/ocpi/locations/"},
		{"http://p/ocpi/locations", "/", "", "/ocpi/locations/"},
		{"http://p", "", "", "/"},
		{"http://p", "", "offset=1", "/?offset=1"},
		{"http://p/cdrs/", "", "offset=1", "/cdrs/?offset=1"},
		// The sender's bytes stay as they are.
		{"http://p/l", "/NL/CPA/L%2F1/%23NA", "a=%20+b", "/l/NL/CPA/L%2F1/%23NA?a=%20+b"},
		{"http://p/l", "/NL//L1/", "", "/l/NL//L1/"},
		{"http://p/l", "//L1", "", "/l//L1"},
		{"http://p/l%2Fx", "/a", "", "/l%2Fx/a"},
		{"http://p/l", "/Zürich", "", "/l/Zürich"},
		// The endpoint has a query of its own.
		{"http://p/l?tenant=1", "/a", "", "/l/a?tenant=1"},
		{"http://p/l?tenant=1", "/a", "limit=2", "/l/a?tenant=1&limit=2"},
		{"http://p/l?tenant=1", "", "", "/l?tenant=1"},
		// U2: a nested URL that nobody encoded.
		{"http://p/l", "/a", "response_url=http://x/y?z=1", "/l/a?response_url=http://x/y?z=1"},
		// Nothing ends the request line early.
		{"http://p/l?a b", "", "", "/l?a%20b"},
		{"http://p/l", "/a b", "c d\r\nHost: x", "/l/a%20b?c%20d%0D%0AHost:%20x"},
		{"http://p/l", "/a\x00\x7f", "", "/l/a%00%7F"},
	} {
		to := target(t, tt.endpoint)
		if got := string(to.appendURI(nil, tt.path, tt.query, asAdvertised)); got != tt.is {
			t.Errorf("%s with %q and %q is %s, want %s", tt.endpoint, tt.path, tt.query, got, tt.is)
		}
	}
}

func TestJoinIsTheURLThatIsCalled(t *testing.T) {
	t.Parallel()
	https, slashed := target(t, "https://p.example:8443/l/?tenant=1"), target(t, "http://p/cdrs")
	slashed.slash.Store(int32(withSlash))
	for got, want := range map[string]string{
		https.Join("/a%2Fb", "x=1"): "https://p.example:8443/l/a%2Fb?tenant=1&x=1",
		slashed.Join("", ""):        "http://p/cdrs/", // as it once asked for
		slashed.Join("/1", ""):      "http://p/cdrs/1",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		url, addr, host string
		tls             bool
	}{
		{"http://p.example/x", "p.example:80", "p.example", false},
		{"https://p.example/x", "p.example:443", "p.example", true},
		{"HTTPS://p.example:8443", "p.example:8443", "p.example:8443", true},
		{"http://[2001:db8::1]/", "[2001:db8::1]:80", "[2001:db8::1]", false},
		{"http://[2001:db8::1]:81/", "[2001:db8::1]:81", "[2001:db8::1]:81", false},
	} {
		got := target(t, tt.url)
		if got.addr != tt.addr || got.host != tt.host || got.tls != tt.tls || got.String() != tt.url {
			t.Errorf("%s: dials %s, names %s, TLS %v, prints %s", tt.url, got.addr, got.host, got.tls, got)
		}
	}
	for _, bad := range []string{"", "p.example", "ftp://p/x", "http://u:p@p/", "http://p/#x", "http://"} {
		if _, err := ParseTarget(bad); err == nil {
			t.Errorf("%q is a target", bad)
		}
	}
}

func TestU4_RelativeLinks(t *testing.T) {
	t.Parallel()
	const endpoint = "https://p.example/ocpi/cdrs"
	for _, tt := range []struct{ endpoint, link, path, query string }{
		{endpoint, "https://p.example/ocpi/cdrs/1234", "/1234", ""},
		{endpoint + "/", "https://p.example/ocpi/cdrs/1234", "/1234", ""},
		{endpoint, "/ocpi/cdrs/1234", "/1234", ""},
		{endpoint + "/", "1234", "/1234", ""},
		{endpoint, "cdrs/1234", "/1234", ""},
		{endpoint, "//p.example/ocpi/cdrs/1234", "/1234", ""},
		{endpoint, " https://p.example/ocpi/cdrs/1234 ", "/1234", ""},
		{endpoint, "https://P.Example/ocpi/cdrs/1234", "/1234", ""},
		{endpoint, "https://p.example:443/ocpi/cdrs/1234", "/1234", ""},
		{"https://p.example:443/ocpi/cdrs", "https://p.example/ocpi/cdrs/1234", "/1234", ""},
		{endpoint, "https://p.example/ocpi/cdrs?offset=10&limit=5", "", "offset=10&limit=5"},
		{endpoint, "?offset=10", "", "offset=10"},
		{endpoint, "https://p.example/ocpi/cdrs/?offset=10", "/", "offset=10"},
		{endpoint, "/ocpi/cdrs/a%2Fb", "/a%2Fb", ""},
		{endpoint, "/ocpi/cdrs/../cdrs/1", "/1", ""},
		{"https://p.example", "/cdr/1", "/cdr/1", ""},
		// The endpoint's own query is added again by the call.
		{endpoint + "?t=1", "?t=1&offset=10", "", "offset=10"},
		{endpoint + "?t=1", "?t=1", "", ""},
		{endpoint + "?t=1", "?t=10", "", "t=10"},
		{endpoint + "?t=1", "?offset=10", "", "offset=10"},
	} {
		path, query, ok := target(t, tt.endpoint).Relative(tt.link)
		if path != tt.path || query != tt.query || !ok {
			t.Errorf("%q from %s adds %q and %q, %v; want %q and %q", tt.link, tt.endpoint, path, query, ok, tt.path, tt.query)
		}
	}
}

func TestU4_LinksThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	for _, link := range []string{
		"https://evil.example/ocpi/cdrs/1", "//evil.example/ocpi/cdrs/1", "http://p.example/ocpi/cdrs/1",
		"https://p.example:8443/ocpi/cdrs/1", "https://p.example.evil/ocpi/cdrs/1", "https://u@p.example/ocpi/cdrs/1",
		"https://p.example/ocpi/cdrs/1#x", "https://p.example/ocpi/cdrs2/1", "https://p.example/ocpi", "/other/1",
		"/ocpi/cdrs/../credentials", "../credentials", "..", "/ocpi/cdrs/%2e%2e/credentials", "/ocpi/cdrs/%2E%2E%2Fx",
		"/ocpi/cdrs/x%2F..%2F..", "/ocpi/cdrs/..%5Cx", "/ocpi/cdrs/..;/x", "mailto:x@p.example", "javascript:alert(1)",
		"https://p.example/%zz", "/ocpi/cdrs/a%00", "ftp://p.example/ocpi/cdrs/1",
	} {
		if path, query, ok := target(t, "https://p.example/ocpi/cdrs").Relative(link); ok {
			t.Errorf("%q is taken for %q and %q", link, path, query)
		}
	}
}

func TestU4_WhatAPeerBehindAProxyCallsItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		link, path string
		ok         bool
	}{
		{"http://internal:8080/ocpi/cdrs/1234", "/1234", true},
		{"/ocpi/cdrs/1234", "/1234", true},
		{"https://evil.example/cdrs/1", "", false},
		{"https://evil.example/ocpi/cdrs/../x", "", false},
		{"https://u@p.example/ocpi/cdrs/1", "", false},
		{"mailto:x@p.example", "", false},
	} {
		if path, _, ok := target(t, "https://p.example/ocpi/cdrs").RelativePath(test.link); path != test.path || ok != test.ok {
			t.Errorf("%q is %q, %v", test.link, path, ok)
		}
	}
}

func TestRedirectedSlash(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		method, target string
		path           string
		status         int
		location       string
		want           slash
	}{
		{"one more", "POST", "https://x.test/cdrs", "", 307, "/cdrs/", withSlash},
		{"one more, permanently", "PUT", "https://x.test/a", "/b", 308, "https://x.test/a/b/", withSlash},
		{"one less", "POST", "https://x.test/cdrs/", "", 307, "/cdrs", withoutSlash},
		{"the query is not compared", "GET", "https://x.test/cdrs", "", 302, "/cdrs/?a=b", withSlash},
		{"another host, same path", "POST", "https://x.test/cdrs", "", 307, "http://y.test/cdrs/", withSlash},
		{"a write, moved", "POST", "https://x.test/cdrs", "", 302, "/cdrs/", asAdvertised},
		{"see other", "GET", "https://x.test/cdrs", "", 303, "/cdrs/", asAdvertised},
		{"another path", "GET", "https://x.test/cdrs", "", 307, "/v2/cdrs/", asAdvertised},
		{"the same path", "GET", "https://x.test/cdrs", "", 307, "/cdrs", asAdvertised},
		{"the root", "GET", "https://x.test/", "", 307, "", asAdvertised},
		{"two slashes", "GET", "https://x.test/cdrs", "", 307, "/cdrs//", asAdvertised},
		{"no URL", "GET", "https://x.test/cdrs", "", 307, "://", asAdvertised},
		{"nothing", "GET", "https://x.test/cdrs", "", 307, "", asAdvertised},
	} {
		target, err := ParseTarget(test.target)
		if err != nil {
			t.Fatal(err)
		}
		resp := &fasthttp.Response{}
		resp.SetStatusCode(test.status)
		resp.Header.Set("Location", test.location)
		call := &Call{Method: test.method, Target: &target, Path: test.path, Query: "q=1"}
		if got := call.redirectedSlash(&Answer{resp: resp}); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}
