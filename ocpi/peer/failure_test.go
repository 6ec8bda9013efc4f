package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

// partial are answers that stop in the middle, each where another piece of code
// waits.
var partial = map[string]string{
	"nothing":          "",
	"half a line":      "HTTP/1.1 20",
	"half a header":    "HTTP/1.1 200 OK\r\nContent-Le",
	"no body":          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
	"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\"",
	"an interim":       "HTTP/1.1 100 Continue\r\n\r\n",
	"half an interim":  "HTTP/1.1 100 Conti",
	"no chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"half a size":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
	"half a line end":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r",
	"half a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
	"no last chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	"half a last one":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
	"half a trailer":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: ",
	"a body until end": "HTTP/1.1 200 OK\r\n\r\nabc",
}

func TestS3_NoAnswerInTimeIsATimeout(t *testing.T) {
	t.Parallel()
	for what, bytes := range partial {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := pipe(t, func(l *link) {
					for {
						if _, more := l.request(); !more {
							return
						}
						l.send(map[bool]string{true: bytes, false: ok(success)}[l.number == 1])
					}
				})
				c := p.client(t)
				start := time.Now()
				got := finish(c.Do(t.Context(), start.Add(10*time.Second), &Call{Method: "POST", Target: target(t, p.url)}))
				got.fails(t, TimedOut)
				if waited := time.Since(start); waited != 10*time.Second {
					t.Errorf("it took %v", waited)
				}
				// The late answer must not become the next one's.
				p.do(t, c, "POST").succeeds(t)
				p.counts(t, 2, 2)
			})
		})
	}
}

func TestS4_AConnectionThatEndsIsBroken(t *testing.T) {
	t.Parallel()
	for what, bytes := range partial {
		if what == "a body until end" {
			continue // that is how such a body ends
		}
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := listen(t, func(l *link) {
				l.request()
				l.send(bytes)
			})
			for _, method := range []string{"POST", "PUT", "PATCH"} {
				p.do(t, p.client(t), method).fails(t, Broken)
			}
			p.counts(t, 3, 3)
		})
	}
}

func TestABodyUntilTheEndThatIsResetIsBroken(t *testing.T) {
	t.Parallel()
	p := listen(t, func(l *link) {
		l.request()
		l.send("HTTP/1.1 200 OK\r\n\r\nabc")
		l.Conn.(*net.TCPConn).SetLinger(0)
	})
	p.do(t, p.client(t), "POST").fails(t, Broken)
}

func TestS4_WhatIsNotHTTPIsABadAnswer(t *testing.T) {
	t.Parallel()
	for what, bytes := range map[string]string{
		"another protocol":        "SSH-2.0-OpenSSH_9.9 private words\r\n",
		"text":                    "private words\r\n\r\n",
		"HTTP/2":                  "HTTP/2 200 private words\r\n\r\n",
		"a broken header":         "HTTP/1.1 200 OK\r\nprivate words\r\n\r\n",
		"a broken length":         "HTTP/1.1 200 OK\r\nContent-Length: private words\r\n\r\n",
		"a negative length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
		"an unknown encoding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: private words\r\n\r\n",
		"a broken chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nprivate words\r\n\r\n",
		"a chunk that runs over":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nprivate words\r\n\r\n",
		"a huge chunk":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"a status of four digits": "HTTP/1.1 2000 private words\r\n\r\n",
		"another protocol's turn": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nprivate words",
		"interims without end":    strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200),
		"an endless header":       "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("private words", 10_000),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := listen(t, answers(bytes))
			c := p.client(t)
			got := p.do(t, c, "GET")
			got.fails(t, BadAnswer)
			if text := got.err.Error() + Reason(got.err); strings.Contains(text, "words") || len(text) > 300 {
				t.Errorf("the error quotes the peer: %s", text)
			}
			if kept := c.onlyPool(); kept.open != 0 || len(kept.idle) != 0 {
				t.Error("its connection is kept")
			}
		})
	}
}

func TestAnswersHaveABound(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(string) string{
		"with its length": ok,
		"in chunks": func(s string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n" + s[:1] + "\r\n37\r\n" + s[1:] + "\r\n0\r\n\r\n"
		},
		"until the end": func(s string) string { return "HTTP/1.1 200 OK\r\n\r\n" + s },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			body := success + " " // 56 bytes
			p := listen(t, func(l *link) {
				l.request()
				l.send(answer(body))
			})
			p.dialer.maxAnswer = len(body)
			if got := p.do(t, p.client(t), "POST"); got.err != nil || string(got.body) != body {
				t.Errorf("at the bound: %q, %v", got.body, got.err)
			}
			p.dialer.maxAnswer--
			got := p.do(t, p.client(t), "POST")
			got.fails(t, BadAnswer)
			if !errors.Is(got.err, errBodyTooLarge) {
				t.Errorf("the error says %v", got.err)
			}
		})
	}
}

func TestTheRequesterGoesAway(t *testing.T) {
	t.Parallel()
	arrived, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	p := listen(t, func(l *link) {
		if l.request(); l.number > 1 {
			l.send(ok(success))
			return
		}
		arrived <- struct{}{}
		l.request() // the connection's end
		ended <- struct{}{}
	})
	c := p.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan outcome)
	go func() {
		done <- finish(c.Do(ctx, soon(), &Call{Method: "POST", Target: target(t, p.url), Body: []byte("{}")}))
	}()
	<-arrived
	cancel()
	(<-done).fails(t, Cancelled) // nobody else ends this call
	<-ended
	p.counts(t, 1, 1)
	p.do(t, c, "POST").succeeds(t)
}

