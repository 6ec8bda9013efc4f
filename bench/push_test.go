//go:build linux

package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// A backend plays hub and receiver at once here: what is pushed to it is
// delivered.
func TestPusher(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		whole  bool
		pace   pace
		pushes int // 0: some
		want   string
	}{
		{"Locations, as many as there are", true, pace{Count: 30}, 30, ""},
		{"statuses, some under way", false, pace{Count: 50, Window: 4, Receivers: 1}, 50, ""},
		{"for a time", false, pace{Duration: 20 * time.Millisecond, Window: 4, Receivers: 1}, 0, ""},
		{"every millisecond", false, pace{Count: 5, Interval: time.Millisecond, Receivers: 1}, 5, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, err := newBackend(blocking)
			if err != nil {
				t.Fatal(err)
			}
			serving(t, b, io.Discard)
			f, err := newField(20, 4)
			if err != nil {
				t.Fatal(err)
			}
			result, err := push(loadPush{
				Target: f.target(b.addr), Connections: 3, Whole: c.whole, Objects: 20, Pace: c.pace, Backend: b.addr,
			}, blocking)
			if err != nil {
				t.Fatal(err)
			}
			if c.pushes > 0 && result.Requests != uint64(c.pushes) || result.Requests == 0 {
				t.Errorf("%d pushes, want %d", result.Requests, c.pushes)
			}
			if want := uint64(c.pace.Receivers) * result.Requests; result.Push.Delivered != want || result.Push.InTime > want {
				t.Errorf("%d delivered, %d in time, want %d", result.Push.Delivered, result.Push.InTime, want)
			}
			if c.pace.Interval > 0 && result.Elapsed < 4*c.pace.Interval {
				t.Errorf("5 pushes took %v", result.Elapsed)
			}
			if result.Push.Bytes == 0 {
				t.Error("the bodies have no bytes")
			}
		})
	}
}

func TestPushIsDealtToPlatformsAndParties(t *testing.T) {
	t.Parallel()
	f, err := newField(20, 4) // two CPOs with five parties each
	if err != nil {
		t.Fatal(err)
	}
	p := &pusher{loadPush: loadPush{Target: f.target("h"), Objects: 20}}
	owners := make(map[string]int)
	bodies := make(map[string]bool)
	for range 40 {
		head, body, err := newWire(bytesReader(p.compose(time.Unix(0, 0)))).next()
		if err != nil {
			t.Fatal(err)
		}
		owner := headerOf(head, ocpi.HeaderFromCountryCode) + headerOf(head, ocpi.HeaderFromPartyID)
		owners[owner]++
		key, err := ocpi.ParsePartyKey(owner[:2], owner[2:])
		if err != nil {
			t.Fatal(err)
		}
		from, _ := f.platformOf(key)
		if got := headerOf(head, "Authorization"); got != from.Inbound.Authorization(ocpi.TokenBase64) || from.Role != ocpi.RoleCPO {
			t.Errorf("%s pushes with another's token", owner)
		}
		if to := headerOf(head, ocpi.HeaderToCountryCode) + headerOf(head, ocpi.HeaderToPartyID); to != hubParty.String() {
			t.Errorf("pushed to %s, want the hub", to)
		}
		line, _, _ := strings.Cut(string(head), " HTTP")
		bodies[line+string(body)] = true
		p.Pushed++
	}
	if len(owners) != 10 || len(bodies) != 40 {
		t.Errorf("%d owners push %d different things, want 10 and 40: %v", len(owners), len(bodies), owners)
	}
}

func TestBackendKeepsHangingPlatformsWaiting(t *testing.T) {
	t.Parallel()
	b, err := newBackend(blocking)
	if err != nil {
		t.Fatal(err)
	}
	serving(t, b, io.Discard)
	s, err := dial(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// The push is not answered, what follows on the connection is.
	text := "PUT /" + hanging + "7/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET /" + hanging + "7/ocpi/versions HTTP/1.1\r\nHost: h\r\n\r\n"
	if _, err := s.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	p, err := newPoller(0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.add(int(s), 0); err != nil {
		t.Fatal(err)
	}
	if ready, err := p.wait(time.Now().Add(late)); err != nil || len(ready) == 0 {
		t.Fatalf("no answer: %v", err)
	}
	if _, body, err := newWire(s).next(); err != nil || !strings.Contains(string(body), `"version"`) {
		t.Errorf("%s, %v, want the versions", body, err)
	}
}
