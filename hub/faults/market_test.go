package faults

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/hub/hubtest"
)

// people says who is in a market.
type people struct {
	// msps receive Locations: each is prompt, but the last ones: slow ones pause
	// before every answer, hanging ones never answer, dead ones are gone.
	msps, slow, hanging, dead int
	// pause is that of slow ones; 0 is 50 ms.
	pause time.Duration
}

// market is the platforms around a hub. Two CPOs push Locations and receive
// Tokens, two of the eMSPs push Tokens.
type market struct {
	t          testing.TB
	hub        *hubtest.Hub
	cpos, msps []*hubtest.Platform
	// over ends what hangs.
	over chan struct{}
	// loads counts them.
	loads int
	ledger
}

// ledger is what was pushed and what arrived.
type ledger struct {
	mu       sync.Mutex
	pushes   map[string][]push
	arrivals map[string][]arrival
	// direct are the direct messages, by id: answered, and how often each arrived.
	direct map[string]*directMessage
	// slowest is the longest answer, by what was asked.
	slowest map[string]time.Duration
	reasons map[string]int
}

type directMessage struct {
	answered string // empty: 1000
	arrived  int
}

const slowAnswer = 50 * time.Millisecond

// newMarket registers the platforms at a hub.
func newMarket(t testing.TB, h *hubtest.Hub, who people) *market {
	t.Helper()
	m := &market{t: t, hub: h, over: make(chan struct{}), ledger: ledger{
		pushes: map[string][]push{}, arrivals: map[string][]arrival{}, direct: map[string]*directMessage{},
		slowest: map[string]time.Duration{}, reasons: map[string]int{},
	}}
	for i := range 2 {
		party := fmt.Sprintf("CP%d", i)
		p := h.Platform("cpo "+party, "NL/"+party+":CPO")
		m.cpos = append(m.cpos, p)
		m.receives(p, party, 0)
	}
	for i := range who.msps {
		party := fmt.Sprintf("M%02d", i)
		p := h.Platform("msp "+party, "DE/"+party+":EMSP")
		m.msps = append(m.msps, p)
		switch left := who.msps - i; {
		case left <= who.dead:
			p.Server.CloseClientConnections()
			p.Server.Close()
		case left <= who.dead+who.hanging:
			m.hangs(p)
		case left <= who.dead+who.hanging+who.slow:
			m.receives(p, party, cmp.Or(who.pause, slowAnswer))
		default:
			m.receives(p, party, 0)
		}
	}
	t.Cleanup(func() { close(m.over) }) // before their servers close, which wait
	return m
}

// receives makes a platform write down what arrives.
func (m *market) receives(p *hubtest.Platform, party string, pause time.Duration) {
	m.arrivals[party] = []arrival{}
	p.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		module, id, ok := objectOf(r.URL.Path)
		if !ok {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return true // it did not arrive
		}
		if module == "sessions" {
			m.arrivedDirect(id)
		} else {
			m.arrived(party, arrival{module + "/" + id, r.Method == http.MethodPut, fieldsOf(body)})
		}
		if pause > 0 {
			<-time.After(pause)
		}
		_, _ = io.WriteString(w, `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`)
		return true
	})
}

// hangs makes a platform take messages and never answer.
func (m *market) hangs(p *hubtest.Platform) {
	p.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if _, _, ok := objectOf(r.URL.Path); !ok {
			return false
		}
		select {
		case <-r.Context().Done():
		case <-m.over:
		}
		return true
	})
}

// objectOf reads /receiver/locations/NL/CP0/ID.
func objectOf(path string) (module, id string, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) != 6 || parts[1] != "receiver" {
		return "", "", false
	}
	switch module = parts[2]; module {
	case "locations", "tokens", "sessions":
		return module, parts[5], true
	}
	return "", "", false
}

// fieldsOf reads the counters of a body.
func fieldsOf(body []byte) state {
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return state{"unreadable": 1}
	}
	fields := state{}
	for name, value := range raw {
		if name != "n" && (len(name) != 2 || name[0] != 'f') {
			continue
		}
		var n int
		if json.Unmarshal(value, &n) == nil {
			fields[name] = n
		}
	}
	return fields
}

func (l *ledger) arrived(receiver string, a arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals[receiver] = append(l.arrivals[receiver], a)
}

func (l *ledger) pushed(p push) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushes[p.object] = append(l.pushes[p.object], p)
}

func (l *ledger) arrivedDirect(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.message(id).arrived++
}

func (l *ledger) answeredDirect(id, fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.message(id).answered = fault
}

func (l *ledger) message(id string) *directMessage {
	if l.direct[id] == nil {
		l.direct[id] = &directMessage{}
	}
	return l.direct[id]
}

// took notes how long an answer of some kind took, and why something failed.
func (l *ledger) took(kind string, d time.Duration, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest[kind] = max(l.slowest[kind], d)
	if reason != "" {
		l.reasons[kind+": "+reason]++
	}
}

// meantFor: Locations go to eMSPs, Tokens to CPOs.
func meantFor(object, receiver string) bool {
	return strings.HasPrefix(object, "locations/") == strings.HasPrefix(receiver, "M")
}
