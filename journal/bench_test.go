package journal

import (
	"fmt"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// sample is the n-th of many messages as they pass a hub.
func sample(n int) routing.Message {
	outcome, status := routing.OutcomeOK, ocpi.Success
	if n%50 == 0 {
		outcome, status = routing.OutcomeTimeout, ocpi.ForwardTimeout
	}
	return routing.Message{
		Time: time.Unix(1_700_000_000, int64(n)*1_000_000), CorrelationID: ocpi.NewMessageID(), RequestID: ocpi.NewMessageID(),
		Method: "PATCH", Module: ocpi.ModuleLocations, Interface: ocpi.Receiver,
		Path: fmt.Sprintf("/NL/C%02d/LOC-%d/EVSE-%d", n%90, n%5000, n%7),
		From: ocpi.PartyKey{'N', 'L', 'C', byte('0' + n/10%9), byte('0' + n%10)}, To: ocpi.PartyKey{'D', 'E', 'M', 'S', byte('A' + n%20)},
		Plan: routing.PlanDirect, Outcome: outcome, HTTPStatus: 200, OCPIStatus: status,
		Duration: time.Duration(n%97) * time.Millisecond, Peer: time.Duration(n%91) * time.Millisecond,
	}
}

func samples(n int) []routing.Message {
	all := make([]routing.Message, n)
	for i := range all {
		all[i] = sample(i)
	}
	return all
}

// What a message costs on the request path.
func BenchmarkRecord(b *testing.B) {
	messages := samples(1024)
	r := New(Config{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Record(&messages[i%len(messages)])
		if i++; i%50_000 == 0 {
			r.mu.Lock()
			r.sealed, r.held, r.bytes = nil, 0, 0
			r.mu.Unlock()
		}
	}
}

func BenchmarkRecordParallel(b *testing.B) {
	messages := samples(1024)
	r := New(Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r.Record(&messages[i%len(messages)])
			if i%10_000 == 0 {
				r.mu.Lock()
				r.sealed, r.held, r.bytes = nil, 0, 0
				r.mu.Unlock()
			}
		}
	})
}

// What a message costs off the request path, per message.
func BenchmarkSeal(b *testing.B) {
	r := New(Config{})
	batch := batch{messages: samples(batchSize), size: batchSize}
	now := time.Now()
	s := scribe{Recorder: r}
	size := 0
	for b.Loop() {
		s.shownMessages, s.shownLegs = 0, 0
		s.show(batch, now)
		segment := r.codec.seal(batch, now)
		size = len(segment.Body) + len(segment.Filter)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/message")
	b.ReportMetric(float64(size)/batchSize, "bytes/message")
}

// What a segment costs a search that looks for one party.
func BenchmarkSearchSegment(b *testing.B) {
	c := newCodec(ocpi.PartyKey{})
	segment, r := c.seal(batch{messages: samples(batchSize), size: batchSize}, time.Now()), New(Config{})
	for name, f := range map[string]Filter{
		"another correlation id": {CorrelationID: "another"}, "a module": {Module: ocpi.ModuleCDRs}, "everything": {},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := search{Recorder: r, match: newMatcher(f), before: place{1 << 62, 0}, legs: map[string][]routing.Legs{}}
				s.segment(&segment)
			}
		})
	}
}

// What a replica does once a second, after a busy minute.
func BenchmarkReport(b *testing.B) {
	r := New(Config{})
	now := time.Unix(1_700_000_000, 0)
	for i := range 60_000 {
		m := sample(i)
		m.Time = now.Add(time.Duration(i) * time.Millisecond)
		r.pulse.message(&m, m.Time.Add(m.Duration))
	}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		size = len(r.report(now.Add(time.Minute)).pack())
	}
	b.ReportMetric(float64(size), "bytes")
}

// What telling a message costs while somebody listens at another replica, and what
// hearing it costs there.
func BenchmarkNews(b *testing.B) {
	n := news{messages: samples(1000)}
	writer := newNewsWriter(ocpi.PartyKey{})
	packed, _ := writer.pack(n, 0)
	b.Run("tell", func(b *testing.B) {
		for b.Loop() {
			writer.pack(n, 0)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/message")
		b.ReportMetric(float64(len(packed))/1000, "bytes/message")
	})
	b.Run("hear", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := readNews(packed); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/message")
	})
}
