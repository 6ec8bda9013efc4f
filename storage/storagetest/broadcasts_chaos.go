package storagetest

import (
	"math/rand/v2"
	"sync"
	"testing"

	"busbar/routing"
)

// anythingFails cuts off replicas and empties the server while all append and
// work, at random. In the end all has ended, and of no object was an older one
// sent after a newer without saying that it may be old.
func anythingFails(t *testing.T, s SharedLog) {
	const replicas, rounds = 3, 12
	sent := &Running{t: t, more: make(chan struct{}), each: Done}
	send := func(h routing.Handed) {
		if h.Held() {
			sent.take(h)
		}
	}
	var logs []routing.BroadcastLog
	var lines []*Line
	for range replicas {
		log, line := s.Replica(true)
		logs, lines = append(logs, log), append(lines, line)
		RunLog(t, log, send)
	}
	var ended Count
	revision, all := int64(0), 0
	for round := range rounds {
		line := lines[rand.IntN(replicas)]
		switch rand.IntN(4) {
		case 0:
			s.Empty()
		case 1, 2:
			line.Cut()
		}
		for i, object := range objects() {
			revision++
			all++
			logs[i%replicas].Append(Revised(object, round, revision), ended.Add)
		}
		n := all / 2
		Eventually(t, "half of them have ended or wait", func() bool { line.Mend(); return ended.Get() >= n/2 })
	}
	Eventually(t, "all have ended", ended.Is(all))
	wantNeverBack(t, sent.Handed())
	seen := make(map[string]bool)
	for _, h := range sent.Handed() {
		seen[h.CorrelationID] = true
	}
	if len(seen) != all {
		t.Errorf("%d were sent, want %d", len(seen), all)
	}
}

// concurrentAppends has many append to one log that is cut and mended.
func concurrentAppends(t *testing.T, s SharedLog) {
	log, line := s.Replica(false)
	r := RunLog(t, log, Done)
	var ended Count
	var appending sync.WaitGroup
	const each = 300
	for _, object := range objects() {
		appending.Go(func() {
			for n := range each {
				log.Append(Broadcast(object, n), ended.Add)
			}
		})
	}
	for range 3 {
		r.Wait(1)
		line.Cut()
		line.Mend()
	}
	appending.Wait()
	Eventually(t, "all have ended", ended.Is(each*len(objects())))
	wantNeverBack(t, r.Handed())
}
