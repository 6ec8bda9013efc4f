//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// answering listens and answers every request on every connection the same.
func answering(t *testing.T, answer []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go (&backend{success: answer}).serve(conn)
		}
	}()
	return listener.Addr().String()
}

func TestLoadGenerator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer []byte
		want   string // part of the error; empty: none
	}{
		{"1000", response(200, []byte(`{"status_code" : 1000}`)), ""},
		{"an OCPI error", response(200, ocpi.Envelope(nil, ocpi.ConnectionProblem, "gone")), "not a 1000"},
		{"an HTTP error", response(502, ocpi.Envelope(nil, ocpi.Success, "")), "not a 1000"},
		{"no envelope", response(200, []byte("ok")), "not a 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := known(t)
			open := loadOpen{Target: f.target(answering(t, c.answer)), Connections: 3, Work: patchEVSE().Name}
			var in, out bytes.Buffer
			commands := json.NewEncoder(&in)
			for _, command := range []loadCommand{
				{Contestant: "x", Open: &open},
				{Contestant: "x", Slice: &loadSlice{Duration: time.Millisecond}},
				{Contestant: "x", Close: true},
			} {
				if err := commands.Encode(command); err != nil {
					t.Fatal(err)
				}
			}
			if err := serveLoad(&in, &out); err != nil {
				t.Fatal(err)
			}
			var opened, slice loadResult
			results := json.NewDecoder(&out)
			if err := results.Decode(&opened); err != nil || opened.Error != "" {
				t.Fatalf("open: %v %s", err, opened.Error)
			}
			if err := results.Decode(&slice); err != nil {
				t.Fatal(err)
			}
			if slice.Requests < 3 || slice.Elapsed <= 0 {
				t.Errorf("slice %+v, want a request on every connection", slice)
			}
			if c.want == "" && slice.Error != "" || !strings.Contains(slice.Error, c.want) {
				t.Errorf("error %q, want %q", slice.Error, c.want)
			}
		})
	}
}

func TestConnectionsTourAllReceivers(t *testing.T) {
	t.Parallel()
	f, err := newField(40, 4)
	if err != nil {
		t.Fatal(err)
	}
	target := f.target(answering(t, response(200, ocpi.Envelope(nil, ocpi.Success, ""))))
	conns, err := openConnections(loadOpen{Target: target, Connections: 5, Work: putLocation().Name})
	if err != nil {
		t.Fatal(err)
	}
	reached := make(map[string]bool)
	for _, c := range conns {
		defer c.wire.conn.Close()
		for range len(target.Receivers) / len(conns) {
			if err := c.exchange(); err != nil {
				t.Fatal(err)
			}
			reached[headerOf(c.request.bytes, ocpi.HeaderToCountryCode)+headerOf(c.request.bytes, ocpi.HeaderToPartyID)] = true
		}
	}
	if len(reached) != len(target.Receivers) {
		t.Errorf("%d receivers reached, want %d", len(reached), len(target.Receivers))
	}
}
