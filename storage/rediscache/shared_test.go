package rediscache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// quick is a pace at which a replica is taken for dead while a test runs. It holds
// its partitions as long as each sign of life comes within half of Fence: with less
// than this, one on a machine with eight times as much to do as it can held none for
// half a minute.
func quick() rediscache.Pace {
	return rediscache.Pace{
		Beat: 50 * time.Millisecond, Fence: 3 * time.Second, Dead: 5 * time.Second,
		HandOver: time.Second, Patience: 2 * time.Second, Look: 50 * time.Millisecond,
	}
}

func TestReplicasOnRedisMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestSharedBroadcasts(t, func(t *testing.T) storagetest.SharedLog {
		url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
		c := client(t, url)
		return storagetest.SharedLog{
			Replica: func(hasty bool) (routing.BroadcastLog, *storagetest.Line) {
				pace := calm()
				if hasty {
					pace = quick()
				}
				line, through := storagetest.NewLine(t, url)
				return broadcasts(t, through, rediscache.BroadcastsConfig{Namespace: namespace, Pace: pace}), line
			},
			Empty:    func() { empty(t, c, namespace) },
			LoseTail: func(n int) { loseTail(t, c, namespace, n) },
		}
	})
}

// keysOf are the keys of a namespace.
func keysOf(t *testing.T, c *redis.Client, namespace string) []string {
	t.Helper()
	var keys []string
	scan := c.Scan(t.Context(), 0, "*{"+namespace+"}*", 1000).Iterator()
	for scan.Next(t.Context()) {
		keys = append(keys, scan.Val())
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// empty deletes all of a namespace at once, as FLUSHALL would.
func empty(t *testing.T, c *redis.Client, namespace string) {
	t.Helper()
	const script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end return 1"
	if err := c.Eval(t.Context(), script, nil, "*{"+namespace+"}*").Err(); err != nil {
		t.Fatal(err)
	}
}

// loseTail sets back what was appended behind the first n calls, as a fail-over to
// a server does that had come no further.
func loseTail(t *testing.T, c *redis.Client, namespace string, n int) {
	t.Helper()
	keys := keysOf(t, c, namespace)
	_, err := c.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		ctx := context.Background()
		for _, key := range keys {
			switch {
			case strings.Contains(key, ":calls:"):
				p.HSet(ctx, key, "call", n, "ids", "")
			case c.Type(ctx, key).Val() == "stream":
				entries := c.XRange(ctx, key, "-", "+").Val()
				if len(entries) <= n {
					continue
				}
				for _, entry := range entries[n:] {
					p.XDel(ctx, key, entry.ID)
				}
				p.XGroupSetID(ctx, key, "hub", entries[n-1].ID)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
