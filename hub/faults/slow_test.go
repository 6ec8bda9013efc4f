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
	c.underLoad(m, rates{}, func() { after(10 * time.Second) })
	m.wantUnharmed()
	c.wantNothingOpen()
}
