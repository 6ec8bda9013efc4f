//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// drive pushes changes of status, and remembers what was accepted.
type drive struct {
	*soaking
	mu     sync.Mutex
	evses  map[string]*evseDriven // by path: NL/ABC/LOC1/1
	pushed int
	// accepted are the pushes answered 1000, refused all other answers, unsure
	// those without one.
	accepted, refused, unsure int
	// example is one that was not accepted.
	example string
	answers lags
}

// evseDriven is an EVSE that was pushed. One push of it is under way at a time,
// so that the hub gets its states in their order.
type evseDriven struct {
	cpo  int
	path string
	busy bool
	sight
}

const (
	// hotEVSEs are busy places; one of hotEach pushes is of one of them.
	hotEVSEs = 50
	hotEach  = 20
	// pushesAtOnce bounds the pushes that wait for their answer.
	pushesAtOnce = 256
)

func newDrive(s *soaking) *drive { return &drive{soaking: s, evses: make(map[string]*evseDriven)} }

// push lets some EVSE change its status.
func (d *drive) push(ctx context.Context, due time.Time) {
	e, count := d.choose()
	cpo := d.field.cpos[e.cpo]
	body := statusBody(statuses[int(e.states)%len(statuses)], due.UTC().Format(stampLayout))
	sent := time.Now()
	answer, err := d.caller.do(ctx, message{
		Method: "PATCH", URL: "http://" + d.hubs[count%len(d.hubs)].seat.listen + "/ocpi/2.2.1/receiver/locations/" + e.path,
		Authorization: cpo.authorization(), From: cpo.Parties[0], To: hubParty, Body: body,
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	e.busy = false
	d.answers.add(time.Since(sent))
	switch {
	case err != nil:
		d.unsure++
		d.example = err.Error()
	case !answer.ok():
		d.refused++
		d.example = fmt.Sprintf("%d %.300s", answer.HTTP, answer.Body)
	default:
		d.accepted++
		e.states++
		e.last = due.UnixMicro()
	}
}

// choose draws an EVSE of which no push is under way.
func (d *drive) choose() (e *evseDriven, count int) {
	for {
		n := d.random.below(d.report.Locations)
		if d.random.below(hotEach) == 0 {
			n %= hotEVSEs
		}
		cpo := dealt(n, len(d.field.cpos))
		owner := d.field.cpos[cpo].Parties[0]
		i := d.random.below(bytes.Count(sampleLocation(nil, n, owner), evseMark))
		path := owner.CountryCode() + "/" + owner.PartyID() + locationPath(n) + "/" + evseUID(n, i)
		d.mu.Lock()
		if e = d.evses[path]; e == nil {
			e = &evseDriven{cpo: cpo, path: path}
			d.evses[path] = e
		}
		if !e.busy {
			e.busy = true
			d.pushed++
			count = d.pushed
			d.mu.Unlock()
			return e, count
		}
		d.mu.Unlock()
	}
}

// evseMark stands once in every EVSE of a sampleLocation.
var evseMark = []byte(`"evse_id":`)

// authorization is the header with which the platform calls the hub.
func (p platform) authorization() string { return callerOf(p).Authorization }

// truth tells the backend what was accepted, in parts that fit into one message.
func (d *drive) truth(ctx context.Context) error {
	const most = 20_000
	var lines bytes.Buffer
	n := 0
	for path, e := range d.evses {
		fmt.Fprintln(&lines, path, e.states, e.last)
		if n++; n%most == 0 {
			if err := d.country(ctx, "truth", lines.Bytes(), nil); err != nil {
				return err
			}
			lines.Reset()
		}
	}
	if lines.Len() == 0 {
		return nil
	}
	return d.country(ctx, "truth", lines.Bytes(), nil)
}
