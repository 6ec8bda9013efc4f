//go:build unix

package routing

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// BenchmarkFanout100 delivers status changes to 100 platforms (performance.md,
// P4). The figures are of one delivery; those include the receivers, which do
// next to nothing. cpu-ns/delivery is user and system time.
//
//	go test -run xxx -bench Fanout100 -count 5 ./routing
func BenchmarkFanout100(b *testing.B) {
	for _, width := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("broadcasts=%d", width), func(b *testing.B) { benchmarkFanout(b, 100, width) })
	}
}

// BenchmarkFanoutFloor is what the same deliveries cost a loop that writes
// bytes to a connection and reads the answer.
func BenchmarkFanoutFloor(b *testing.B) {
	const receivers = 100
	request := []byte("PATCH /ocpi/2.2.1/receiver/locations/NL/CPA/LOC1/3256 HTTP/1.1\r\nHost: x\r\n" +
		string(bytes.Repeat([]byte("X-Header: 0123456789012345678901234567\r\n"), 9)) + "Content-Length: 82\r\n\r\n" + benchBody)
	var loops sync.WaitGroup
	addrs := make([]string, receivers)
	for i := range addrs {
		addrs[i] = quickReceiver(b)
	}
	before := cpuTime(b)
	b.ResetTimer()
	for _, addr := range addrs {
		loops.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 4096)
			for range b.N {
				c.Write(request)
				if _, err := c.Read(buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	loops.Wait()
	report(b, before, receivers)
}

const benchBody = `{"status":"CHARGING","last_updated":"2026-01-31T12:00:00Z","capabilities":["RFID"]}`

func benchmarkFanout(b *testing.B, receivers, width int) {
	directory := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{AllowPrivate: true}))
	var legs []Leg
	for i := range receivers {
		id := parties.PlatformID(fmt.Sprintf("platform-%d", i))
		key, _ := ocpi.ParsePartyKey("DE", fmt.Sprintf("%03d", i))
		directory.Apply(parties.Platform{
			ID: id, Status: ocpi.Connected, Version: ocpi.V221, Revision: int64(i + 1),
			Roles: []ocpi.CredentialsRole{{PartyRole: ocpi.PartyRole{Party: key, Role: ocpi.RoleEMSP}}},
			Endpoints: []ocpi.Endpoint{{
				Identifier: ocpi.ModuleLocations, Role: ocpi.Receiver, URL: "http://" + quickReceiver(b) + "/ocpi/2.2.1/receiver/locations",
			}},
		}, int64(i+1))
		entry := directory.Snapshot().Platform(id)
		legs = append(legs, Leg{Party: key, Receiver: entry, Target: entry.Endpoint(ocpi.ModuleLocations, ocpi.Receiver)})
	}
	f := NewFanout(FanoutConfig{
		Directory: directory, Hub: ocpi.PartyKey{'E', 'U', 'B', 'U', 'S'}, Timeout: 30 * time.Second,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Receivers: func(*Broadcast) []Leg { return legs },
		Journals: []Journal{benchLedger{b}},
	})
	defer f.Stop(b.Context())
	under := make(chan struct{}, width)
	deliver := func(i int) {
		under <- struct{}{}
		object := fmt.Sprintf("LOC%d", i)
		f.Deliver(Handed{Broadcast: &Broadcast{
			Object: "locations/NLCPA/" + object, Owner: ocpi.PartyKey{'N', 'L', 'C', 'P', 'A'}, Platform: "cpo", Accepted: time.Now(),
			CorrelationID: "b7c0e4a1-2d55-4c7a-8a86-0f9e6d1c2b3a", Method: "PATCH", Version: ocpi.V221,
			Module: ocpi.ModuleLocations, Path: "/NL/CPA/" + object + "/3256", Body: []byte(benchBody),
		}, Done: func() { <-under }})
	}
	settle := func() {
		for range width {
			under <- struct{}{}
		}
		for range width {
			<-under
		}
	}
	for i := range 20 * width { // connections are opened
		deliver(i)
	}
	settle()
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for i := range b.N {
		deliver(i)
	}
	settle()
	report(b, before, receivers)
}

func report(b *testing.B, before time.Duration, receivers int) {
	b.StopTimer()
	deliveries := float64(b.N) * float64(receivers)
	b.ReportMetric(float64(cpuTime(b)-before)/deliveries, "cpu-ns/delivery")
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
}

// benchLedger holds that everything arrives.
type benchLedger struct{ b *testing.B }

func (benchLedger) Record(*Message) {}
func (l benchLedger) RecordLegs(legs *Legs) {
	if legs.OK != legs.Total {
		l.b.Errorf("%+v", legs)
	}
}

// quickReceiver answers each request that ends with the body, without
// allocating.
func quickReceiver(b *testing.B) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	end, answer := []byte(benchBody), []byte(accepted)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 16<<10)
				for n := 0; ; {
					read, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += read; bytes.HasSuffix(buf[:n], end) {
						n = 0
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func cpuTime(b *testing.B) time.Duration {
	runtime.GC()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
