package faults

import (
	"testing"
	"time"

	"busbar/hub/hubtest"
)

// hubs are the replicas by name.
func (c *cluster) hubs() map[string]*hubtest.Hub {
	all := map[string]*hubtest.Hub{}
	for _, r := range c.replicas {
		all[r.name] = r.Hub
	}
	return all
}

// market registers platforms at the first replica, and waits until all know them.
func (c *cluster) market(who people) *market {
	c.t.Helper()
	m := newMarket(c.t, c.replicas[0].Hub, who)
	want := len(m.cpos) + len(m.msps)
	c.each(func(r *replica) {
		deadline := time.After(30 * time.Second)
		for r.platforms() != want {
			select {
			case <-deadline:
				c.t.Fatalf("%s does not learn of the platforms: has %d, want %d", r.name, r.platforms(), want)
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return m
}

// platforms is how many platforms a replica knows.
func (r *replica) platforms() int {
	_, list := r.Admin("GET", "/api/v1/platforms", nil)
	items, _ := list["items"].([]any)
	n := 0
	for _, item := range items {
		if p, _ := item.(map[string]any); p["status"] == "CONNECTED" || p["status"] == "OFFLINE" {
			n++
		}
	}
	return n
}

// underLoad has senders at work while something happens, and holds that what was
// accepted arrives everywhere.
func (c *cluster) underLoad(m *market, r rates, happens func()) totals {
	c.t.Helper()
	l := m.begin(c.send, r)
	happens()
	l.end()
	return m.verdict(c.hubs(), false)
}

func TestReplicas_UnderLoadEverythingAcceptedArrivesInOrder(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 5, slow: 1})
	c.underLoad(m, rates{}, func() { after(8 * time.Second) })
	m.wantUnharmed()
}
