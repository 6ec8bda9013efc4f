package hub_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/storage/storagetest"
)

// stopSlack is what a machine that others use may add to what a stop takes.
const stopSlack = 5 * time.Second

// behind are the stores of a hub, the lines to which a test may cut; past is the
// same hub's way past them.
type behind struct {
	postgres, redis *storagetest.Line
	config, past    func(*hub.Config)
}

func behindLines(t *testing.T) behind {
	t.Helper()
	all := shared(t)
	past := func(c *hub.Config) {
		all(c)
		c.ForwardTimeout = 5 * time.Minute // what hangs does not end by itself
	}
	var cfg hub.Config
	past(&cfg)
	b := behind{past: past}
	var postgres, redis string
	b.postgres, postgres = storagetest.NewLine(t, cfg.Database)
	b.redis, redis = storagetest.NewLine(t, cfg.Redis)
	b.config = func(c *hub.Config) {
		past(c)
		c.Database, c.Redis = postgres, redis
	}
	return b
}

// stopsSoon stops the hub, and holds that it takes no longer than it may.
func stopsSoon(t *testing.T, h *hubtest.Hub) {
	t.Helper()
	began := time.Now()
	h.Stop()
	t.Logf("stopping took %s", time.Since(began))
	if took := time.Since(began); took > hub.StopTimeout+stopSlack {
		t.Errorf("stopping took %s:\n%s", took, h.Log.String())
	}
}

// arrives waits until a platform has received a Tariff.
func arrives(p *hubtest.Platform, id string) {
	p.Await("Tariff "+id, func() bool {
		for _, r := range p.Received() {
			if strings.HasSuffix(r.URI, "/tariffs/NL/CPA/"+id) {
				return true
			}
		}
		return false
	})
}

// TestStop_IsSoonAndLosesNothing: whatever hangs, a stop takes a few seconds, and
// what was accepted before arrives by those that are there, or start next.
func TestStop_IsSoonAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  func(behind)
		beside bool // another replica is there
	}{
		"only the receiver hangs":                       {func(behind) {}, false},
		"only the receiver hangs, and others are there": {func(behind) {}, true},
		"Redis is gone":                                 {func(b behind) { b.redis.Cut() }, false},
		"Redis does not answer":                         {func(b behind) { b.redis.Silence() }, false},
		"Redis does not answer, and others are there":   {func(b behind) { b.redis.Silence() }, true},
		"Postgres does not answer":                      {func(b behind) { b.postgres.Silence() }, false},
		"neither answers":                               {func(b behind) { b.postgres.Silence(); b.redis.Silence() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stores := behindLines(t)
			h := hubtest.Start(t, stores.config)
			cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
			hung, release := hangsUntilKilled(t, msp, "tariffs/NL/CPA/T1")
			broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T1", location("T1", newYear, ""))
			<-hung
			broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T2", location("T2", newYear, ""))
			arrives(msp, "T2")
			if test.beside {
				hubtest.Start(t, stores.past)
			}
			test.fault(stores)
			stopsSoon(t, h)
			release()
			if !test.beside {
				hubtest.Start(t, stores.past)
			}
			arrives(msp, "T1")
		})
	}
}

// TestStop_ARequestThatHangsIsCutOff, and so is what a lone hub on a file has
// under way.
func TestStop_ARequestThatHangsIsCutOff(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ForwardTimeout, c.InFlight = 5*time.Minute, time.Second })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	hung, release := hangsUntilKilled(t, msp, "tariffs/NL/CPA/T1")
	broadcast(t, cpo, "PUT", "tariffs/NL/CPA/T1", location("T1", newYear, ""))
	<-hung
	arrived := make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	cpo.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/sender/") { // the second hub pulls, too
			arrive()
			<-r.Context().Done()
		}
		return false
	})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = h.TrySend(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/sessions", Token: msp.TokenC, To: "NL/CPA"})
	}()
	<-arrived
	stopsSoon(t, h)
	<-asked
	release()
	hubtest.Start(t, sameFolder(h))
	arrives(msp, "T1")
}
