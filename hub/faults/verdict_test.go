package faults

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"busbar/hub/hubtest"
)

// catalogOf reads GET All of Locations, page by page.
func (m *market) catalogOf(h *hubtest.Hub) (map[string]state, error) {
	all := map[string]state{}
	next := "/ocpi/2.2.1/sender/locations?limit=1000"
	for next != "" {
		resp, err := h.TrySend(hubtest.Request{Method: http.MethodGet, Path: next, Token: m.msps[0].TokenC, To: "EU/BUS"})
		if err != nil {
			return nil, err
		}
		var page struct {
			Data []json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal([]byte(resp.Body), &page); err != nil || resp.OCPI() != 1000 {
			return nil, fmt.Errorf("GET All: HTTP %d %.200s", resp.Status, resp.Body)
		}
		for _, raw := range page.Data {
			var object struct{ ID string }
			if err := json.Unmarshal(raw, &object); err != nil {
				return nil, err
			}
			all["locations/"+object.ID] = fieldsOf(raw)
		}
		next = nextPage(resp.Header)
	}
	return all, nil
}

var linkNext = regexp.MustCompile(`<https?://[^/]+(/[^>]*)>; *rel="next"`)

func nextPage(h http.Header) string {
	if found := linkNext.FindStringSubmatch(h.Get("Link")); found != nil {
		return found[1]
	}
	return ""
}

// look tells the story so far, with the records of all replicas.
func (m *market) look(hubs map[string]*hubtest.Hub, doubtful bool) (*story, error) {
	record := map[string]map[string]state{}
	for name, h := range hubs {
		all, err := m.catalogOf(h)
		if err != nil {
			return nil, err
		}
		record[name] = all
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &story{pushes: maps.Clone(m.pushes), arrivals: maps.Clone(m.arrivals), meant: meantFor, record: record, doubtful: doubtful}, nil
}

// settle is how long what was accepted may take to arrive everywhere, on a slow
// machine.
const settle = 60 * time.Second

// verdict waits until every promise is kept, and complains of those that are not
// kept in time. It reports the counts in any case.
func (m *market) verdict(hubs map[string]*hubtest.Hub, doubtful bool) totals {
	m.t.Helper()
	begun := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := m.look(hubs, doubtful)
		var complaints []string
		if err != nil {
			complaints = []string{err.Error()}
		} else {
			complaints = s.complaints()
		}
		late := time.Since(begun) > settle
		if len(complaints) == 0 || late {
			for i, c := range complaints {
				if i == 20 {
					m.t.Errorf("… and %d more", len(complaints)-i)
					break
				}
				m.t.Error(c)
			}
			m.report(s, time.Since(begun))
			if s == nil {
				return totals{}
			}
			return s.totals()
		}
		<-tick.C
	}
}

func (m *market) report(s *story, settled time.Duration) {
	m.t.Helper()
	if s != nil {
		m.t.Logf("COUNTS %s: %s; settled %.1fs after the load", m.t.Name(), s.totals(), settled.Seconds())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := 0
	for _, d := range m.direct {
		if d.answered != "" {
			failed++
		}
	}
	m.t.Logf("COUNTS %s: direct: %d sent, %d failed; slowest answers %v", m.t.Name(), len(m.direct), failed, m.slowest)
	for _, reason := range slices.Sorted(maps.Keys(m.reasons)) {
		m.t.Logf("%d × %s", m.reasons[reason], reason)
	}
}

// wantUnharmed holds that nobody noticed: no direct message failed, and no push.
func (m *market) wantUnharmed() {
	m.t.Helper()
	m.wantDirect()
	m.wantNoReason("push")
}

// wantDirect holds that no direct message failed, and each arrived once.
func (m *market) wantDirect() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.direct) == 0 {
		m.t.Error("no direct message was sent")
	}
	faults := map[string]int{}
	for _, d := range m.direct {
		if d.answered != "" || d.arrived != 1 {
			faults[fmt.Sprintf("answered %q, arrived %d times", d.answered, d.arrived)]++
		}
	}
	for fault, n := range faults {
		m.t.Errorf("%d direct messages were %s", n, fault)
	}
}

// wantNoDirectLost holds that what was answered 1000 arrived, once.
func (m *market) wantNoDirectLost() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, d := range m.direct {
		if d.arrived > 1 || d.answered == "" && d.arrived != 1 {
			m.t.Errorf("direct message %s, answered %q, arrived %d times", id, d.answered, d.arrived)
		}
	}
}

// wantNoReason holds that nothing failed for a reason that begins like this.
func (m *market) wantNoReason(prefix string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for reason, n := range m.reasons {
		if strings.HasPrefix(reason, prefix) {
			m.t.Errorf("%d × %s", n, reason)
		}
	}
}

// wantAnswersWithin holds that none of these answers took longer.
func (m *market) wantAnswersWithin(kind string, most time.Duration) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slowest[kind] > most {
		m.t.Errorf("the slowest answer to a %s took %s, want at most %s", kind, m.slowest[kind], most)
	}
}
