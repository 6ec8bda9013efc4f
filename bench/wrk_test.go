//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestReadWrk(t *testing.T) {
	t.Parallel()
	const head = "Running 1s test @ http://127.0.0.1:1/\n  2 threads and 100 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   500.00us\n"
	const tail = "Requests/sec: 193484.10\nTransfer/sec:     31.15MB\n"
	for _, c := range []struct {
		name, text string
		want       sample
		err        string
	}{
		{"a run", head + "  212832 requests in 1.10s, 34.26MB read\n" + tail, sample{Requests: 212832, Elapsed: 1100 * time.Millisecond}, ""},
		{"a short one", head + "  3 requests in 998.11ms, 34.26KB read\n" + tail, sample{Requests: 3, Elapsed: 998110 * time.Microsecond}, ""},
		{"wrong answers", head + "  5 requests in 1.10s, 1KB read\n  Non-2xx or 3xx responses: 5\n" + tail, sample{}, "Non-2xx or 3xx responses: 5"},
		{"lost connections", head + "  5 requests in 1.10s, 1KB read\n  Socket errors: connect 0, read 2, write 0, timeout 0\n" + tail, sample{}, "read 2"},
		{"something else", "wrk: no such host", sample{}, "no total"},
	} {
		got, err := readWrk(c.text)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestWrkSendsWhatArrived(t *testing.T) {
	t.Parallel()
	head := "PATCH /p4/x/y HTTP/1.1\r\nHost: h\r\nAuthorization: Token a=\r\nContent-Length: 9\r\nX-Request-ID: 1:2"
	url, script, err := wrkRequest("127.0.0.1:7", []byte(head), []byte("{\"a\":\"\\\n\"}"))
	if err != nil || url != "http://127.0.0.1:7/p4/x/y" {
		t.Errorf("URL %s, %v", url, err)
	}
	want := `wrk.method = "PATCH"
wrk.body = "{\034a\034:\034\092\010\034}"
wrk.headers["Authorization"] = "Token a="
wrk.headers["X-Request-ID"] = "1:2"
`
	if script != want {
		t.Errorf("script\n%swant\n%s", script, want)
	}
	if _, _, err := wrkRequest("h", []byte("nonsense"), nil); err == nil {
		t.Error("nonsense is a request")
	}
}