func TestNothingIsSentForARequesterWhoIsGone(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	c := p.client(t)
	p.do(t, c, "POST").succeeds(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	finish(c.Do(ctx, soon(), &Call{Method: "POST", Target: target(t, p.url)})).fails(t, Cancelled)
	past := time.Now().Add(-time.Second)
	finish(c.Do(t.Context(), past, &Call{Method: "POST", Target: target(t, p.url)})).fails(t, Unreachable)
	p.counts(t, 1, 1)
	// Neither cost a connection.
	p.do(t, c, "POST").succeeds(t)
	p.counts(t, 1, 2)
}

// lateCancel is a context that ends once the answer was read, and shows it to
// nobody but those who asked to be told.
type lateCancel struct {
	context.Context
	done chan struct{}
	tell func()
	err  atomic.Pointer[error]
}

func (c *lateCancel) Done() <-chan struct{} { return c.done }

func (c *lateCancel) Err() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *lateCancel) AfterFunc(f func()) func() bool {
	c.tell = f
	return func() bool { return false }
}

func (c *lateCancel) now() {
	c.err.Store(&context.Canceled)
	c.tell()
	c.err.Store(nil)
}

// whole calls read when a read ended with the whole answer.
type whole struct {
	net.Conn
	read func()
}

func (w whole) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if strings.HasSuffix(string(b[:n]), success) {
		w.read()
	}
	return n, err
}

// A wake-up that is already on its way would hit the connection's next call.
func TestALateCancelDoesNotTouchTheNextCall(t *testing.T) {
	t.Parallel()
	ctx := &lateCancel{Context: t.Context(), done: make(chan struct{})}
	p := listen(t, answers(ok(success)))
	p.dialer.open = func(dial context.Context, to *Target) (net.Conn, error) {
		ctx.tell = func() {}
		c, err := p.dialer.dial(dial, to)
		return whole{c, ctx.now}, err
	}
	c := p.client(t)
	finish(c.Do(ctx, soon(), &Call{Method: "POST", Target: target(t, p.url)})).succeeds(t)
	if idle := c.onlyPool().idle; len(idle) != 0 {
		t.Error("the connection is kept")
	}
}

func TestS4_ConnectionRefusedIsUnreachable(t *testing.T) {
	t.Parallel()
	c := NewDialer(DialerConfig{AllowPrivate: true}).NewClient(ocpi.CredentialsToken{}, "")
	defer c.Close()
	// Port 1 is nobody's.
	got := finish(c.Do(t.Context(), soon(), &Call{Method: "GET", Target: target(t, "http://127.0.0.1:1/private?words")}))
	got.fails(t, Unreachable)
	if text := Reason(got.err); !strings.HasPrefix(text, "127.0.0.1:1: unreachable:") || strings.Contains(text, "private") {
		t.Errorf("the reason reads %q", text)
	}
}

func TestReasonsAreForTheOtherSidesEngineer(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"host p.example does not resolve": &Error{Unreachable, "p.example", &net.OpError{Op: "dial", Err: &net.DNSError{Name: "p.example"}}},
		"p.example: broken: x":            &Error{Broken, "p.example", errors.New("x")},
		// Which address a name has in the hub's network, or the hub itself, is not told.
		"p.example: unreachable: connection refused": &Error{Unreachable, "p.example", &net.OpError{
			Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 80}, Err: errors.New("connection refused")}},
		"p.example: timeout: i/o timeout": &Error{TimedOut, "p.example", fmt.Errorf("read: %w", &net.OpError{
			Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 4), Port: 999}, Err: errors.New("i/o timeout")})},
		"host p.example " + notPublicReason: &Error{Unreachable, "p.example", &net.OpError{
			Op: "dial", Err: &GuardError{netip.MustParseAddr("10.1.2.3")}}},
		"x": errors.New("x"),
	} {
		if got := Reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if FailureOf(errors.New("x")) != Broken || FailureOf(&Error{Failure: Busy}) != Busy {
		t.Error("failures are classified otherwise")
	}
}

func TestWhatIsWithdrawnIsNotWritten(t *testing.T) {
	t.Parallel()
	handle, came := recording()
	p := listen(t, handle)
	c := p.client(t)
	held := true
	call := &Call{Method: "PUT", Target: target(t, p.url), Body: []byte(`{}`), Held: func() bool { return held }}
	finish(c.Do(t.Context(), soon(), call)).succeeds(t)
	<-came
	for _, body := range [][]byte{[]byte(`{}`), make([]byte, 2*smallBody)} {
		held, call.Body = false, body
		finish(c.Do(t.Context(), soon(), call)).fails(t, Withdrawn)
	}
	held, call.Body = true, []byte(`{}`)
	finish(c.Do(t.Context(), soon(), call)).succeeds(t)
	<-came
	select {
	case r := <-came:
		t.Errorf("it was written: %s", r.head)
	default:
	}
}

// A call that was refused once is not repeated with another token, if it is
// withdrawn meanwhile.
func TestWhatIsWithdrawnIsNotRepeated(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	p := listen(t, func(l *link) {
		for {
			if _, more := l.request(); !more {
				return
			}
			asked.Add(1)
			l.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
		}
	})
	answer, err := p.client(t).Do(t.Context(), soon(), &Call{
		Method: "PUT", Target: target(t, p.url), Held: func() bool { return asked.Load() == 0 },
	})
	if err != nil || answer.Status() != 401 || asked.Load() != 1 {
		t.Fatalf("%v after %d calls", err, asked.Load())
	}
	answer.Release()
}
