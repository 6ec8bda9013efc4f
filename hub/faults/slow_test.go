package faults

import (
	"testing"
	"time"
)

// TestSlowNetwork_OfOneReplicaLosesNothing: 200 ms and more to both stores.
func TestSlowNetwork_OfOneReplicaLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 4, slow: 1})
	c.replicas[1].postgres.slow(200, 100)
	c.replicas[1].redis.slow(200, 100)
	l := m.begin(c.send, rates{})
	after(10 * time.Second)
	l.end()
	m.verdict(t, c.hubs(), false)
	m.wantDirect(t)
	m.wantNoReason(t, "push")
	c.wantNothingOpen()
}
