package rediscache_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/storagetest"
)

// BenchmarkBroadcasts is the way of a broadcast through the log, from Append to
// where its end is known: a stream of them, as many as there can be.
func BenchmarkBroadcasts(b *testing.B) {
	log := broadcasts(b, storagetest.Redis(b), rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(b)})
	stop := runFor(b, log, storagetest.Done)
	defer stop()
	body := make([]byte, 2800)
	ended := make(chan struct{}, 1000)
	broadcasts := make([]*routing.Broadcast, 1000)
	for i := range broadcasts {
		broadcasts[i] = storagetest.FullBroadcast(fmt.Sprint("locations/NLCPA/loc", i), 0)
		broadcasts[i].Path, broadcasts[i].Query, broadcasts[i].Body = "/NL/CPA/loc", "", body
	}
	underWay := 0
	for i := 0; b.Loop(); i++ {
		if underWay == cap(ended) {
			<-ended
			underWay--
		}
		underWay++
		log.Append(broadcasts[i%len(broadcasts)], func() { ended <- struct{}{} })
	}
	for range underWay {
		<-ended
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "broadcasts/s")
}

// BenchmarkBroadcastLatency is the time from Append to the hand-over on an idle
// system.
func BenchmarkBroadcastLatency(b *testing.B) {
	log := broadcasts(b, storagetest.Redis(b), rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(b)})
	handed := make(chan struct{})
	stop := runFor(b, log, func(h routing.Handed) {
		h.Done()
		handed <- struct{}{}
	})
	defer stop()
	log.Append(storagetest.Broadcast("a", 0), nil)
	<-handed
	for i := 0; b.Loop(); i++ {
		log.Append(storagetest.Broadcast(fmt.Sprint(i%100), i), nil)
		<-handed
	}
}

// BenchmarkTaken is what the answer to a push waits on an idle system, and what those
// to 64 at a time do.
func BenchmarkTaken(b *testing.B) {
	for _, senders := range []int{1, 64} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			log := broadcasts(b, storagetest.Redis(b), rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(b)})
			defer runFor(b, log, storagetest.Done)()
			b.SetParallelism(max(1, senders/runtime.GOMAXPROCS(0)))
			push := func(i int) {
				if taken := log.Append(storagetest.Broadcast(fmt.Sprint(i%100), i), nil); taken != nil {
					<-taken
				}
			}
			if senders == 1 {
				for i := 0; b.Loop(); i++ {
					push(i)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					push(i)
				}
			})
		})
	}
}

// BenchmarkHeld is what each leg asks.
func BenchmarkHeld(b *testing.B) {
	log := broadcasts(b, storagetest.Redis(b), rediscache.BroadcastsConfig{Namespace: storagetest.Namespace(b)})
	handed := make(chan routing.Handed, 1)
	stop := runFor(b, log, func(h routing.Handed) { handed <- h })
	log.Append(storagetest.Broadcast("a", 0), nil)
	h := <-handed
	for b.Loop() {
		if !h.Held() {
			b.Fatal("not held")
		}
	}
	h.Done()
	stop()
}

func runFor(b *testing.B, log routing.BroadcastLog, deliver func(routing.Handed)) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		log.Run(ctx, deliver)
	}()
	return func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			b.Error("Run does not end")
		}
	}
}
