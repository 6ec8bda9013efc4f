//go:build linux

package main

import (
	"strings"
	"testing"

	"busbar/ocpi"
)

// known makes a field whose tokens the tests know.
func known(t *testing.T) field {
	t.Helper()
	f, err := newField(4, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f {
		f[i].Inbound = token(t, "in-"+f[i].Name)
		f[i].Outbound = token(t, "out-"+f[i].Name)
	}
	return f
}

func token(t *testing.T, s string) ocpi.CredentialsToken {
	t.Helper()
	parsed, err := ocpi.ParseCredentialsToken(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line) {
			t.Errorf("missing %q in:\n%s", line, text)
		}
	}
}

func TestNginxConf(t *testing.T) {
	t.Parallel()
	f := known(t)
	s := nginxSettings{Dir: "/run/x", Addr: "127.0.0.1:7", Backend: "127.0.0.1:9"}
	conf := nginxConf(s, f)
	wantLines(t, conf,
		"listen 127.0.0.1:7 reuseport;",
		"pid /run/x/nginx.pid;",
		"\t\t\"Token aW4tcDA=\" p0;\n\t\t\"Token aW4tcDE=\" p1;\n",
		"\t\tNL000 p0;\n\t\tDE001 p0;\n\t\tFR002 p1;\n\t\tBE003 p1;\n",
		"\t\tp0 \"Token b3V0LXAw\";\n",
		"upstream p1 { server 127.0.0.1:9; keepalive 64;",
		"proxy_set_header X-Request-ID $request_id;",
	)
	if strings.Contains(conf, "%!") {
		t.Errorf("a verb was left over:\n%s", conf)
	}
	if strings.HasPrefix(conf, "user") {
		t.Error("only root names a user")
	}
	s.Root = true
	wantLines(t, nginxConf(s, f), "user root;\n")
}

func TestHAProxyConf(t *testing.T) {
	t.Parallel()
	f := known(t)
	conf := haproxyConf("/run/x", "127.0.0.1:7", "127.0.0.1:9", f)
	wantLines(t, conf,
		"nbthread 2\n",
		"bind 127.0.0.1:7\n",
		`deny_status 401 unless { req.hdr(Authorization),word(2,\ ),map_str(/run/x/callers.map) -m found }`,
		"set-path /%[var(txn.receiver)]%[path]\n",
		"backend p1\n\tserver p1 127.0.0.1:9\n",
	)
	if strings.Contains(conf, "%!") {
		t.Errorf("a verb was left over:\n%s", conf)
	}
	wantLines(t, haproxyCallers(f), "aW4tcDA= p0\n", "aW4tcDE= p1\n")
	wantLines(t, haproxyParties(f), "NL000 p0\n", "BE003 p1\n")
	wantLines(t, haproxyOutbound(f), "p1 Token b3V0LXAx\n")
}
