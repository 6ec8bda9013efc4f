package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"busbar/hub"
	"busbar/ocpi"
	"busbar/routing"
	"busbar/simulator"
)

// screen shows the demo's messages, one readable line each, and what happens
// between them.
type screen struct {
	hub ocpi.PartyKey

	mu  sync.Mutex
	out io.Writer
	// shown counts the lines of each kind in the second that runs, left those
	// that were left out in it.
	second time.Time
	shown  map[string]int
	left   int
}

func newScreen(out io.Writer, hub ocpi.PartyKey) *screen {
	return &screen{hub: hub, out: out, shown: map[string]int{}}
}

// The arrows of a line say how the message was routed.
const (
	directArrow    = "→"
	openArrow      = "⇢"
	broadcastArrow = "⇉"
)

// welcome says where to look.
func (s *screen) welcome(n *simulator.Network, h *hub.Hub, cfg hub.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\nBusbar is up, party %s. Registered over HTTP:\n", cfg.Party)
	for _, p := range n.Platforms() {
		fmt.Fprintf(s.out, "  %-24s", p.Name())
		for _, r := range p.Roles() {
			fmt.Fprintf(s.out, " %s", r)
		}
		fmt.Fprintln(s.out)
	}
	admin := "http://" + h.AdminAddr()
	fmt.Fprintf(s.out, "\nLook at it from outside (Ctrl-C ends the demo):\n  OCPI       %s/ocpi/versions\n  metrics    curl %s/metrics\n  health     curl %s/readyz\n",
		cfg.PublicURL, admin, admin)
	for _, call := range adminCalls(n.CPOs()[0], cfg.Party) {
		fmt.Fprintf(s.out, "  %-10s curl -H 'Authorization: Bearer %s' %s%s\n", call.name, cfg.AdminToken, admin, call.rest)
	}
	fmt.Fprintf(s.out, "\nA line is a message: %s to the party that it names, %s to one that the hub finds, %s to all that it is meant for.\n\n",
		directArrow, openArrow, broadcastArrow)
}

// adminCall is one to try.
type adminCall struct{ name, rest string }

// adminCalls are examples that work: the question is whom a status of a real EVSE
// of the network would go to.
func adminCalls(c *simulator.CPO, hub ocpi.PartyKey) []adminCall {
	spot := c.Spots()[0]
	path := strings.Join([]string{"", c.Key.CountryCode(), c.Key.PartyID(), url.PathEscape(spot.Location), url.PathEscape(spot.EVSE)}, "/")
	question := fmt.Sprintf(`{"method":"PATCH","module":"locations","interface":"RECEIVER","path":%q,"from":%q,"to":%q}`, path, c.Key, hub)
	return []adminCall{
		{"platforms", "/api/v1/platforms"},
		{"messages", "'/api/v1/messages?limit=10'"},
		{"catalog", "/api/v1/catalog/locations"},
		{"explain", "/api/v1/explain -d '" + strings.ReplaceAll(question, "'", `'\''`) + "'"},
	}
}

// Record implements routing.Journal. A terminal that is slow slows the demo
// down, which is as it should be.
func (s *screen) Record(m *routing.Message) {
	arrow := directArrow
	switch m.Plan {
	case routing.PlanOpen:
		arrow = openArrow
	case routing.PlanBroadcast:
		arrow = broadcastArrow
	}
	s.line(m.Time, string(m.Plan)+m.Method+string(m.Module), fmt.Sprintf("%s %s %s  %-6s %-44s %s  %s",
		party(m.From), arrow, party(m.To), m.Method, what(m), verdict(m), took(m.Duration)))
}

// RecordLegs implements routing.Journal: how a broadcast ended, with the time
// until its last leg did.
func (s *screen) RecordLegs(l *routing.Legs) {
	s.line(l.Time.Add(l.Duration), "legs"+l.Method+string(l.Module), fmt.Sprintf("%s %s %-5s  %-6s %-44s %s  %s",
		party(s.hub), broadcastArrow, fmt.Sprint(l.Total), l.Method, fmt.Sprintf("%s of %s", l.Module, l.From), arrived(l), took(l.Duration)))
}

// arrived sums up the legs of a broadcast.
func arrived(l *routing.Legs) string {
	parts := []string{fmt.Sprintf("%d ok", l.OK)}
	if l.Superseded > 0 {
		parts = append(parts, fmt.Sprintf("%d superseded", l.Superseded))
	}
	if len(l.Failed) > 0 {
		first := l.Failed[0]
		failed := fmt.Sprintf("%d failed (%s: %s", len(l.Failed), first.To, first.Outcome)
		if len(l.Failed) > 1 {
			failed += ", …"
		}
		parts = append(parts, failed+")")
	}
	return fmt.Sprintf("%-21s", strings.Join(parts, ", "))
}

// Story shows what no message shows.
func (s *screen) Story(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s  ── %s\n", time.Now().Format("15:04:05"), text)
}

// mostAlike bounds the lines of one kind in a second: nobody reads two hundred
// broadcasts a second.
const mostAlike = 12

// line writes a line, unless there were many like it in this second.
func (s *screen) line(at time.Time, kind, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := at.Truncate(time.Second); second.After(s.second) {
		if s.left > 0 {
			fmt.Fprintf(s.out, "%s  … and %d more like these\n", s.second.Format("15:04:05"), s.left)
		}
		s.second, s.left = second, 0
		clear(s.shown)
	}
	if s.shown[kind]++; s.shown[kind] > mostAlike {
		s.left++
		return
	}
	fmt.Fprintf(s.out, "%s  %s\n", at.Format("15:04:05"), text)
}

func party(k ocpi.PartyKey) string {
	if k.IsZero() {
		return "  -  "
	}
	return fmt.Sprintf("%-5s", k)
}

// what names the module and the object, unescaped for the reader.
func what(m *routing.Message) string {
	path, err := url.PathUnescape(m.Path)
	if err != nil {
		path = m.Path
	}
	text := []rune(string(m.Module) + path)
	const width = 44
	if len(text) > width {
		text = append(text[:width-1], '…')
	}
	return string(text)
}

func verdict(m *routing.Message) string {
	text := fmt.Sprint(int(m.OCPIStatus))
	switch m.OCPIStatus {
	case 0:
		text = "gone"
	case ocpi.Success:
		text += " ok"
	case ocpi.UnknownToken:
		text += " unknown token"
	case ocpi.UnknownLocation:
		text += " unknown location"
	default:
		text += " " + m.Detail
	}
	return fmt.Sprintf("%-21s", text)
}

func took(d time.Duration) string { return fmt.Sprintf("%5.1f ms", float64(d.Microseconds())/1000) }
