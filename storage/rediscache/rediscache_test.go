package rediscache_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"busbar/parties"
	"busbar/storage/rediscache"
	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

func TestCacheOnRedisMeetsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCache(t, func(t *testing.T) parties.Cache {
		return cache(t, client(t, storagetest.Redis(t)), storagetest.Namespace(t), 0)
	})
}

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	c, err := rediscache.NewClient(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func cache(t *testing.T, c *redis.Client, namespace string, secrets ...int) *rediscache.Cache {
	t.Helper()
	var list []string
	for _, n := range secrets {
		list = append(list, storagetest.Secret(n))
	}
	sealer, err := seal.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return rediscache.New(rediscache.Config{Client: c, Namespace: namespace, Sealer: sealer})
}

func TestReplicasShareTheCopyAndTheNews(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	one, two := cache(t, client(t, url), namespace, 0), cache(t, client(t, url), namespace, 0)
	stranger := cache(t, client(t, url), storagetest.Namespace(t), 0)
	heard, strange := storagetest.Watch(t, two), storagetest.Watch(t, stranger)
	heard.Want(parties.Change{})
	strange.Want(parties.Change{})

	p := storagetest.FullPlatform("NL")
	fill(t, one, 1)
	announce(t, one, 2, &p)
	heard.Want(parties.Change{Revision: 2, ID: p.ID})
	p.Revision = 2
	got, at, err := two.Get(t.Context(), p.ID)
	if err != nil || at != 2 {
		t.Fatalf("Get: as of %d, %v", at, err)
	}
	if diff := storagetest.Diff(p, got); diff != "" {
		t.Errorf("the other replica reads (-want +got):\n%s", diff)
	}
	if _, ok, err := stranger.Load(t.Context()); ok || err != nil {
		t.Errorf("another namespace has a copy: %v, %v", ok, err)
	}
	announce(t, stranger, 7, &p)
	strange.Want(parties.Change{Revision: 7, ID: p.ID}) // and nothing of the others before it
}

func TestALostSubscriptionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	namespace := storagetest.Namespace(t)
	line, url := storagetest.NewLine(t, storagetest.Redis(t))
	heard := storagetest.Watch(t, cache(t, client(t, url), namespace, 0))
	heard.Want(parties.Change{})
	sender := cache(t, client(t, storagetest.Redis(t)), namespace, 0)
	p := storagetest.Platform("p")
	for revision := range int64(3) {
		line.Cut()
		announce(t, sender, revision, &p) // unheard
		line.Mend()
		heard.Want(parties.Change{})
		announce(t, sender, revision+10, &p)
		heard.Want(parties.Change{Revision: revision + 10, ID: p.ID})
	}
}

func TestAWatchThatBeginsWithoutRedisHearsWhenItComes(t *testing.T) {
	t.Parallel()
	line, url := storagetest.NewLine(t, storagetest.Redis(t))
	line.Cut()
	c := cache(t, client(t, url), storagetest.Namespace(t), 0)
	if _, ok, err := c.Load(t.Context()); ok || err == nil {
		t.Fatalf("Load without Redis: ok %v, %v", ok, err)
	}
	heard := storagetest.Watch(t, c)
	line.Mend()
	heard.Want(parties.Change{})
}

