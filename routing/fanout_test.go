package routing

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

func TestR3_OneLegForEachReceivingParty(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	two := s.station("two", accepts, "DEAAA", "DEBBB")
	one := s.station("one", accepts, "FRC")
	b := patch("Loc%2F1", "3256", "{ \"status\":\"CHARGING\",\n\"last_updated\":\"2026-01-31T12:00:00Z\", \"x\":1.50e3 }")
	b.Query = "a=%20b&c"
	receive(t, s.deliver(b))
	seen := map[string]bool{}
	for _, p := range []push{receive(t, two.got), receive(t, two.got), receive(t, one.got)} {
		if p.line != "PATCH /locations/NL/CPA/Loc%2F1/3256?a=%20b&c HTTP/1.1" || p.body != string(b.Body) {
			t.Errorf("got %q with %q: not the sender's bytes", p.line, p.body)
		}
		if p.header("OCPI-from-country-code") != "EU" || p.header("OCPI-from-party-id") != "BUS" {
			t.Errorf("FROM is not the hub: %s", p.head)
		}
		if p.header("X-Correlation-ID") != "c-1" {
			t.Errorf("R7: another X-Correlation-ID: %s", p.head)
		}
		seen[p.header("OCPI-to-country-code")+p.header("OCPI-to-party-id")] = true
		seen[p.header("X-Request-ID")] = true
	}
	if !seen["DEAAA"] || !seen["DEBBB"] || !seen["FRC"] || len(seen) != 6 {
		t.Errorf("got receivers and request ids %v, want three of each (R7)", seen)
	}
	nothingIn(t, one.got)
}

func TestR3_NoReceiverIsAnEndAsWell(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	receive(t, s.deliver(patch("L", "1", `{}`)))
	if got := receive(t, s.ended.legs); got.Total != 0 || len(got.Failed) != 0 {
		t.Errorf("got %+v", got)
	}
}

// EVSEs of one Location are one object: their changes keep their order, since a
// receiver may read a change of the one as news of the other.
func TestR5_ChangesOfOneObjectKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	jitter := func(push) string {
		for range rand.IntN(50) {
			runtime.Gosched()
		}
		return accepted
	}
	a, b := s.station("a", jitter, "DEAAA"), s.station("b", jitter, "DEBBB")
	objects := []string{"L0", "L1", "L2", "L3"}
	var done []chan struct{}
	for _, evse := range numbered("E%03d", 100) {
		for _, object := range objects {
			done = append(done, s.deliver(patch(object, evse, `{"status":"CHARGING"}`)))
		}
	}
	for _, d := range done {
		receive(t, d)
	}
	for _, st := range []*station{a, b} {
		last := map[string]string{}
		for range len(done) {
			path := strings.Split(receive(t, st.got).path(), "/")
			object, evse := path[4], path[5]
			if evse <= last[object] {
				t.Errorf("%s: %s came after %s", object, evse, last[object])
			}
			last[object] = evse
		}
		nothingIn(t, st.got)
	}
}

func TestS5_HangingAndDeadReceiversDelayNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, release := s.hanging("hanging", "DEHNG")
	s.station("dead", nil, "DEDED")
	healthy := s.station("healthy", accepts, "DEAAA")
	var done []chan struct{}
	for _, location := range numbered("L%d", 200) {
		done = append(done, s.deliver(patch(location, "1", `{"status":"CHARGING"}`)))
	}
	for range done {
		receive(t, healthy.got)
	}
	if got := receive(t, s.suspected); got != "dead" {
		t.Errorf("%s is suspected", got)
	}
	for _, d := range done {
		nothingIn(t, d)
	}
	release()
	for _, d := range done {
		receive(t, d)
		legs := receive(t, s.ended.legs)
		if legs.Total != 3 || legs.OK != 2 || len(legs.Failed) != 1 || legs.Failed[0].Outcome != OutcomeUnreachable {
			t.Fatalf("got %+v", legs)
		}
	}
	nothingIn(t, s.suspected) // told once in a while, not 200 times
}

