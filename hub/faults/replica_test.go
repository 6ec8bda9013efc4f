package faults

import (
	"sync"
	"testing"
	"time"

	"busbar/hub"
)

// TestKill9_InTheMiddleOfABroadcastTo50 ends one replica of three, and two.
func TestKill9_InTheMiddleOfABroadcastTo50(t *testing.T) {
	t.Parallel()
	for name, victims := range map[string]int{"one of three": 1, "two of three": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, stores{})
			// Slow ones are behind when the replica dies.
			m := c.market(people{msps: 50, slow: 10, pause: 300 * time.Millisecond})
			c.underLoad(m, rates{every: 50 * time.Millisecond}, func() {
				after(3 * time.Second)
				for range victims {
					c.lose(c.replicas[0])
					after(500 * time.Millisecond)
				}
			})
			m.wantNoDirectLost()
			c.wantNothingOpen()
		})
	}
}

// lose kills a replica for good.
func (c *cluster) lose(r *replica) {
	r.Kill()
	for i, other := range c.replicas {
		if other == r {
			c.replicas = append(c.replicas[:i:i], c.replicas[i+1:]...)
			return
		}
	}
}

// TestKill9_OfAllReplicas: what was accepted arrives when they are back.
func TestKill9_OfAllReplicas(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 6, slow: 3, pause: 200 * time.Millisecond})
	c.underLoad(m, rates{every: 20 * time.Millisecond}, func() {
		after(4 * time.Second)
		c.together((*replica).Kill)
		c.together(func(r *replica) { r.Begin(); r.AwaitReady() })
		after(3 * time.Second)
	})
	m.wantNoDirectLost()
	c.wantNothingOpen()
}

// together does something to every replica at once.
func (c *cluster) together(do func(*replica)) {
	var doing sync.WaitGroup
	c.each(func(r *replica) { doing.Go(func() { do(r) }) })
	doing.Wait()
}

// TestFreeze_AReplicaThatSleepsFor20Seconds: the others do its work meanwhile, and
// when it wakes it does nothing that it has no right to any more.
func TestFreeze_AReplicaThatSleepsFor20Seconds(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 5, slow: 2})
	awake := c.hubs()
	delete(awake, c.replicas[0].name)

	patient := rates{every: 20 * time.Millisecond, patience: 4 * time.Second}
	l := m.begin(c.send, patient)
	after(2 * time.Second)
	c.replicas[0].Freeze()
	slept := time.After(20 * time.Second)
	after(5 * time.Second)
	l.end()
	// What it had accepted, and what its partitions carry, arrives while it sleeps.
	m.verdict(awake, false)

	c.underLoad(m, patient, func() {
		<-slept
		c.replicas[0].Thaw()
		after(4 * time.Second)
	})
	m.wantNoDirectLost()
	c.wantNothingOpen()
}

// TestRollingRestart_NoRequestFailsAndNoLegIsLost: SIGTERM one after the other,
// and a new process in the same place.
func TestRollingRestart_NoRequestFailsAndNoLegIsLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 5, slow: 2})
	c.underLoad(m, rates{every: 20 * time.Millisecond}, func() {
		after(2 * time.Second)
		c.each(func(r *replica) {
			if err := r.Stop(); err != nil {
				t.Errorf("%s ends with %v", r.name, err)
			}
			r.Begin()
			r.AwaitReady()
			after(time.Second)
		})
	})
	m.wantUnharmed()
	c.wantNothingOpen()
}

// TestTakeOver_WhileReceiversHangTheHealthyDoNotStarve: what the hanging ones
// hold is not acknowledged, and goes from replica to replica.
func TestTakeOver_WhileReceiversHangTheHealthyDoNotStarve(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{settings: func(s *hub.Settings) { s.ForwardTimeout = "5m" }})
	m := c.market(people{msps: 6, slow: 1, hanging: 2, dead: 1})
	c.underLoad(m, rates{every: 100 * time.Millisecond}, func() {
		after(3 * time.Second)
		c.lose(c.replicas[0])
		after(3 * time.Second)
		if err := c.replicas[0].Stop(); err != nil {
			t.Errorf("%s ends with %v", c.replicas[0].name, err)
		}
		c.replicas = c.replicas[1:]
		after(3 * time.Second)
	})
	m.wantNoDirectLost()
}
