package simulator

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"busbar/ocpi"
)

// day lets messages go until everything was seen, or far too many went; what
// comes after its end is the test's own.
type day struct {
	left  atomic.Int64
	over  func()
	hub   *stubHub
	saw   *seen
	ended atomic.Bool
	quiet atomic.Bool // the test lets everything go
}

func (d *day) pace(ctx context.Context) error {
	if d.quiet.Load() {
		return ctx.Err()
	}
	const most = 50
	d.hub.settle(most)
	if d.left.Add(-1) < 0 || d.saw.all() {
		d.ended.Store(true)
		d.over()
		<-ctx.Done()
	}
	return ctx.Err()
}

// seen waits for what a day is made of.
type seen struct {
	mu      sync.Mutex
	wanted  map[string]bool // messages
	hoped   []string        // parts of stories, in order
	stories []string
}

func (s *seen) count(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wanted, kind)
}

func (s *seen) tell(story string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stories = append(s.stories, story)
	if len(s.hoped) > 0 && strings.Contains(story, s.hoped[0]) {
		s.hoped = s.hoped[1:]
	}
}

func (s *seen) all() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wanted) == 0 && len(s.hoped) == 0
}

// wholeDay is what must happen.
func wholeDay() *seen {
	s := &seen{wanted: map[string]bool{}, hoped: []string{
		"7 CPOs broadcast 96 Locations and 14 Tariffs", "Mésange Mobilité [FRMES (EMSP)] goes offline",
		"the 7 other platforms know by HubClientInfo: Mésange Mobilité is OFFLINE", "Mésange Mobilité is back",
		"FRMES catches up by GET All", "the 7 other platforms know by HubClientInfo: Mésange Mobilité is CONNECTED",
	}}
	for _, kind := range []string{
		"PUT locations RECEIVER to the hub", "PATCH locations RECEIVER to the hub", "PUT tariffs RECEIVER to the hub",
		"PUT tokens RECEIVER to the hub", "GET locations SENDER to the hub", "GET tariffs SENDER to the hub",
		"authorize", "authorize to the hub", "authorize to whom the hub finds",
		"POST commands RECEIVER/START_SESSION to whom the hub finds", "POST commands RECEIVER/STOP_SESSION to whom the hub finds",
		"POST commands RECEIVER/RESERVE_NOW", "POST commands RECEIVER/CANCEL_RESERVATION", "POST commands SENDER",
		"PUT sessions RECEIVER", "POST cdrs RECEIVER", "PUT chargingprofiles RECEIVER", "POST chargingprofiles SENDER",
		"PUT chargingprofiles RECEIVER to whom the hub finds", "PUT chargingprofiles SENDER",
		"PUT chargingprofiles SENDER to whom the hub finds", "GET locations SENDER", "GET locations RECEIVER",
		"GET hubclientinfo SENDER to whom the hub finds", "told of FR/MES", "told of NL/SLO",
	} {
		s.wanted[kind] = true
	}
	return s
}

// note counts an event by what it proves.
func (s *seen) note(e Event) {
	if e.Received {
		if e.Module == ocpi.ModuleHubClientInfo {
			s.count("told of " + strings.TrimPrefix(e.Path, "/"))
		}
		return
	}
	kind := fmt.Sprintf("%s %s %s", e.Method, e.Module, e.Interface)
	if e.Module == ocpi.ModuleCommands && e.Interface == ocpi.Receiver {
		kind += e.Path
	}
	if e.Interface == ocpi.Sender && strings.HasSuffix(e.Path, "/authorize") {
		kind = "authorize"
	}
	switch {
	case e.To.IsZero():
		kind += " to whom the hub finds"
	case e.To == hubParty:
		kind += " to the hub"
	}
	s.count(kind)
}

// TestWholeNetwork plays a day with everything that a hub can do; afterwards
// every eMSP has what every CPO has.
func TestWholeNetwork(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var warned complaints
	saw := wholeDay()
	today := &day{over: cancel, hub: h, saw: saw}
	today.left.Store(30_000)
	n, err := NewNetwork(NetworkConfig{
		Enrol: h.enrol, Seed: 5, Pace: today.pace, OutageAfter: 150, OutageLasts: 40, Story: saw.tell,
		Logger: slog.New(slog.NewTextHandler(&warned, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Observe: func(e Event) {
			if today.ended.Load() {
				return
			}
			saw.note(e)
			gone := e.To == key("FRMES") || e.From == key("FRMES") // goes offline, see frail
			if e.Err != nil && !gone || e.HTTP >= 500 || e.Status == 0 && !gone || e.Status >= 3000 && !gone {
				t.Errorf("%+v", e)
			}
			broadcast := e.Module == ocpi.ModuleTariffs || e.Module == ocpi.ModuleLocations && e.Method != http.MethodGet
			if e.Received && broadcast && (e.From != hubParty || strings.HasPrefix(e.Path, "/EU/BUS")) {
				t.Errorf("received from %s: %s %s", e.From, e.Method, e.Path)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	if err := n.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if warned.text.Len() > 0 {
		t.Errorf("warnings:\n%s", warned.text.String())
	}
	if !saw.all() {
		t.Errorf("a day without %v, without the story of %q:\n%s", saw.wanted, saw.hoped, strings.Join(saw.stories, "\n"))
	}
	today.quiet.Store(true)
	finish(t, h, n)
	for _, fault := range n.audit() {
		t.Error(fault)
	}
}

// finish sends what waited when the day ended, and brings the platform back that
// may be away.
func finish(t *testing.T, h *stubHub, n *Network) {
	t.Helper()
	frail := n.frail()
	if err := frail.ComeBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := frail.PullClientInfos(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range n.cpos {
		for s, ok := c.changes.take(); ok; s, ok = c.changes.take() {
			if err := c.PushStatus(t.Context(), hubParty, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.settle(0)
	for _, member := range frail.parties {
		if _, _, err := member.emsp.Sync(t.Context(), sampleEpoch); err != nil {
			t.Fatal(err)
		}
	}
}

// audit lists what eMSPs have otherwise than the CPOs.
func (n *Network) audit() (faults []string) {
	for _, e := range n.emsps {
		for _, c := range n.cpos {
			if c.p == e.p {
				continue // a platform broadcasts to others
			}
			for _, id := range c.locations.keys() {
				own, _ := c.locations.get(id)
				d, _ := e.locations.get(fold(c.Key.String(), id))
				if string(d.body) != string(own.body) {
					faults = append(faults, fmt.Sprintf("%s has another %s of %s: %s", e.Key, id, c.Key, difference(d.body, own.body)))
				}
			}
			for _, id := range c.tariffs.keys() {
				if _, ok := e.Tariff(c.Key, id); !ok {
					faults = append(faults, fmt.Sprintf("%s has no Tariff %s of %s", e.Key, id, c.Key))
				}
			}
		}
	}
	return faults
}

// difference shows two texts from where they part.
func difference(has, is []byte) string {
	at := 0
	for at < min(len(has), len(is)) && has[at] == is[at] {
		at++
	}
	from := func(text []byte) []byte { return text[max(at-60, 0):min(at+60, len(text))] }
	return fmt.Sprintf("…%s… instead of …%s…", from(has), from(is))
}