func TestTheOutboundTokenIsNotInRedis(t *testing.T) {
	t.Parallel()
	redis, namespace := client(t, storagetest.Redis(t)), storagetest.Namespace(t)
	c := cache(t, redis, namespace, 0)
	filled, announced := storagetest.FullPlatform("NL"), storagetest.FullPlatform("DE")
	subscription := redis.PSubscribe(t.Context(), "busbar:{"+namespace+"}:*")
	defer subscription.Close()
	if _, err := subscription.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(t, c, 1, filled)
	announce(t, c, 2, &announced)
	message, err := subscription.ReceiveMessage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := redis.Keys(t.Context(), "*"+namespace+"*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v, want one", keys, err)
	}
	fields, err := redis.HGetAll(t.Context(), keys[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	everything := fmt.Sprint(fields, message.Payload)
	if !strings.Contains(everything, string(filled.ID)) || !strings.Contains(everything, string(announced.ID)) {
		t.Fatalf("the platforms are not in %s: the test looks in the wrong place", keys[0])
	}
	if strings.Contains(everything, storagetest.OutboundToken) {
		t.Error("the outbound token stands in Redis in clear")
	}
}

func TestACopyThatNoKeyOpensIsNone(t *testing.T) {
	t.Parallel()
	redis, namespace := client(t, storagetest.Redis(t)), storagetest.Namespace(t)
	p := storagetest.FullPlatform("NL")
	fill(t, cache(t, redis, namespace, 0), 1, p)
	stranger := cache(t, redis, namespace, 1)
	if _, ok, err := stranger.Load(t.Context()); ok || err != nil {
		t.Errorf("Load: ok %v, %v, want none", ok, err)
	}
	if _, at, err := stranger.Get(t.Context(), p.ID); at != 0 || err != nil {
		t.Errorf("Get: as of %d, %v, want none", at, err)
	}
	fill(t, stranger, 1, p)
	if record, ok, err := stranger.Load(t.Context()); !ok || err != nil || len(record.Platforms) != 1 {
		t.Errorf("Load of the replaced copy: %d platforms, ok %v, %v", len(record.Platforms), ok, err)
	}
	if _, ok, err := cache(t, redis, namespace, 0, 1).Load(t.Context()); !ok || err != nil {
		t.Errorf("Load with both keys: ok %v, %v", ok, err)
	}
}

func TestADamagedCopyIsNone(t *testing.T) {
	t.Parallel()
	redis, namespace := client(t, storagetest.Redis(t)), storagetest.Namespace(t)
	c := cache(t, redis, namespace, 0)
	for _, damage := range []func(key string) error{
		func(key string) error { return redis.HDel(t.Context(), key, "revision").Err() },
		func(key string) error { return redis.HSet(t.Context(), key, "p:x", "{").Err() },
		func(key string) error { return redis.Set(t.Context(), key, "not the hub's", 0).Err() },
	} {
		fill(t, c, 1, storagetest.FullPlatform("NL"))
		if err := damage("busbar:{" + namespace + "}:directory:3"); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := c.Load(t.Context()); ok || err != nil {
			t.Errorf("Load: ok %v, %v, want none", ok, err)
		}
	}
}

func TestAClosedGapLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	redis, namespace := client(t, storagetest.Redis(t)), storagetest.Namespace(t)
	c, p := cache(t, redis, namespace, 0), storagetest.Platform("p")
	clean := func() {
		t.Helper()
		n, err := redis.HLen(t.Context(), "busbar:{"+namespace+"}:directory:3").Result()
		if err != nil || n != 3 {
			t.Errorf("the copy has %d fields, %v, want the revision, the agreements and the platform", n, err)
		}
	}
	fill(t, c, 1)
	for _, revision := range []int64{3, 4, 2} {
		announce(t, c, revision, &p)
	}
	clean()
	for _, revision := range []int64{7, 6} {
		announce(t, c, revision, &p)
	}
	fill(t, c, 5, p)
	clean()
}

func TestACopyBeyondTheStoreIsForgotten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ahead  int64 // announced on a copy of revision 5
		newest int64
		want   bool
	}{
		"the store is ahead":               {6, 9, true},
		"both are the same":                {6, 6, true},
		"the store was set back":           {6, 5, false},
		"a change beyond a gap is unknown": {8, 7, false},
		"a change beyond a gap is known":   {8, 8, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cache(t, client(t, storagetest.Redis(t)), storagetest.Namespace(t), 0)
			p := storagetest.Platform("p")
			fill(t, c, 5)
			announce(t, c, test.ahead, &p)
			if err := c.ForgetBeyond(t.Context(), test.newest); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := c.Load(t.Context()); ok != test.want || err != nil {
				t.Errorf("Load: ok %v, %v, want %v", ok, err, test.want)
			}
		})
	}
}

func TestTenThousandPlatformsFit(t *testing.T) {
	t.Parallel()
	c := cache(t, client(t, storagetest.Redis(t)), storagetest.Namespace(t), 0)
	list := make([]parties.Platform, 10_000)
	for i := range list {
		list[i] = storagetest.FullPlatform("NL")
	}
	fill(t, c, 10_000, list...)
	got, ok, err := c.Load(t.Context())
	if len(got.Platforms) != len(list) || got.Revision != 10_000 || !ok || err != nil {
		t.Errorf("Load = %d platforms at %d, ok %v, %v", len(got.Platforms), got.Revision, ok, err)
	}
}

func TestARedisURLIsReadWithoutLeakingItsPassword(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	tests := map[string]struct {
		url string
		ok  bool
	}{
		"plain":       {"redis://user:" + password + "@127.0.0.1:6379/3", true},
		"TLS":         {"rediss://:" + password + "@redis.example", true},
		"a setting":   {"redis://:" + password + "@127.0.0.1?read_timeout=1s", true},
		"bad escape":  {"redis://:" + password + "%zz@127.0.0.1", false},
		"bad port":    {"redis://:" + password + "@127.0.0.1:port", false},
		"bad setting": {"redis://:" + password + "@127.0.0.1?colour=red", false},
		"bad number":  {"redis://:" + password + "@127.0.0.1/x", false},
		"bad scheme":  {"http://:" + password + "@127.0.0.1", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := rediscache.NewClient(test.url, nil)
			if (err == nil) != test.ok {
				t.Fatalf("NewClient: %v", err)
			}
			if err != nil {
				if strings.Contains(err.Error(), password) {
					t.Errorf("the error holds the password: %v", err)
				}
				return
			}
			c.Close()
		})
	}
}

func fill(t *testing.T, c *rediscache.Cache, revision int64, list ...parties.Platform) {
	t.Helper()
	if err := c.Fill(t.Context(), parties.Record{Platforms: list, Revision: revision}); err != nil {
		t.Fatal(err)
	}
}

func announce(t *testing.T, c *rediscache.Cache, revision int64, p *parties.Platform) {
	t.Helper()
	if err := c.Announce(t.Context(), parties.Change{Revision: revision, ID: p.ID}, p); err != nil {
		t.Fatal(err)
	}
}
