package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"busbar/hub/hubtest"
)

// rates say how a load is made up. Each of the two CPOs has two senders, each of
// the first two eMSPs one.
type rates struct {
	// every is the pause between two pushes of a sender; 0 is 40 ms.
	every time.Duration
	// patience is how long a sender waits for an answer; 0 is 30 s.
	patience time.Duration
}

// load is senders at work.
type load struct {
	market *market
	send   func(hubtest.Request) (*hubtest.Response, error)
	rates  rates
	// run keeps the objects of one load from those of another.
	run     int
	stop    chan struct{}
	working sync.WaitGroup
}

// rising is an object whose counter rises.
type rising struct {
	id string
	n  int
	// whole makes the next push a PUT: the first one, and after a refusal, so that
	// one knows again what the hub must have.
	whole bool
	// lost objects are not pushed any more: what became of the last push is not
	// known, and it may still be on its way.
	lost bool
}

// How many objects a sender keeps, and fields that PATCHes change in turn.
const (
	risingEach = 5
	fieldCount = 5
)

var firstUpdate = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// begin starts the senders.
func (m *market) begin(send func(hubtest.Request) (*hubtest.Response, error), r rates) *load {
	if r.every == 0 {
		r.every = 40 * time.Millisecond
	}
	if r.patience == 0 {
		r.patience = 30 * time.Second
	}
	m.loads++
	l := &load{market: m, send: send, rates: r, run: m.loads, stop: make(chan struct{})}
	for i, cpo := range m.cpos {
		for w := range 2 {
			l.working.Go(func() { l.pushLocations(cpo, fmt.Sprintf("CP%d", i), fmt.Sprintf("R%dC%dW%d", l.run, i, w)) })
		}
		l.working.Go(func() { l.sendDirect(cpo, i) })
	}
	for i, msp := range m.msps[:2] {
		l.working.Go(func() { l.pushTokens(msp, fmt.Sprintf("M%02d", i)) })
	}
	return l
}

// end waits until the senders have their last answers.
func (l *load) end() {
	close(l.stop)
	l.working.Wait()
}

// steadily does something at the load's pace; what takes longer delays the next.
func (l *load) steadily(do func(turn int)) {
	tick := time.NewTicker(l.rates.every)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			do(turn)
		}
	}
}

// pushLocations pushes, in turn, an object that is pushed once and one that rises.
func (l *load) pushLocations(cpo *hubtest.Platform, party, name string) {
	objects := make([]rising, risingEach)
	l.steadily(func(turn int) {
		if turn%2 == 0 {
			once := rising{id: fmt.Sprintf("%s-once-%d", name, turn), whole: true}
			l.pushLocation(cpo, party, &once)
			return
		}
		o := &objects[turn/2%risingEach]
		if o.id == "" || o.lost {
			*o = rising{id: fmt.Sprintf("%s-rises-%d", name, turn), whole: true}
		}
		l.pushLocation(cpo, party, o)
	})
}

func (l *load) pushLocation(cpo *hubtest.Platform, party string, o *rising) {
	o.n++
	p := push{object: "locations/" + o.id, whole: o.whole || o.n%20 == 0, fields: state{"n": o.n}}
	method, body := http.MethodPatch, ""
	if p.whole {
		method = http.MethodPut
		for i := range fieldCount {
			p.fields[fmt.Sprintf("f%d", i)] = o.n
		}
		body = fmt.Sprintf(`"country_code":"NL","party_id":%q,"id":%q,"operator":{"name":"A"},`, party, o.id)
	} else {
		p.fields[fmt.Sprintf("f%d", o.n%fieldCount)] = o.n
	}
	for name, n := range p.fields {
		body += fmt.Sprintf("%q:%d,", name, n)
	}
	body += fmt.Sprintf(`"last_updated":%q`, firstUpdate.Add(time.Duration(o.n)*time.Second).Format(time.RFC3339))
	l.push(o, p, hubtest.Request{
		Method: method, Path: "/ocpi/2.2.1/receiver/locations/NL/" + party + "/" + o.id, Token: cpo.TokenC, Body: "{" + body + "}",
	})
}

func (l *load) pushTokens(msp *hubtest.Platform, party string) {
	objects := make([]rising, risingEach)
	l.steadily(func(turn int) {
		o := &objects[turn%risingEach]
		if o.id == "" || o.lost {
			*o = rising{id: fmt.Sprintf("R%d%s-T%d", l.run, party, turn)}
		}
		o.n++
		l.push(o, push{object: "tokens/" + o.id, whole: true, fields: state{"n": o.n}}, hubtest.Request{
			Method: http.MethodPut, Path: "/ocpi/2.2.1/receiver/tokens/DE/" + party + "/" + o.id, Token: msp.TokenC,
			Body: fmt.Sprintf(`{"country_code":"DE","party_id":%q,"uid":%q,"type":"RFID","contract_id":"C1","issuer":"I",`+
				`"valid":true,"whitelist":"ALWAYS","n":%d,"last_updated":%q}`, party, o.id, o.n,
				firstUpdate.Add(time.Duration(o.n)*time.Second).Format(time.RFC3339)),
		})
	})
}

// push sends a push and writes down what became of it.
func (l *load) push(o *rising, p push, r hubtest.Request) {
	r.To = "EU/BUS"
	fault, answered := l.ask("push", r)
	switch {
	case fault == "":
		p.outcome, o.whole = accepted, false
	case answered:
		p.outcome, o.whole = refused, true
	default:
		p.outcome, o.lost = unknown, true
	}
	l.market.pushed(p)
}

// ask sends a request. fault is empty if the answer was 1000.
func (l *load) ask(kind string, r hubtest.Request) (fault string, answered bool) {
	ctx, cancel := context.WithTimeout(context.Background(), l.rates.patience)
	defer cancel()
	r.Context = ctx
	begun := time.Now()
	resp, err := l.send(r)
	switch {
	case err != nil:
		fault = "not answered: " + err.Error()
		if i := strings.LastIndex(fault, ": "); i > 0 && ctx.Err() == nil {
			fault = "not answered: " + fault[i+2:] // without addresses
		}
		answered = err == errNobodyReady
	case resp.Status/100 != 2 || resp.OCPI() != 1000:
		fault, answered = fmt.Sprintf("HTTP %d OCPI %d %s", resp.Status, resp.OCPI(), resp.Message()), true
	default:
		answered = true
	}
	if fault != "" {
		kind += " that failed"
	}
	l.market.took(kind, time.Since(begun), fault)
	return fault, answered
}

// sendDirect sends messages to the eMSPs that answer.
func (l *load) sendDirect(cpo *hubtest.Platform, i int) {
	l.steadily(func(turn int) {
		id := fmt.Sprintf("R%dS%dN%d", l.run, i, turn)
		fault, _ := l.ask("direct", hubtest.Request{
			Method: http.MethodPut, Path: fmt.Sprintf("/ocpi/2.2.1/receiver/sessions/NL/CP%d/%s", i, id), Token: cpo.TokenC,
			To: fmt.Sprintf("DE/M%02d", turn%2), Body: "{}",
		})
		l.market.answeredDirect(id, fault)
	})
}
