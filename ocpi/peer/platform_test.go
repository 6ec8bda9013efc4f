package peer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/ocpi"
)

// platform is a peer that does with its connections, byte for byte, what a test
// says.
type platform struct {
	dialer *Dialer
	// url is where it is called.
	url string
	// accepted counts connections, received counts whole requests.
	accepted, received atomic.Int32
	handle             func(*link)

	mu    sync.Mutex
	links []*link
	done  sync.WaitGroup
}

// link is the platform's end of a connection; number counts from 1.
type link struct {
	net.Conn
	platform *platform
	br       *bufio.Reader
	number   int32
}

// listen starts a platform on loopback TCP.
func listen(t testing.TB, handle func(*link)) *platform {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{dialer: NewDialer(DialerConfig{AllowPrivate: true}), url: "http://" + ln.Addr().String(), handle: handle}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.serve(c)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-accepting
		p.hangUp()
	})
	return p
}

// pipe makes a platform on net.Pipe, for tests in a synctest bubble.
func pipe(t testing.TB, handle func(*link)) *platform {
	p := &platform{dialer: NewDialer(DialerConfig{}), url: "http://platform.example", handle: handle}
	p.dialer.open = func(context.Context, *Target) (net.Conn, error) {
		near, far := net.Pipe()
		p.serve(far)
		return near, nil
	}
	t.Cleanup(p.hangUp)
	return p
}

func (p *platform) serve(c net.Conn) {
	l := &link{Conn: c, platform: p, br: bufio.NewReader(c), number: p.accepted.Add(1)}
	p.mu.Lock()
	p.links = append(p.links, l)
	p.mu.Unlock()
	p.done.Go(func() {
		defer c.Close()
		p.handle(l)
	})
}

func (p *platform) hangUp() {
	p.mu.Lock()
	for _, l := range p.links {
		l.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}

// client calls the platform, which reads tokens encoded.
func (p *platform) client(t testing.TB) *Client {
	t.Helper()
	token, err := ocpi.ParseCredentialsToken("secret")
	if err != nil {
		t.Fatal(err)
	}
	c := p.dialer.NewClient(token, ocpi.TokenBase64)
	t.Cleanup(c.Close)
	return c
}

// received is one request as it came over the wire.
type received struct {
	head string
	body []byte
}

// request reads a whole request; ok is false when the connection ended.
func (l *link) request() (r received, ok bool) {
	for !strings.HasSuffix(r.head, "\r\n\r\n") {
		line, err := l.br.ReadString('\n')
		if err != nil {
			return r, false
		}
		r.head += line
	}
	if n, err := strconv.Atoi(r.header("Content-Length")); err == nil {
		r.body = make([]byte, n)
		if _, err := io.ReadFull(l.br, r.body); err != nil {
			return r, false
		}
	}
	l.platform.received.Add(1)
	return r, true
}

// header is a header's value, its name spelled exactly so.
func (r received) header(name string) string {
	_, rest, _ := strings.Cut(r.head, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func (l *link) send(bytes string) { io.WriteString(l, bytes) } // an error is the client's to notice

const success = `{"status_code":1000,"timestamp":"2026-01-31T12:00:00Z"}`

// ok answers 200 with a body.
func ok(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// answers is a platform's whole behaviour: the same answer to every request.
func answers(bytes string) func(*link) {
	return func(l *link) {
		for {
			if _, ok := l.request(); !ok {
				return
			}
			l.send(bytes)
		}
	}
}

func target(t testing.TB, raw string) *Target {
	t.Helper()
	parsed, err := ParseTarget(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

// outcome is what became of a call.
type outcome struct {
	status  int
	body    []byte
	failure Failure
	err     error
}

// soon is a deadline that no test reaches unless it means to.
func soon() time.Time { return time.Now().Add(time.Minute) }

// do sends a call without a body, or with one if it is a write.
func (p *platform) do(t testing.TB, c *Client, method string) outcome {
	t.Helper()
	call := &Call{Method: method, Target: target(t, p.url+"/ocpi/locations")}
	if method != "GET" {
		call.Body = []byte(`{}`)
	}
	return finish(c.Do(context.Background(), soon(), call))
}

func finish(answer *Answer, err error) outcome {
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return outcome{err: err, failure: "no *Error"}
		}
		return outcome{err: err, failure: e.Failure}
	}
	defer answer.Release()
	return outcome{status: answer.Status(), body: bytes.Clone(answer.Body())}
}

// succeeds fails the test unless the call got the usual answer.
func (o outcome) succeeds(t testing.TB) {
	t.Helper()
	if o.err != nil || o.status != 200 || string(o.body) != success {
		t.Fatalf("HTTP %d %.80q, %v; want success", o.status, o.body, o.err)
	}
}

// fails fails the test unless the call failed in this way.
func (o outcome) fails(t testing.TB, how Failure) {
	t.Helper()
	if o.failure != how {
		t.Fatalf("HTTP %d, %v: %q; want %q", o.status, o.err, o.failure, how)
	}
}

// counts fails the test unless the platform saw so much.
func (p *platform) counts(t testing.TB, connections, requests int32) {
	t.Helper()
	if a, r := p.accepted.Load(), p.received.Load(); a != connections || r != requests {
		t.Fatalf("%d connections and %d requests, want %d and %d", a, r, connections, requests)
	}
}

// onlyPool is the pool of a client that called one host.
func (c *Client) onlyPool() *pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		return p
	}
	return nil
}

// counted is a Memory that shows what is taken.
type counted struct {
	mu         sync.Mutex
	free, held int64
}

func (m *counted) TryAcquire(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held+n > m.free {
		return false
	}
	m.held += n
	return true
}

func (m *counted) Release(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held -= n
}

func (m *counted) taken() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

func (m *counted) limit(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = n
}
