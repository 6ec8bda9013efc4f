package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// routedWithin bounds every direct message, on a busy machine, whatever becomes of
// the stores: they are not asked.
const routedWithin = 3 * time.Second

// client is a connection to a Redis past the lines.
func (s *server) client() *redis.Client {
	s.t.Helper()
	options, err := redis.ParseURL(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return redis.NewClient(options)
}

// flush empties a Redis, as FLUSHALL does.
func (s *server) flush() {
	s.t.Helper()
	client := s.client()
	defer client.Close()
	if err := client.FlushAll(s.t.Context()).Err(); err != nil {
		s.t.Fatalf("FLUSHALL: %v", err)
	}
}

// TestRedis_IsGoneForTenSecondsAndBack: direct routing never stops, broadcasts are
// accepted and delivered, at worst later.
func TestRedis_IsGoneForTenSecondsAndBack(t *testing.T) {
	t.Parallel()
	for name, losers := range map[string]int{"for all": 3, "for one": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, stores{})
			m := c.market(people{msps: 4, slow: 1})
			c.underLoad(m, rates{}, func() {
				after(2 * time.Second)
				for _, r := range c.replicas[:losers] {
					r.redis.cut()
				}
				after(10 * time.Second)
				for _, r := range c.replicas[:losers] {
					r.redis.mend()
				}
				after(2 * time.Second)
			})
			m.wantUnharmed()
			m.wantAnswersWithin("direct", routedWithin)
			c.wantNothingOpen()
		})
	}
}

// TestRedis_SwallowsEverythingForTenSeconds: as before, but no connection ends
// and nothing is refused: packets vanish.
func TestRedis_SwallowsEverythingForTenSeconds(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, stores{})
	m := c.market(people{msps: 4, slow: 1})
	c.underLoad(m, rates{}, func() {
		after(2 * time.Second)
		c.each(func(r *replica) { r.redis.swallow() })
		after(10 * time.Second)
		c.each(func(r *replica) { r.redis.clear() })
		after(2 * time.Second)
	})
	m.wantUnharmed()
	m.wantAnswersWithin("direct", routedWithin)
	c.wantNothingOpen()
}

// TestRedis_IsEmptiedUnderLoad: what it held is given to it again.
func TestRedis_IsEmptiedUnderLoad(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]func(*server){
		"FLUSHALL":                   (*server).flush,
		"kill -9, nothing was saved": func(s *server) { s.kill(); s.start() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, stores{})
			m := c.market(people{msps: 4, slow: 1})
			c.underLoad(m, rates{every: 20 * time.Millisecond}, func() {
				for range 3 {
					after(3 * time.Second)
					empty(c.redis)
				}
				after(3 * time.Second)
			})
			m.wantUnharmed()
			m.wantAnswersWithin("direct", routedWithin)
			c.wantNothingOpen()
		})
	}
}

// TestRedis_IsFull: it takes no broadcasts, but those that it has are delivered and
// leave it; else it would be full for ever.
func TestRedis_IsFull(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, stores{})
	// The slow one is behind when it happens, for longer than a replica holds its
	// partitions without a sign of life.
	m := c.market(people{msps: 3, slow: 1, pause: 500 * time.Millisecond})
	l := m.begin(c.send, rates{every: 20 * time.Millisecond})
	after(3 * time.Second)
	c.redis.configure("maxmemory", "1")
	after(time.Second)
	l.end()
	c.redis.wantNoEntries()
	c.redis.configure("maxmemory", "0") // no bound
	m.verdict(c.hubs(), false)
	m.wantUnharmed()
	c.wantNothingOpen()
}

// configure changes a setting of a Redis.
func (s *server) configure(setting, value string) {
	s.t.Helper()
	client := s.client()
	defer client.Close()
	if err := client.ConfigSet(s.t.Context(), setting, value).Err(); err != nil {
		s.t.Fatalf("CONFIG SET %s: %v", setting, err)
	}
}

// wantNoEntries holds that the streams become empty.
func (s *server) wantNoEntries() {
	s.t.Helper()
	client := s.client()
	defer client.Close()
	deadline := time.After(settle)
	for {
		var left int64
		streams := client.ScanType(s.t.Context(), 0, "*:broadcasts:*", 1000, "stream").Iterator()
		for streams.Next(s.t.Context()) {
			left += client.XLen(s.t.Context(), streams.Val()).Val()
		}
		if err := streams.Err(); err != nil {
			s.t.Fatalf("SCAN: %v", err)
		}
		if left == 0 {
			return
		}
		select {
		case <-deadline:
			s.t.Errorf("%d broadcasts are in Redis still", left)
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// TestRedis_ThatMayEvictIsWarnedOf: an operator who took a cache for it reads so.
func TestRedis_ThatMayEvictIsWarnedOf(t *testing.T) {
	t.Parallel()
	for policy, warned := range map[string]bool{"noeviction": false, "volatile-ttl": false, "allkeys-lru": true} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			redis := newRedis(t)
			redis.configure("maxmemory-policy", policy)
			c := newCluster(t, 1, stores{redis: redis})
			// Stopping takes two more signs of life.
			if err := c.replicas[0].Stop(); err != nil {
				t.Errorf("it ends with %v", err)
			}
			if log := c.replicas[0].Log.String(); strings.Contains(log, "maxmemory-policy="+policy) != warned {
				t.Errorf("the log tells of the policy %t, want %t:\n%s", !warned, warned, log)
			}
		})
	}
}
