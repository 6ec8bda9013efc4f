//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// answering is the address of a backend that gives every request the same
// answer.
func answering(t *testing.T, answer []byte) string {
	t.Helper()
	b, err := newBackend(blocking)
	if err != nil {
		t.Fatal(err)
	}
	b.success = answer
	serving(t, b, io.Discard)
	return b.addr
}

// serving runs the backend until the test ends, and returns its control.
func serving(t *testing.T, b *backend, out io.Writer) *os.File {
	t.Helper()
	control, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	fd := int(control.Fd())
	go func() { served <- b.serve(fd, out) }()
	t.Cleanup(func() {
		end.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		control.Close()
	})
	return end
}

func TestLoadGenerator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer []byte
		how    waiting
		want   string // part of the error; empty: none
	}{
		{"1000", response(200, []byte(`{"status_code" : 1000}`)), blocking, ""},
		{"1000 to one that polls", response(200, []byte(`{"status_code" : 1000}`)), polling, ""},
		{"an OCPI error", response(200, ocpi.Envelope(nil, ocpi.ConnectionProblem, "gone")), blocking, "not a 1000"},
		{"an HTTP error", response(502, ocpi.Envelope(nil, ocpi.Success, "")), polling, "not a 1000"},
		{"no envelope", response(200, []byte("ok")), blocking, "not a 1000"},
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
			if err := serveLoad(&in, &out, c.how); err != nil {
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
	c, err := openCrowd(loadOpen{Target: target, Connections: 5, Work: putLocation().Name}, blocking)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	reached := make(map[string]bool)
	for range len(target.Receivers) / len(c.conns) {
		if err := c.exchange(time.Now()); err != nil { // one request on each
			t.Fatal(err)
		}
		for _, conn := range c.conns {
			reached[headerOf(conn.request.bytes, ocpi.HeaderToCountryCode)+headerOf(conn.request.bytes, ocpi.HeaderToPartyID)] = true
		}
	}
	if len(reached) != len(target.Receivers) {
		t.Errorf("%d receivers reached, want %d", len(reached), len(target.Receivers))
	}
}

func TestSliceOfAContestantThatEnds(t *testing.T) {
	t.Parallel()
	listener, addr, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	c, err := openCrowd(loadOpen{Target: known(t).target(addr), Connections: 2, Work: patchEVSE().Name}, polling)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	listener.Close()
	if _, err := c.slice(time.Millisecond); err == nil {
		t.Error("a slice without answers counts")
	}
	if _, err := (*crowd)(nil).slice(time.Millisecond); err == nil {
		t.Error("a slice without connections counts")
	}
}
