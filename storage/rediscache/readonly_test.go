package rediscache_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// ownRedis starts a Redis of the test's own.
func ownRedis(t *testing.T) (url string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "redis")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	url = "unix://" + socket
	c := client(t, url)
	storagetest.Eventually(t, "it serves", func() bool { return c.Ping(t.Context()).Err() == nil })
	return url
}

// TestAReadOnlyRedisIsOneThatIsGone, as after a fail-over, until it is a master.
func TestAReadOnlyRedisIsOneThatIsGone(t *testing.T) {
	t.Parallel()
	url := ownRedis(t)
	c := client(t, url)
	log := broadcasts(t, url, rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(t), Pace: quick()})
	var ended storagetest.Count
	r := storagetest.RunLog(t, log, nil)
	log.Append(storagetest.Broadcast("a", 0), ended.Add)
	held := r.Wait(1)[0]

	replicaOf := func(host, port string) {
		t.Helper()
		if err := c.Do(context.Background(), "REPLICAOF", host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	replicaOf("127.0.0.1", "1") // where nobody is
	storagetest.Eventually(t, "it says why broadcasts wait", func() bool {
		err := log.Ready()
		var refusal redis.Error
		return errors.As(err, &refusal) && redis.HasErrorPrefix(err, "READONLY")
	})
	storagetest.Eventually(t, "nothing is held", func() bool { return !held.Held() })
	held.Done()
	log.Append(storagetest.Broadcast("a", 1), ended.Add)

	replicaOf("NO", "ONE")
	r.Until("the second", func(handed []routing.Handed) bool {
		return handed[len(handed)-1].CorrelationID == "a 1"
	})
	for _, h := range r.Handed() {
		h.Done()
	}
	storagetest.Eventually(t, "both have ended", ended.Is(2))
	storagetest.Eventually(t, "it is well", func() bool { return log.Ready() == nil })
}
