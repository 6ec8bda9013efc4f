package hub_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// location is a small Location of NL/CPA.
func location(id string, updated time.Time, more string) string {
	return fmt.Sprintf(`{"country_code":"NL","party_id":"CPA","id":%q%s,"operator":{"name":"A"},"last_updated":%q}`,
		id, more, updated.UTC().Format(time.RFC3339))
}

// broadcast pushes to the hub as a CPO does, and holds that it was accepted.
func broadcast(t *testing.T, p *hubtest.Platform, method, path, body string) {
	t.Helper()
	wantHTTP(t, method+" "+path, p.Send(hubtest.Request{
		Method: method, Path: "/ocpi/2.2.1/receiver/" + path, To: "EU/BUS", Body: body,
	}), 200, 1000)
}

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// hangs makes a platform take Locations and not answer before the test ends.
func hangs(t *testing.T, p *hubtest.Platform) {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	p.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/receiver/locations") {
			return false
		}
		<-ended
		return true
	})
}

// hangUp ends the connection in place of an answer.
func hangUp(w http.ResponseWriter) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		c.Close()
	}
}

func TestS5_HangingAndDeadReceiversDelayNobody(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ForwardTimeout = time.Hour })
	cpo, healthy := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("healthy", "DE/MSP:EMSP")
	slow, dead := h.Platform("hanging", "DE/HNG:EMSP"), h.Platform("dead", "DE/DED:EMSP")
	hangs(t, slow)
	dead.Server.CloseClientConnections()
	dead.Server.Close()

	const pushes = 100
	for i := range pushes {
		id := fmt.Sprintf("LOC%d", i)
		broadcast(t, cpo, "PUT", "locations/NL/CPA/"+id, location(id, newYear, ""))
	}
	healthy.AwaitReceived(pushes) // which gives up long before the hub does on the one that hangs
}

func TestR3_TheOrderOfOneObjectIsKept(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	receivers := []*hubtest.Platform{h.Platform("one", "DE/ONE:EMSP"), h.Platform("two", "DE/TWO:NSP", "DE/THR:OTHER")}
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, `,"evses":[{"uid":"E1","last_updated":"2026-01-01T00:00:00Z"}]`))
	const patches = 100
	for i := range patches {
		// Fields differ, so that none makes another pointless.
		broadcast(t, cpo, "PATCH", "locations/NL/CPA/LOC1/E1", fmt.Sprintf(`{"x%d":%d,"last_updated":"2026-01-02T00:00:00Z"}`, i, i))
	}
	for i, r := range receivers {
		got := r.AwaitReceived((patches + 1) * (i + 1))
		next := map[string]int{}
		for _, one := range got {
			to := one.Header.Get("OCPI-to-party-id")
			if n := next[to]; n > 0 && !strings.Contains(one.Body, fmt.Sprintf(`"x%d":`, n-1)) {
				t.Fatalf("%s: leg %d is %s %s", to, n, one.Method, one.Body)
			}
			next[to]++
		}
	}
}

func TestR3_AQueuedUpdateThatANewerOneMakesPointlessIsDropped(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	release := make(chan struct{})
	var once sync.Once
	arrived := make(chan struct{})
	msp.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == "PUT" && strings.HasPrefix(r.URL.Path, "/receiver/locations") {
			once.Do(func() { close(arrived) })
			<-release
		}
		return false
	})
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, `,"evses":[{"uid":"E1","last_updated":"2026-01-01T00:00:00Z"}]`))
	<-arrived // the lane is busy with this object
	for i := range 50 {
		broadcast(t, cpo, "PATCH", "locations/NL/CPA/LOC1/E1", fmt.Sprintf(`{"status":"S%d","last_updated":"2026-01-02T00:00:00Z"}`, i))
	}
	broadcast(t, cpo, "PATCH", "locations/NL/CPA/LOC1/E1", `{"floor":"1","last_updated":"2026-01-02T00:00:00Z"}`)
	close(release)
	got := msp.AwaitReceived(3)
	if len(got) != 3 || !strings.Contains(got[1].Body, `"S49"`) || !strings.Contains(got[2].Body, "floor") {
		t.Errorf("received %v, want the PUT, the last status and the floor", got)
	}
}

