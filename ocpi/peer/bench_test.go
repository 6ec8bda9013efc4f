//go:build unix

package peer

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"busbar/ocpi"
)

// BenchmarkDo compares the ways to PUT a Location of 2.8 KB over kept-alive
// connections; doc.go claims that ours is the cheapest that can also give up a
// call and look before it writes. The figures include the server, which is the
// same for all and does next to nothing. cpu-ns/op is user and system time.
//
//	go test -run xxx -bench Do -count 5 ./ocpi/peer
func BenchmarkDo(b *testing.B) {
	body, err := os.ReadFile("../testdata/location.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name string
		make func(testing.TB, *platform, []byte) func(context.Context) error
	}{{"peer", viaPeer}, {"net-http", viaTransport}, {"fasthttp", viaHostClient}} {
		for _, width := range []struct {
			name    string
			callers int
		}{{"1", 0}, {"64", 64}} {
			b.Run(way.name+"/callers="+width.name, func(b *testing.B) {
				put := way.make(b, listen(b, func(l *link) { serveQuickly(l, body) }), body)
				measure(b, width.callers, put)
			})
		}
	}
}

func measure(b *testing.B, callers int, put func(context.Context) error) {
	b.ReportAllocs()
	// A request's context can be cancelled; ours pays for hearing of it.
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	before := cpu(b)
	if callers == 0 {
		for range b.N {
			if err := put(ctx); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := put(ctx); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// serveQuickly answers each request that ends with body, without allocating.
func serveQuickly(l *link, body []byte) {
	buf := make([]byte, 64<<10)
	answer := []byte(ok(success))
	for n := 0; ; {
		read, err := l.Read(buf[n:])
		if err != nil {
			return
		}
		if n += read; bytes.HasSuffix(buf[:n], body) {
			n = 0
			if _, err := l.Write(answer); err != nil {
				return
			}
		}
	}
}

var routing = []ocpi.Header{
	{Name: ocpi.HeaderRequestID, Value: "0f3b7a52-6c1e-4d8e-9d0a-3a2c5b1e7f60"},
	{Name: ocpi.HeaderCorrelationID, Value: "b7c0e4a1-2d55-4c7a-8a86-0f9e6d1c2b3a"},
	{Name: ocpi.HeaderFromCountryCode, Value: "NL"}, {Name: ocpi.HeaderFromPartyID, Value: "CPA"},
	{Name: ocpi.HeaderToCountryCode, Value: "DE"}, {Name: ocpi.HeaderToPartyID, Value: "MSP"},
}

func viaPeer(t testing.TB, p *platform, body []byte) func(context.Context) error {
	c, to := p.client(t), target(t, p.url+"/ocpi/2.2.1/receiver/locations")
	return func(ctx context.Context) error {
		answer, err := c.Do(ctx, time.Now().Add(30*time.Second), &Call{
			Method: "PUT", Target: to, Path: "/NL/CPA/LOC1", Headers: routing, Body: body,
		})
		if err != nil {
			return err
		}
		answer.Release()
		return nil
	}
}

func viaTransport(t testing.TB, p *platform, body []byte) func(context.Context) error {
	transport := &http.Transport{
		MaxConnsPerHost: MaxConns, MaxIdleConnsPerHost: MaxConns, MaxIdleConns: MaxConns,
		IdleConnTimeout: idleTimeout, DisableCompression: true, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "PUT", p.url+"/ocpi/2.2.1/receiver/locations/NL/CPA/LOC1", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header["Authorization"] = []string{"Token c2VjcmV0"}
		req.Header["Content-Type"] = []string{"application/json"}
		for _, h := range routing {
			req.Header[h.Name] = []string{h.Value}
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		return err
	}
}

func viaHostClient(t testing.TB, p *platform, body []byte) func(context.Context) error {
	client := &fasthttp.HostClient{
		Addr: strings.TrimPrefix(p.url, "http://"), MaxConns: MaxConns, MaxIdleConnDuration: idleTimeout,
		MaxIdemponentCallAttempts: 1, DisableHeaderNamesNormalizing: true, NoDefaultUserAgentHeader: true,
		Dial: func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
	}
	t.Cleanup(client.CloseIdleConnections)
	return func(context.Context) error {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.Header.DisableNormalizing()
		req.Header.SetMethod("PUT")
		req.SetRequestURI(p.url + "/ocpi/2.2.1/receiver/locations/NL/CPA/LOC1")
		req.Header.Set("Authorization", "Token c2VjcmV0")
		req.Header.SetContentType("application/json")
		for _, h := range routing {
			req.Header.Set(h.Name, h.Value)
		}
		req.SetBodyRaw(body)
		return client.DoDeadline(req, resp, time.Now().Add(30*time.Second))
	}
}
