package gateway

import (
	"math"
	"testing"
	"time"

	"busbar/parties"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// Replicas on a real Redis keep to one limit together, however unevenly a
// platform asks them.
func TestLimits_ReplicasShareOneRate(t *testing.T) {
	t.Parallel()
	const limit, seconds = 100, 6
	for name, asks := range map[string][]int{
		"evenly": {300, 300}, "unevenly": {500, 60}, "three of them": {400, 100, 100}, "as much as is allowed": {50, 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
			d := directory("a", "quiet")
			var replicas []*limits
			for range asks {
				client, err := rediscache.NewClient(url, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { client.Close() })
				replicas = append(replicas, newLimits(Limits{Rate: limit}, d, rediscache.NewShares(client, namespace)))
			}
			second := func(now time.Time) (let int) {
				for tick := range 10 { // the requests of a second, spread over it
					for i, l := range replicas {
						for range asks[i] / 10 {
							if _, err := l.enter("a", now.Add(time.Duration(tick)*100*time.Millisecond)); err == nil {
								let++
							}
						}
					}
				}
				for _, l := range replicas {
					l.share(t.Context(), now.Add(time.Second))
				}
				return let
			}
			// The first second and the bursts that were saved up pass; the replicas
			// have heard of each other after two exchanges.
			now := start
			for range 3 {
				second(now)
				now = now.Add(time.Second)
			}
			sum := 0
			for range seconds {
				sum += second(now)
				now = now.Add(time.Second)
			}
			if per := float64(sum) / seconds; math.Abs(per-limit) > 0.2*limit {
				t.Errorf("%v requests per second were let through, want %d", per, limit)
			}
		})
	}
}

func TestLimits_WhatWasToldExpires(t *testing.T) {
	t.Parallel()
	client, err := rediscache.NewClient(storagetest.Redis(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	namespace := storagetest.Namespace(t)
	shares, others := rediscache.NewShares(client, namespace), rediscache.NewShares(client, namespace)
	asked := make(map[parties.PlatformID]int64)
	for range 1200 { // more than one script takes
		asked[parties.NewPlatformID()] = int64(len(asked) + 1)
	}
	if got, err := shares.Exchange(t.Context(), asked); err != nil || len(got) != len(asked) {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	got, err := others.Exchange(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range asked {
		if got[id] != n {
			t.Fatalf("of %s %d were heard, want %d", id, got[id], n)
		}
	}
	keys, err := client.Keys(t.Context(), "busbar:{"+namespace+"}:*").Result()
	if err != nil || len(keys) != len(asked) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, key := range keys[:20] {
		if left, err := client.PTTL(t.Context(), key).Result(); err != nil || left <= 0 || left > 3*time.Second {
			t.Errorf("%s expires in %s, %v", key, left, err)
		}
	}
	// What a replica that is gone told long ago counts no more, though others keep
	// the key alive.
	id := parties.NewPlatformID()
	key := "busbar:{" + namespace + "}:asked:" + string(id)
	if err := client.HSet(t.Context(), key, "gone", "500 1000", "ahead", "500 99999999999999", "broken", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := shares.Exchange(t.Context(), map[parties.PlatformID]int64{id: 1}); err != nil || got[id] != 0 {
		t.Errorf("%v, %v; want nothing of replicas that are gone", got, err)
	}
	if n, err := client.HLen(t.Context(), key).Result(); err != nil || n != 1 {
		t.Errorf("%d fields are left, %v", n, err)
	}
}