func TestAtMostSixteenCallsOfAPlatformAreInFlight(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var inFlight, most atomic.Int32
	st := s.station("a", func(push) string {
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		runtime.Gosched()
		return accepted
	}, "DEAAA")
	var done []chan struct{}
	for _, location := range numbered("L%d", 300) {
		done = append(done, s.deliver(patch(location, "1", `{}`)))
	}
	for _, d := range done {
		receive(t, d)
	}
	if got := most.Load(); got > laneWidth {
		t.Errorf("%d at once", got)
	}
	if len(st.got) != 300 {
		t.Errorf("%d arrived", len(st.got))
	}
}

func TestO1_NothingIsKeptForAPlatformThatIsOffline(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	gone := s.station("gone", accepts, "DEAAA")
	s.goesOffline(gone)
	receive(t, s.deliver(patch("L", "1", `{}`)))
	legs := receive(t, s.ended.legs)
	want := []FailedLeg{{
		To: party(t, "DEAAA"), Platform: "gone", Outcome: OutcomeOffline, Detail: "not sent: the platform is not connected",
	}}
	if diff := cmp.Diff(want, legs.Failed); diff != "" {
		t.Error(diff)
	}
	nothingIn(t, gone.got)
}

func TestO1_WhatWaitsEndsWhenThePlatformGoesOffline(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	gone, release := s.hanging("gone", "DEAAA")
	first := s.deliver(patch("L", "1", `{}`))
	receive(t, gone.got)
	second := s.deliver(patch("L", "2", `{}`))
	s.goesOffline(gone)
	s.fanout.look() // as it does every second, though the call in flight hangs
	receive(t, second)
	if legs := receive(t, s.ended.legs); legs.Failed[0].Outcome != OutcomeOffline {
		t.Errorf("got %+v", legs)
	}
	release()
	receive(t, first)
	if legs := receive(t, s.ended.legs); legs.OK != 1 {
		t.Errorf("got %+v", legs)
	}
	nothingIn(t, gone.got)
}

