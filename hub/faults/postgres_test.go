package faults

import (
	"testing"
	"time"

	"busbar/storage/storagetest"
)

// A push that cannot be kept must be answered before the sender gives up. OCPI
// names no time; peers wait 30 s or longer.
const refusedWithin = 15 * time.Second

// TestPostgres_IsGoneForTenSecondsAndBack: direct routing goes on; what needs a
// durable write is refused and nothing of it is kept half.
func TestPostgres_IsGoneForTenSecondsAndBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(*line)
		losers     int
	}{
		"for all, connections are refused": {(*line).cut, (*line).mend, 3},
		"for all, packets vanish":          {(*line).swallow, (*line).clear, 3},
		"for one, connections are refused": {(*line).cut, (*line).mend, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, stores{})
			m := c.market(people{msps: 4, slow: 1})
			l := m.begin(c.send, rates{})
			after(2 * time.Second)
			for _, r := range c.replicas[:fault.losers] {
				fault.begin(r.postgres)
			}
			after(10 * time.Second)
			for _, r := range c.replicas[:fault.losers] {
				fault.end(r.postgres)
			}
			after(3 * time.Second)
			l.end()
			counts := m.verdict(c.hubs(), true)
			m.wantDirect()
			m.wantAnswersWithin("direct", routedWithin)
			m.wantNoReason("push that failed: not answered")
			m.wantAnswersWithin("push that failed", refusedWithin)
			if counts.refused == 0 {
				t.Error("nothing was refused: this shows nothing")
			}
			c.wantNothingOpen()
		})
	}
}

// TestPostgres_IsReadOnlyForAWhile: a fail-over led to a standby. What needs a write
// is refused, and nothing of it is kept; when the address leads to a primary again,
// it goes on without a restart.
func TestPostgres_IsReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 4, slow: 1})
	l := m.begin(c.send, rates{})
	after(2 * time.Second)
	storagetest.SetReadOnly(t, c.postgres, true)
	after(5 * time.Second)
	storagetest.SetReadOnly(t, c.postgres, false)
	after(2 * time.Second)
	l.end()
	counts := m.verdict(c.hubs(), true)
	m.wantDirect()
	m.wantAnswersWithin("direct", routedWithin)
	m.wantReasons("push that failed", "OCPI 4000 the hub could not")
	if counts.refused == 0 {
		t.Error("nothing was refused: this shows nothing")
	}

	m.forgetReasons()
	l = m.begin(c.send, rates{})
	after(2 * time.Second)
	l.end()
	m.verdict(c.hubs(), true)
	m.wantNoReason("push")
	c.wantNothingOpen()
}
