package hub_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// patience is how long a message waits for a lesson here. Only one that waits in
// vain, or whose news are lost, waits so long.
const patience = 15 * time.Second

// twoReplicas are two hubs and the parties that both know: two CPOs, an eMSP.
type twoReplicas struct {
	t             *testing.T
	hubs          [2]*hubtest.Hub
	cpa, cpb, msp *hubtest.Platform
	other         *hubtest.Platform
}

func newTwoReplicas(t *testing.T) *twoReplicas {
	t.Helper()
	both := shared(t)
	// The news must come before the patience ends, and on a machine that others
	// use a quarter of a second is no time. The waiting itself is proven in routing,
	// on a bubble's clock.
	patient := func(c *hub.Config) { both(c); c.LessonPatience = patience }
	r := &twoReplicas{t: t, hubs: [2]*hubtest.Hub{hubtest.Start(t, patient), hubtest.Start(t, patient)}}
	one := r.hubs[0]
	r.cpa, r.cpb = one.Platform("cpa", "NL/CPA:CPO"), one.Platform("cpb", "DE/CPB:CPO")
	r.msp, r.other = one.Platform("msp", "DE/MSP:EMSP"), one.Platform("other", "NL/MSP:EMSP")
	for _, p := range []*hubtest.Platform{r.cpa, r.cpb, r.msp, r.other} {
		eventually(t, "known at the other", func() *hubtest.Response {
			return get(r.hubs[1], t, "/ocpi/versions", p.TokenC)
		}, 200, 1000)
	}
	// All of them are there when the last is.
	eventually(t, "the last party", func() *hubtest.Response {
		return r.send(1, r.cpa, "GET", "sender/tokens", "NL/MSP", "")
	}, 200, 1000)
	return r
}

func (r *twoReplicas) send(at int, p *hubtest.Platform, method, path, to, body string) *hubtest.Response {
	r.t.Helper()
	return r.hubs[at].Send(r.t, hubtest.Request{Method: method, Path: "/ocpi/2.2.1/" + path, Token: p.TokenC, To: to, Body: body})
}

func session(id, msp string) string {
	return fmt.Sprintf(`{"id":%q,"cdr_token":{"country_code":%q,"party_id":%q,"uid":"U-%s","type":"RFID"}}`, id, msp[:2], msp[3:], id)
}