func TestO1_NothingIsSentTwice(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		bytes   string
		outcome Outcome
		status  int
		code    ocpi.StatusCode
	}{
		"the connection ends": {"", OutcomeUnreachable, 0, 0},
		"HTTP 404":            {"HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n" + `{"status_code":2004}`, OutcomeClientError, 404, 2004},
		"HTTP 500":            {"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", OutcomeBadAnswer, 500, 0},
		"no HTTP":             {"hello\r\n\r\n", OutcomeBadAnswer, 0, 0},
		"2003":                {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + `{"status_code":2003}`, OutcomeClientError, 200, 2003},
		"3000":                {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + `{"status_code":3000}`, OutcomeServerError, 200, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var n atomic.Int32
			s.station("a", func(push) string { n.Add(1); return answer.bytes }, "DEAAA")
			receive(t, s.deliver(patch("L", "1", `{}`)))
			legs := receive(t, s.ended.legs)
			if len(legs.Failed) != 1 || n.Load() != 1 {
				t.Fatalf("got %+v after %d calls", legs, n.Load())
			}
			f := legs.Failed[0]
			if f.Outcome != answer.outcome || f.HTTPStatus != answer.status || f.OCPIStatus != answer.code || f.RequestID == "" {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestS3_ALegIsBoundedByTheTimeout(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	held := make(chan struct{})
	var n atomic.Int32
	s.station("slow", func(push) string {
		if n.Add(1) > 1 { // the first opens the connection
			<-held
		}
		return accepted
	}, "DEAAA")
	t.Cleanup(func() { close(held) })
	receive(t, s.deliver(patch("L", "1", `{}`)))
	receive(t, s.ended.legs)
	s.fanout.cfg.Timeout = 2 * time.Second // enough to write to an open connection
	receive(t, s.deliver(patch("L", "2", `{}`)))
	legs := receive(t, s.ended.legs)
	if len(legs.Failed) != 1 || legs.Failed[0].Outcome != OutcomeTimeout || legs.Failed[0].Duration < 1980*time.Millisecond { // peer: a hundredth earlier at most
		t.Errorf("got %+v", legs)
	}
	if got := receive(t, s.suspected); got != "slow" {
		t.Errorf("%s is suspected", got)
	}
}

func TestO5_ClientInfoComesBeforeAPartysObjects(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	held := make(chan struct{})
	st := s.station("a", func(p push) string {
		if strings.HasPrefix(p.path(), "/hubclientinfo") {
			<-held
		}
		return accepted
	}, "DEAAA")
	info := ocpi.ClientInfo{
		CountryCode: "NL", PartyID: "CPA", Role: ocpi.RoleCPO, Status: ocpi.Connected, LastUpdated: "2026-01-31T12:00:00.000Z",
	}
	s.fanout.PushClientInfo(s.legs[0].Receiver, info)
	got := receive(t, st.got)
	if got.line != "PUT /hubclientinfo/NL/CPA HTTP/1.1" || got.body != `{"party_id":"CPA","country_code":"NL","role":"CPO","status":"CONNECTED","last_updated":"2026-01-31T12:00:00.000Z"}` {
		t.Errorf("got %q %s", got.line, got.body)
	}
	if strings.Contains(got.head, "OCPI-") || got.header("X-Request-ID") == "" || got.header("X-Correlation-ID") == "" {
		t.Errorf("R1: got %s", got.head)
	}
	waits := s.deliver(patch("L", "1", `{}`))
	other, waitingFor := patch("L", "1", `{}`), party(t, "NLCPA")
	other.Owner, other.Object = party(t, "NLCPB"), "locations/NLCPB/l"
	receive(t, s.deliver(other)) // the objects of others do not wait
	receive(t, st.got)
	nothingIn(t, waits)
	nothingIn(t, st.got)
	s.fanout.Announced(ended(t), []ocpi.PartyKey{other.Owner, waitingFor}) // it gives up
	s.fanout.Announced(t.Context(), []ocpi.PartyKey{other.Owner})          // nothing is under way
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		s.fanout.Announced(t.Context(), []ocpi.PartyKey{other.Owner, waitingFor})
	}()
	nothingIn(t, announced)
	close(held)
	receive(t, announced)
	receive(t, waits)
	receive(t, st.got)
	s.fanout.Announced(t.Context(), []ocpi.PartyKey{waitingFor})
	if len(s.fanout.Lanes()) != 0 && s.fanout.Queued() != 0 {
		t.Errorf("left: %v", s.fanout.Lanes())
	}
}

func TestO5_APlatformWithoutTheEndpointIsSkipped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	st := s.station("a", accepts, "DEAAA")
	st.platform.Endpoints = st.platform.Endpoints[:2]
	s.fanout.PushClientInfo(s.put(st), ocpi.ClientInfo{CountryCode: "NL", PartyID: "CPA", Role: ocpi.RoleCPO})
	if n := s.fanout.Queued(); n != 0 {
		t.Errorf("%d queued", n)
	}
}

func TestLegsAreCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.station("a", accepts, "DEAAA")
	s.station("b", nil, "DEBBB")
	registry := prometheus.NewRegistry()
	s.fanout.metrics = newLegMetrics(registry, s.fanout.Queued)
	receive(t, s.deliver(patch("L", "1", `{}`)))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			switch name := family.GetName(); {
			case m.Histogram != nil:
				got[name] = float64(m.Histogram.GetSampleCount())
			case m.Counter != nil && m.Counter.GetValue() > 0:
				got[name+" "+m.Label[0].GetValue()+" "+m.Label[1].GetValue()] = m.Counter.GetValue()
			}
		}
	}
	want := map[string]float64{
		"busbar_broadcast_legs_total locations ok": 1, "busbar_broadcast_legs_total locations unreachable": 1,
		"busbar_broadcast_lag_seconds": 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