func TestO1_AnOfflineReceiverGetsNothingAndFindsAllWhenItIsBack(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	witness := h.Platform("witness", "DE/WIT:EMSP")
	var down sync.Mutex
	isDown := false
	msp.Intercepts(func(w http.ResponseWriter, _ *http.Request) bool {
		down.Lock()
		defer down.Unlock()
		if isDown {
			hangUp(w)
		}
		return isDown
	})
	setDown := func(d bool) { down.Lock(); defer down.Unlock(); isDown = d }

	setDown(true)
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, ""))
	told := func(p *hubtest.Platform, status string) {
		p.Await("OFFLINE told", func() bool {
			for _, m := range p.Told() {
				if m.URI == "/receiver/hubclientinfo/DE/MSP" && strings.Contains(m.Body, `"status":"`+status+`"`) {
					return true
				}
			}
			return false
		})
	}
	told(witness, "OFFLINE") // the failed leg made the hub look
	witness.Forget()
	setDown(false)
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC2", location("LOC2", newYear, ""))
	witness.AwaitReceived(1)
	msp.WantNothing()
	// Any request makes it CONNECTED again; it catches up by GET.
	got := msp.List("locations", "EU/BUS")
	wantHTTP(t, "GET All", got, 200, 1000)
	if total := got.Header.Get("X-Total-Count"); total != "2" {
		t.Errorf("X-Total-Count %s, want 2", total)
	}
	told(witness, "CONNECTED")
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC3", location("LOC3", newYear, ""))
	msp.AwaitReceived(1)
}

func TestO5_ANewPartyIsToldBeforeItsFirstObject(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	msp := h.Platform("msp", "DE/MSP:EMSP")
	release := make(chan struct{})
	var mu sync.Mutex
	var order []string
	msp.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/receiver/") {
			return false
		}
		if strings.HasPrefix(r.URL.Path, "/receiver/hubclientinfo/NL/CPA") {
			<-release
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
		return false
	})
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, ""))
	close(release)
	msp.AwaitReceived(1)
	mu.Lock()
	defer mu.Unlock()
	if last := order[len(order)-1]; len(order) < 2 || last != "/receiver/locations/NL/CPA/LOC1" {
		t.Errorf("the platform was sent %v, want the ClientInfo first", order)
	}
}

func TestSuppression_OnlyWhatChangesIsSentOnWhenTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	for _, suppress := range []bool{false, true} {
		h := hubtest.Start(t, func(c *hub.Config) { c.SuppressUnchanged = suppress })
		cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
		for i := range 3 {
			broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear.Add(time.Duration(i)*time.Hour), ""))
		}
		broadcast(t, cpo, "PUT", "locations/NL/CPA/LOC1", location("LOC1", newYear, `,"name":"new"`))
		want := 4
		if suppress {
			want = 2
		}
		last := msp.AwaitReceived(1)
		msp.Await("the last", func() bool {
			last = msp.Received()
			return strings.Contains(last[len(last)-1].Body, `"new"`)
		})
		// Superseded legs may be missing when nothing is suppressed.
		if len(last) > want || suppress && len(last) != want {
			t.Errorf("suppress %v: %d legs, want %d", suppress, len(last), want)
		}
	}
}

func TestS1_BrokenUTF8IsInvalidJSON(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	for name, push := range map[string]struct {
		by         *hubtest.Platform
		path, body string
	}{
		"a Location": {cpo, "locations/NL/CPA/LOC1", location("LOC1", newYear, ",\"name\":\"\xff\"")},
		"a Token":    {msp, "tokens/DE/MSP/U1", "{\"uid\":\"U1\",\"visual_number\":\"\xc3\"}"},
	} {
		got := push.by.Send(hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/" + push.path, To: "EU/BUS", Body: push.body})
		wantHTTP(t, name, got, http.StatusBadRequest, 2000)
	}
	if got := append(cpo.Received(), msp.Received()...); len(got) > 0 {
		t.Errorf("they were sent %v", got)
	}
}

// A receiver that is in the middle of an answer when the hub is told to stop
// gets everything that was accepted before.
func TestStop_WhatWasAcceptedIsSentBeforeTheHubEnds(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	held, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	msp.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/receiver/locations") {
			first.Do(func() { close(held) })
			<-release
		}
		return false
	})
	const pushes = 40 // more than are in flight at a time
	for i := range pushes {
		id := fmt.Sprintf("LOC%d", i)
		broadcast(t, cpo, "PUT", "locations/NL/CPA/"+id, location(id, newYear, ""))
	}
	<-held
	stopped := make(chan struct{})
	go func() { defer close(stopped); h.Stop() }()
	for { // until both listeners are closed: broadcasts are all that is left
		resp, err := http.Get(h.AdminURL + "/healthz")
		if err != nil {
			break
		}
		resp.Body.Close()
	}
	close(release)
	<-stopped
	if got := len(msp.Received()); got != pushes {
		t.Errorf("%d of %d accepted pushes arrived", got, pushes)
	}
}
