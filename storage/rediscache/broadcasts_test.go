package rediscache_test

import (
	"testing"
	"time"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

// calm is a pace at which no replica is taken for dead while a test runs.
func calm() rediscache.Pace {
	return rediscache.Pace{
		Beat: 50 * time.Millisecond, Fence: 30 * time.Second, Dead: 60 * time.Second,
		HandOver: 30 * time.Second, Patience: time.Minute, Look: 50 * time.Millisecond, Append: time.Minute,
	}
}

func TestBroadcastsOnRedisMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestBroadcasts(t, func(t *testing.T, patience time.Duration) func() routing.BroadcastLog {
		namespace := storagetest.Namespace(t)
		return func() routing.BroadcastLog {
			pace := calm()
			pace.Patience, pace.HandOver = patience, min(patience, pace.HandOver)
			return broadcasts(t, storagetest.Redis(t), rediscache.BroadcastsConfig{Namespace: namespace, Pace: pace})
		}
	})
}

// broadcasts opens a replica of a log that nobody has used before, until the test
// ends.
func broadcasts(t testing.TB, url string, cfg rediscache.BroadcastsConfig) *rediscache.Broadcasts {
	t.Helper()
	cfg.Fresh = true
	return open(t, url, cfg)
}

// open opens a replica of a log until the test ends.
func open(t testing.TB, url string, cfg rediscache.BroadcastsConfig) *rediscache.Broadcasts {
	t.Helper()
	sealer, err := seal.New([]string{storagetest.Secret(0)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := rediscache.NewClient(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cfg.Client = c
	if cfg.Sealer == nil {
		cfg.Sealer = sealer
	}
	if cfg.Replica == "" {
		cfg.Replica = routing.ReplicaID(storagetest.Namespace(t))
	}
	log := rediscache.NewBroadcasts(cfg)
	log.Start()
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return log
}