func TestM1_ReplicasAgreeOnWhatIsAmbiguous(t *testing.T) {
	t.Parallel()
	r := newTwoReplicas(t)
	stop := func(at int) *hubtest.Response {
		return r.send(at, r.msp, "POST", "receiver/commands/STOP_SESSION", "", `{"response_url":"https://msp.test/1","session_id":"AMB"}`)
	}
	r.cpa.Answers(hubtest.Answer{Status: 200, Body: `{"status_code":1000,"data":{"result":"ACCEPTED","timeout":5},"timestamp":"2026-01-01T00:00:00Z"}`})
	r.cpb.Answers(hubtest.Answer{Status: 200, Body: `{"status_code":1000,"data":{"result":"ACCEPTED","timeout":5},"timestamp":"2026-01-01T00:00:00Z"}`})

	wantHTTP(t, "CPA's PUT at 0", r.send(0, r.cpa, "PUT", "receiver/sessions/NL/CPA/AMB", "", session("AMB", "DE/MSP")), 200, 1000)
	eventually(t, "STOP at 1", func() *hubtest.Response { return stop(1) }, 200, 1000)
	wantHTTP(t, "CPB's PUT at 0", r.send(0, r.cpb, "PUT", "receiver/sessions/DE/CPB/AMB", "", session("AMB", "DE/MSP")), 200, 1000)
	eventually(t, "CPB's PATCH at 1", func() *hubtest.Response {
		return r.send(1, r.cpb, "PATCH", "receiver/sessions/DE/CPB/AMB", "", `{"kwh":1}`)
	}, 200, 1000)
	for at := range r.hubs {
		var got *hubtest.Response
		eventually(t, fmt.Sprint("STOP at ", at, ", of two"), func() *hubtest.Response { got = stop(at); return got }, 200, 2001)
		wantMessage(t, got, "CPA")
		wantMessage(t, got, "CPB")
	}

	reserve := func(cpo string) *hubtest.Response {
		return r.send(0, r.msp, "POST", "receiver/commands/RESERVE_NOW", cpo,
			`{"response_url":"https://msp.test/2","reservation_id":"R1","location_id":"L1","token":{"uid":"1"},"expiry_date":"2026-01-01T00:00:00Z"}`)
	}
	cancel := func() *hubtest.Response {
		return r.send(1, r.msp, "POST", "receiver/commands/CANCEL_RESERVATION", "", `{"response_url":"https://msp.test/3","reservation_id":"R1"}`)
	}
	wantHTTP(t, "RESERVE_NOW to CPA at 0", reserve("NL/CPA"), 200, 1000)
	eventually(t, "CANCEL at 1", cancel, 200, 1000)
	wantHTTP(t, "RESERVE_NOW to CPB at 0", reserve("DE/CPB"), 200, 1000)
	eventually(t, "CANCEL at 1, of two", cancel, 200, 2001)

	// A session PUT with another cdr_token went to two eMSPs.
	patch := func() *hubtest.Response {
		return r.send(1, r.cpa, "PATCH", "receiver/sessions/NL/CPA/S2", "", `{"kwh":1}`)
	}
	wantHTTP(t, "PUT at 0", r.send(0, r.cpa, "PUT", "receiver/sessions/NL/CPA/S2", "", session("S2", "DE/MSP")), 200, 1000)
	eventually(t, "PATCH at 1", patch, 200, 1000)
	wantHTTP(t, "PUT for another at 0", r.send(0, r.cpa, "PUT", "receiver/sessions/NL/CPA/S2", "", session("S2", "NL/MSP")), 200, 1000)
	eventually(t, "PATCH at 1, of two", patch, 200, 2001)

	// The same token of two eMSPs.
	authorize := func() *hubtest.Response {
		return r.send(1, r.cpa, "POST", "sender/tokens/0A/authorize", "", `{"location_id":"L1"}`)
	}
	token := func(p *hubtest.Platform, owner string) {
		t.Helper()
		wantHTTP(t, "PUT of a token at 0", r.send(0, p, "PUT", "receiver/tokens/"+owner+"/0A", "NL/CPA", `{"uid":"0A","type":"RFID"}`), 200, 1000)
	}
	token(r.msp, "DE/MSP")
	eventually(t, "authorisation at 1", authorize, 200, 1000)
	token(r.other, "NL/MSP")
	eventually(t, "authorisation at 1, of two", authorize, 200, 2001)
}

func TestReplicas_ASessionIsPatchedAtTheOtherReplicaAtOnce(t *testing.T) {
	t.Parallel()
	r := newTwoReplicas(t)
	const sessions = 50
	var byNews atomic.Int64
	round := func(i int) {
		id := fmt.Sprint("S", i)
		path := "receiver/sessions/NL/CPA/" + id
		if i%2 == 1 { // it asked too early
			wantHTTP(t, "an early PATCH", r.send((i+1)%2, r.cpa, "PATCH", path, "", `{"kwh":1}`), 200, 4001)
		}
		wantHTTP(t, "PUT of "+id, r.send(i%2, r.cpa, "PUT", path, "", session(id, "DE/MSP")), 200, 1000)
		began := time.Now()
		eventually(t, "PATCH of "+id, func() *hubtest.Response {
			return r.send((i+1)%2, r.cpa, "PATCH", path, "", `{"kwh":1}`)
		}, 200, 1000)
		if time.Since(began) < patience {
			byNews.Add(1)
		}
	}
	var early sync.WaitGroup // those wait in vain, all at once
	for i := 1; i < sessions; i += 2 {
		early.Go(func() { round(i) })
	}
	for i := 0; i < sessions; i += 2 {
		round(i)
	}
	early.Wait()
	// A replica that Redis does not answer for a second misses news; then the record
	// tells, when the patience ends. Without any news all would wait so long.
	if byNews.Load() == 0 {
		t.Error("no PATCH was answered at once: no news came, only the record told")
	}
}
