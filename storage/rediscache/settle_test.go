package rediscache_test

import (
	"testing"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// TestWhoStartsOnAnEmptiedRedisWaitsForFormerOwners: one of them may not hear, for
// as long as it holds its partitions, that they are no longer its.
func TestWhoStartsOnAnEmptiedRedisWaitsForFormerOwners(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	line, through := storagetest.NewLine(t, url)
	owner := broadcasts(t, through, rediscache.BroadcastsConfig{Namespace: namespace, Pace: quick()})
	owner.Append(storagetest.Broadcast("a", 0), nil)
	held := storagetest.RunLog(t, owner, nil).Wait(1)[0]
	line.Silence()
	t.Cleanup(line.Mend)
	empty(t, client(t, url), namespace)

	starter := open(t, url, rediscache.BroadcastsConfig{Namespace: namespace, Pace: quick()})
	starter.Append(storagetest.Broadcast("a", 1), nil)
	storagetest.RunLog(t, starter, func(h routing.Handed) {
		if held.Held() {
			t.Error("two hold the partition")
		}
		h.Done()
	}).Wait(1)
	// It has watched for long enough to tell: whoever starts now need not.
	next := open(t, url, rediscache.BroadcastsConfig{Namespace: namespace, Pace: calm()})
	all := storagetest.RunLog(t, next, storagetest.Done)
	n := 0
	storagetest.Eventually(t, "it has its part", func() bool {
		next.Append(storagetest.Broadcast(string(rune('a'+n%100)), n), nil)
		n++
		return len(all.Handed()) > 0
	})
}
