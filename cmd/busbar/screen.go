package main

import (
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"busbar/hub"
	"busbar/ocpi"
	"busbar/routing"
	"busbar/simulator"
)

// screen shows the demo's messages, one readable line each.
type screen struct {
	mu  sync.Mutex
	out io.Writer
}

func newScreen(out io.Writer) *screen { return &screen{out: out} }

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
	fmt.Fprintf(s.out, `
Look at it from outside (Ctrl-C ends the demo):
  OCPI      %s/ocpi/versions
  admin     curl -H 'Authorization: Bearer %s' %s/api/v1/platforms
  metrics   curl %s/metrics
  health    curl %s/readyz

`, cfg.PublicURL, cfg.AdminToken, admin, admin, admin)
}

// Record implements routing.Journal. A terminal that is slow slows the demo
// down, which is as it should be.
func (s *screen) Record(m *routing.Message) {
	line := fmt.Sprintf("%s  %s → %s  %-6s %-44s %s  %s\n",
		m.Time.Format("15:04:05"), party(m.From), party(m.To), m.Method, what(m), verdict(m), took(m.Duration))
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, line)
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

// RecordLegs implements routing.Journal.
func (s *screen) RecordLegs(*routing.Legs) {}
