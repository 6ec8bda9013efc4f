package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/valyala/fasthttp"
)

// newServing is a server with bounds of its own, whose handler reads the body and
// answers 200, or says nothing for as long as hang is open.
func newServing(b bounds, hang <-chan struct{}, secured *tls.Config) *Server {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if hang != nil {
			<-hang
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	s := newServer(handler, b, secured)
	s.fast.Logger = slogPrinter{slog.New(slog.DiscardHandler)}
	s.conns.refused = prometheus.NewCounter(prometheus.CounterOpts{Name: "refused"})
	return s
}

// serving runs a server on a real listener.
func serving(t *testing.T, b bounds, hang <-chan struct{}) (*Server, string) {
	t.Helper()
	s := newServing(b, hang, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		l.Close()
		<-served
	})
	return s, l.Addr().String()
}

func open(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	return c, bufio.NewReader(c)
}

// status reads an answer; 0 is a closed connection.
func status(r *bufio.Reader) int {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// pipes is a listener in a bubble: its connections are pipes, whose time is the
// bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, io.EOF
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// slowly has a requester talk to a server in a bubble: there a busy machine makes
// nobody late.
func slowly(t *testing.T, b bounds, secured *tls.Config, talk func(t *testing.T, c net.Conn)) {
	t.Helper()
	// fasthttp's clock for the Date header never ends: it may not begin in a bubble.
	_ = new(fasthttp.ResponseHeader).AppendBytes(nil)
	synctest.Test(t, func(t *testing.T) {
		s, l := newServing(b, nil, secured), make(pipes)
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		ours, theirs := net.Pipe()
		l <- theirs
		talk(t, ours)
		ours.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // until fasthttp's pool of workers has ended
	})
}

// drip sends byte after byte until the connection ends; the number of bytes sent.
func drip(c net.Conn, text string) *atomic.Int64 {
	var sent atomic.Int64
	go func() {
		for i := 0; ; i++ {
			if _, err := c.Write([]byte{text[i%len(text)]}); err != nil {
				return
			}
			sent.Add(1)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return &sent
}

// wantAfter compares the bubble's time since begin.
func wantAfter(t *testing.T, begin time.Time, want time.Duration) {
	t.Helper()
	if took := time.Since(begin); took != want {
		t.Errorf("it took %s, want %s", took, want)
	}
}

var slowHeader = "GET / HTTP/1.1\r\nHost: hub\r\n" + strings.Repeat("X-A: b\r\n", 1000)

// Each byte that arrives would move a deadline for single reads. The whole header
// has one.
func TestSlow_AHeaderThatDripsIsCutOff(t *testing.T) {
	t.Parallel()
	b := bounds{read: time.Minute, header: 100 * time.Millisecond, write: time.Minute, connections: 10}
	slowly(t, b, nil, func(t *testing.T, c net.Conn) {
		r := bufio.NewReader(c)
		begin, sent := time.Now(), drip(c, slowHeader)
		if got := status(r); got != http.StatusRequestTimeout {
			t.Errorf("HTTP %d, want 408", got)
		}
		wantAfter(t, begin, b.header)
		if n := sent.Load(); n < 20 {
			t.Errorf("cut off after %d bytes", n)
		}
		if got := status(r); got != 0 {
			t.Errorf("the connection is still open: HTTP %d", got)
		}
	})
}

// The second request of a connection is bounded like the first.
func TestSlow_ALaterHeaderThatDripsIsCutOff(t *testing.T) {
	t.Parallel()
	b := bounds{read: time.Minute, header: 100 * time.Millisecond, write: time.Minute, connections: 10}
	slowly(t, b, nil, func(t *testing.T, c net.Conn) {
		r := bufio.NewReader(c)
		for range 2 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
			if got := status(r); got != 200 {
				t.Fatalf("HTTP %d", got)
			}
		}
		begin := time.Now()
		drip(c, slowHeader)
		if got := status(r); got != http.StatusRequestTimeout {
			t.Errorf("HTTP %d, want 408", got)
		}
		wantAfter(t, begin, b.header)
	})
}

// A body has the time of the whole request, not that of the header, and no more.
func TestSlow_ABodyHasItsOwnTime(t *testing.T) {
	t.Parallel()
	b := bounds{read: 250 * time.Millisecond, header: 50 * time.Millisecond, write: time.Minute, connections: 10}
	slowly(t, b, nil, func(t *testing.T, c net.Conn) {
		begin := time.Now()
		head := "POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000000\r\n\r\n"
		_, _ = io.WriteString(c, head[:10])
		_, _ = io.WriteString(c, head[10:]+strings.Repeat("x", 9<<10))
		drip(c, "x")
		if got := status(bufio.NewReader(c)); got != http.StatusBadRequest {
			t.Errorf("HTTP %d, want 400 of the handler", got)
		}
		wantAfter(t, begin, b.read)
	})
}

// A body that is so small that the server reads it before it calls its handler has
// that time, too, whether its header came in one piece or not, on the first request
// and on a later one.
func TestSlow_ASmallBodyHasItsOwnTime(t *testing.T) {
	t.Parallel()
	b := bounds{read: time.Minute, header: 10 * time.Second, write: time.Minute, connections: 10}
	const body = 20
	head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n", body)
	for name, pieces := range map[string][]string{
		"header in one piece": {head}, "header in two pieces": {head[:10], head[10:]}, "with the header's last piece": {head[:10], head[10:] + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slowly(t, b, nil, func(t *testing.T, c net.Conn) {
				r := bufio.NewReader(c)
				send := func(every time.Duration) {
					sent := 0
					for _, piece := range pieces {
						_, _ = io.WriteString(c, piece)
						sent += len(piece)
					}
					for ; sent < len(head)+body; sent++ {
						time.Sleep(every)
						if _, err := io.WriteString(c, "x"); err != nil {
							return
						}
					}
				}
				for i := range 2 {
					begin := time.Now()
					go send(2 * time.Second)
					if got := status(r); got != 200 {
						t.Errorf("request %d: HTTP %d after %s, want 200", i+1, got, time.Since(begin))
					}
				}
				begin := time.Now()
				go send(5 * time.Second)
				if got := status(r); got != http.StatusRequestTimeout {
					t.Errorf("HTTP %d, want 408", got)
				}
				wantAfter(t, begin, b.read)
			})
		})
	}
}

// A TLS handshake that drips is cut off like a header.
func TestSlow_AHandshakeThatDripsIsCutOff(t *testing.T) {
	t.Parallel()
	b := bounds{read: time.Minute, header: 100 * time.Millisecond, write: time.Minute, connections: 10}
	slowly(t, b, &tls.Config{}, func(t *testing.T, c net.Conn) {
		begin := time.Now()
		drip(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"+strings.Repeat("\x00", 500)) // a ClientHello that goes on
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("the connection did not end: %v", err)
		}
		wantAfter(t, begin, b.header)
	})
}

func TestConnections_BeyondTheBoundIdleOnesMakeRoom(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	release := func() { close(hang) }
	s, address := serving(t, bounds{read: time.Minute, header: time.Minute, write: time.Minute, connections: 3}, hang)
	const get = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n"
	working := func() *bufio.Reader {
		c, r := open(t, address)
		_, _ = io.WriteString(c, get)
		return r
	}
	busyConns := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			s.conns.mu.Lock()
			have := 0
			for c := range s.conns.open {
				if c.state.Load() == busy {
					have++
				}
			}
			s.conns.mu.Unlock()
			if have == n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d connections carry a request, want %d", have, n)
			}
		}
	}
	_, silent := open(t, address)
	one, two := working(), working()
	busyConns(2)
	three := working() // instead of the silent one
	if got := status(silent); got != 0 {
		t.Errorf("the silent connection: HTTP %d", got)
	}
	busyConns(3)
	if got := status(working()); got != 0 { // nobody makes room
		t.Errorf("beyond the bound: HTTP %d", got)
	}
	if got := testutil.ToFloat64(s.conns.refused); got != 2 {
		t.Errorf("%v connections are counted as refused, want 2", got)
	}
	release()
	for i, r := range []*bufio.Reader{one, two, three} {
		if got := status(r); got != 200 {
			t.Errorf("request %d: HTTP %d", i+1, got)
		}
	}
}
