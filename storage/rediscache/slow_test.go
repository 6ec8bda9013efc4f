package rediscache_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// delayed puts a network in front of a Redis on which each answer takes as long as
// set tells.
func delayed(t *testing.T, server string) (through string, set func(time.Duration)) {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "slow", "127.0.0.1:0", at.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	at.Host = proxy.Listen
	return at.String(), func(latency time.Duration) {
		t.Helper()
		proxy.Toxics.ResetToxics(t.Context())
		if latency == 0 {
			return
		}
		_, err := proxy.Toxics.AddToxicJson(strings.NewReader(
			fmt.Sprintf(`{"type":"latency","stream":"downstream","attributes":{"latency":%d}}`, latency.Milliseconds())))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestASlowRedisCarriesBroadcasts, though each call takes 1.3 s, and nobody loses a
// partition by that.
func TestASlowRedisCarriesBroadcasts(t *testing.T) {
	t.Parallel()
	through, set := delayed(t, storagetest.Redis(t))
	log := broadcasts(t, through, rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(t)})
	r := storagetest.RunLog(t, log, nil)
	var ended storagetest.Count
	log.Append(storagetest.Broadcast("first", 0), ended.Add)
	r.Wait(1)[0].Done()
	storagetest.Eventually(t, "the first has ended", ended.Is(1))
	set(1300 * time.Millisecond) // 2 s is the end: the rest is for a machine that has much to do
	for _, object := range []string{"a", "b", "c", "d"} {
		log.Append(storagetest.Broadcast(object, 0), ended.Add)
	}
	handed := r.Wait(5)[1:]
	for range 50 { // five seconds: a term and more
		<-time.After(100 * time.Millisecond)
		for _, h := range handed {
			if !h.Held() {
				t.Fatalf("%s is held no longer", h.CorrelationID)
			}
		}
	}
	for _, h := range handed {
		h.Done()
	}
	storagetest.Eventually(t, "all have ended", ended.Is(5))
	if err := log.Ready(); err != nil {
		t.Error(err)
	}
	set(0) // the stop need not be slow, too
}

// TestP4_WhatIsSentAfterTheAnswerComesBehind, though it is sent to a replica which
// is nearer to Redis than the one that answered.
func TestP4_WhatIsSentAfterTheAnswerComesBehind(t *testing.T) {
	t.Parallel()
	for _, module := range []ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTokens} {
		t.Run(string(module), func(t *testing.T) {
			t.Parallel()
			server := storagetest.Redis(t)
			through, set := delayed(t, server)
			cfg := rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(t), Pace: calm()}
			slow, fast := broadcasts(t, through, cfg), broadcasts(t, server, cfg)
			set(200 * time.Millisecond)
			storagetest.TestAnotherReplicaIsBehind(t, slow, fast, module)
			set(0) // the stop need not be slow, too
		})
	}
}

// TestARedisThatIsTooSlowIsToldOf, and what was accepted meanwhile is sent when it
// is faster.
func TestARedisThatIsTooSlowIsToldOf(t *testing.T) {
	t.Parallel()
	through, set := delayed(t, storagetest.Redis(t))
	set(700 * time.Millisecond)
	var logs storagetest.Logs
	log := broadcasts(t, through, rediscache.BroadcastsConfig{
		Namespace: storagetest.Namespace(t), Logger: logs.Logger(),
		Pace: rediscache.Pace{Fence: time.Second, Dead: 2 * time.Second},
	})
	r := storagetest.RunLog(t, log, func(h routing.Handed) { h.Done() })
	var ended storagetest.Count
	log.Append(storagetest.Broadcast("a", 0), ended.Add)
	storagetest.Eventually(t, "it says so", func() bool {
		err := log.Ready()
		return err != nil && strings.Contains(err.Error(), "too slowly")
	})
	if n := len(r.Handed()); n > 0 {
		t.Errorf("%d were handed over", n)
	}
	set(0)
	storagetest.Eventually(t, "it has ended", ended.Is(1))
	storagetest.Eventually(t, "it is fast enough again", func() bool { return log.Ready() == nil })
	for _, line := range []string{"redis answers too slowly", "redis answers fast enough"} {
		if n := strings.Count(logs.String(), line); n == 0 {
			t.Errorf("%d lines say that %s", n, line)
		}
	}
}
