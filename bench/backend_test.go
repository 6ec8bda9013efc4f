//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"busbar/ocpi"
)

func TestBackendPlaysEveryPlatform(t *testing.T) {
	t.Parallel()
	b := &backend{addr: "127.0.0.1:9"}
	b.success = response(200, ocpi.Envelope(nil, ocpi.Success, "Success"))
	ask := func(head string) (status int, data json.RawMessage) {
		t.Helper()
		gotHead, body, err := newWire(script{Reader: strings.NewReader(string(b.answer([]byte(head), []byte("12"))))}).next()
		if err != nil {
			t.Fatal(err)
		}
		var envelope struct {
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(body, &envelope); err != nil {
			t.Fatal(err)
		}
		return statusOf(gotHead), envelope.Data
	}
	for _, c := range []struct {
		head   string
		status int
		want   string // part of the data
	}{
		{"PUT /p3/ocpi/2.2.1/receiver/locations/NL/ABC/L HTTP/1.1\r\nHost: x", 200, ""},
		{"PATCH /p3/ocpi/2.2.1/receiver/locations/NL/ABC/L HTTP/1.1\r\nHost: x", 200, ""},
		{"PUT /p3/ECHO/1 HTTP/1.1\r\nHost: x", 200, `{"head":"PUT /p3/ECHO/1 HTTP/1.1\r\nHost: x","body_bytes":2}`},
		{"GET /p3/ocpi/versions HTTP/1.1", 200, `[{"version":"2.2.1","url":"http://127.0.0.1:9/p3/ocpi/2.2.1"}]`},
		{"GET /p3/ocpi/2.2.1 HTTP/1.1", 200, `{"identifier":"locations","role":"RECEIVER","url":"http://127.0.0.1:9/p3/ocpi/2.2.1/receiver/locations"}`},
		{"GET /p3/ocpi/2.3.0 HTTP/1.1", 404, ""},
		{"POST /p3/ocpi/versions HTTP/1.1", 404, ""},
	} {
		status, data := ask(c.head)
		if status != c.status || !strings.Contains(string(data), c.want) {
			t.Errorf("%q: %d %s, want %d %s", c.head, status, data, c.status, c.want)
		}
	}
	if _, data := ask("GET /p3/ocpi/2.2.1 HTTP/1.1"); strings.Contains(string(data), "hubclientinfo") {
		t.Error("a platform is a Receiver of hubclientinfo")
	}
}

func TestBackendServesConnectionsAndTellsWhatItUsed(t *testing.T) {
	t.Parallel()
	for _, how := range []waiting{polling, blocking} {
		b, err := newBackend(how)
		if err != nil {
			t.Fatal(err)
		}
		lines, out := io.Pipe()
		p := &platforms{process: &process{in: serving(t, b, out)}, lines: bufio.NewReader(lines)}
		before, err := p.used()
		if err != nil {
			t.Fatal(err)
		}
		f := known(t)
		for range 3 {
			r := newRequest(putLocation(), b.addr, f.target("").Callers[0], f[0].Parties[0])
			head, _, err := exchangeOnce(b.addr, r, f[1].Parties[0])
			if err != nil || statusOf(head) != 200 {
				t.Fatalf("%s: %q, %v", how, head, err)
			}
		}
		if after, err := p.used(); err != nil || after <= before {
			t.Errorf("%s: used %v, then %v, %v: want more", how, before, after, err)
		}
	}
}
