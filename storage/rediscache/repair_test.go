package rediscache_test

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// overwritten makes a key of the log one of another kind.
func overwritten(key string) func(context.Context, *redis.Client, string, string) error {
	return func(ctx context.Context, c *redis.Client, prefix, _ string) error {
		_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Del(ctx, prefix+key)
			p.LPush(ctx, prefix+key, "not", "the", "hub's")
			return nil
		})
		return err
	}
}

// TestAKeyThatSomebodyBrokeIsMadeAnew: all that was open ends, and what the other
// partitions have is not held up.
func TestAKeyThatSomebodyBrokeIsMadeAnew(t *testing.T) {
	t.Parallel()
	const replica = "replica"
	for name, test := range map[string]func(ctx context.Context, c *redis.Client, prefix, stream string) error{
		"a stream": func(ctx context.Context, c *redis.Client, _, stream string) error {
			return c.Set(ctx, stream, "not the hub's", 0).Err() // whatever it was
		},
		"the group of a stream": func(ctx context.Context, c *redis.Client, _, stream string) error {
			return c.XGroupDestroy(ctx, stream, "hub").Err()
		},
		"a stream of somebody else": func(ctx context.Context, c *redis.Client, _, stream string) error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Del(ctx, stream)
				p.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []string{"not", "the hub's"}})
				return nil
			})
			return err
		},
		"the epoch": overwritten("epoch"), "what is settled": overwritten("settled"), "the beats": overwritten("beats"),
		"the leases": overwritten("broadcasts:1:leases"), "the newest": overwritten("broadcasts:1:newest"),
		"the calls": overwritten("broadcasts:1:calls:" + replica),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
			c := client(t, url)
			var logs storagetest.Logs
			log := broadcasts(t, url, rediscache.BroadcastsConfig{
				Namespace: namespace, Pace: quick(), Replica: replica, Logger: logs.Logger(),
			})
			var ended storagetest.Count
			log.Append(storagetest.Broadcast("a", 0), ended.Add)
			log.Append(storagetest.Broadcast("a", 1), ended.Add)
			r := storagetest.RunLog(t, log, func(h routing.Handed) {
				if h.Object != "a" || h.Again {
					h.Done()
				}
			})
			r.Wait(2)
			stream := streamOf(t, c, namespace)
			if err := test(t.Context(), c, "busbar:{"+namespace+"}:", stream); err != nil {
				t.Fatal(err)
			}
			const more = 40 // in many partitions, that of the first two among them
			for n := range more {
				log.Append(storagetest.Broadcast(string(rune('a'+n)), 2), ended.Add)
			}
			r.Until("all others", func(handed []routing.Handed) bool {
				objects := make(map[string]bool)
				for _, h := range handed {
					objects[h.CorrelationID] = true
				}
				return len(objects) == more+2
			})
			storagetest.Eventually(t, "it is made anew", func() bool { return strings.Contains(logs.String(), "thrown away") })
			storagetest.Eventually(t, "all have ended", func() bool {
				for _, h := range r.Handed() {
					if h.CorrelationID == "a 0" || h.CorrelationID == "a 1" {
						h.Done()
					}
				}
				return ended.Get() == more+2
			})
		})
	}
}
