//go:build unix

package peer

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	c := p.client(t)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "GET"} {
		p.do(t, c, method).succeeds(t)
	}
	p.counts(t, 1, 6)
}

// gone waits until the client's end of its idle connection has something to
// see: its end, or bytes.
func gone(c *Client) {
	pool := c.onlyPool()
	for {
		pool.mu.Lock()
		idle := pool.idle[0]
		pool.mu.Unlock()
		if !idle.alive() {
			return
		}
		runtime.Gosched()
	}
}

func TestO1_AnIdleConnectionThatThePlatformClosedIsNoError(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		p := listen(t, func(l *link) {
			l.request()
			l.send(ok(success)) // and the connection ends, without a word of it
		})
		c := p.client(t)
		for range 3 {
			p.do(t, c, method).succeeds(t)
			gone(c)
		}
		p.counts(t, 3, 3)
	}
}

func TestO1_AnIdleConnectionThatWasResetIsNoError(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	p := listen(t, func(l *link) {
		l.request()
		l.send(ok(success))
		<-answered
		l.Conn.(*net.TCPConn).SetLinger(0) // closing sends a reset
	})
	c := p.client(t)
	for range 2 {
		p.do(t, c, "POST").succeeds(t)
		answered <- struct{}{}
		gone(c)
	}
	p.counts(t, 2, 2)
}

// afterTheLook is a platform that answers the first request of its first
// connection, and closes when it has read the second.
func afterTheLook(l *link) {
	for n := 1; ; n++ {
		if _, more := l.request(); !more || l.number == 1 && n == 2 {
			return
		}
		l.send(ok(success))
	}
}

func TestO1_WritesThatMayHaveArrivedAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		p := listen(t, afterTheLook)
		c := p.client(t)
		p.do(t, c, method).succeeds(t)
		p.do(t, c, method).fails(t, Broken)
		p.counts(t, 1, 2)
		p.do(t, c, method).succeeds(t)
		p.counts(t, 2, 3)
	}
}

func TestO1_ReadsAreRepeatedOnADeadConnection(t *testing.T) {
	t.Parallel()
	p := listen(t, afterTheLook)
	c := p.client(t)
	p.do(t, c, "GET").succeeds(t)
	p.do(t, c, "GET").succeeds(t)
	p.counts(t, 2, 3)
}

func TestReadsAreNotRepeatedOnAFreshConnection(t *testing.T) {
	t.Parallel()
	p := listen(t, func(l *link) { l.request() })
	p.do(t, p.client(t), "GET").fails(t, Broken)
	p.counts(t, 1, 1)
}

func TestReadsAreRepeatedOnlyWhenTheConnectionFailed(t *testing.T) {
	t.Parallel()
	for second, how := range map[string]Failure{"": TimedOut, "nonsense\r\n\r\n": BadAnswer} {
		synctest.Test(t, func(t *testing.T) {
			p := pipe(t, func(l *link) {
				l.request()
				l.send(ok(success))
				answers(second)(l)
			})
			c := p.client(t)
			p.do(t, c, "GET").succeeds(t)
			p.do(t, c, "GET").fails(t, how)
			p.counts(t, 1, 2)
		})
	}
}

// failing is a connection whose next writes end after so many bytes.
type failing struct {
	net.Conn
	writes *atomic.Int32 // this many succeed
	after  int
}

func (f *failing) Write(b []byte) (int, error) {
	if f.writes.Add(-1) >= 0 {
		return f.Conn.Write(b)
	}
	n, _ := f.Conn.Write(b[:min(f.after, len(b))])
	return n, &net.OpError{Op: "write", Err: syscall.EPIPE}
}

func TestO1_WhatCouldNotBeWrittenWholeIsRepeated(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 20} {
		p := listen(t, answers(ok(success)))
		p.dialer.open = func(ctx context.Context, to *Target) (net.Conn, error) {
			c, err := p.dialer.dial(ctx, to)
			writes := new(atomic.Int32)
			writes.Store(1)
			return &failing{c, writes, after}, err
		}
		c := p.client(t)
		p.do(t, c, "POST").succeeds(t)
		p.do(t, c, "POST").succeeds(t) // once in part on the first connection, once whole
		p.counts(t, 2, 2)
	}
}

func TestAFreshConnectionThatCannotBeWrittenIsBroken(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	dials := 0
	p.dialer.open = func(ctx context.Context, to *Target) (net.Conn, error) {
		dials++
		c, err := p.dialer.dial(ctx, to)
		return &failing{Conn: c, writes: new(atomic.Int32)}, err
	}
	if p.do(t, p.client(t), "POST").fails(t, Broken); dials != 1 {
		t.Errorf("%d connections", dials)
	}
}

func TestUnsolicitedBytesDoNotPoisonTheNextAnswer(t *testing.T) {
	t.Parallel()
	junk := ok(`{"status_code":2001}`)
	for what, late := range map[string]bool{"with the answer": false, "behind the answer": true} {
		answered := make(chan struct{})
		p := listen(t, func(l *link) {
			for {
				if _, more := l.request(); !more {
					return
				}
				if !late {
					l.send(ok(success) + junk)
					continue
				}
				l.send(ok(success))
				<-answered
				l.send(junk)
			}
		})
		c := p.client(t)
		for n := range 3 {
			got := p.do(t, c, "POST")
			if got.succeeds(t); late {
				answered <- struct{}{}
				gone(c)
			}
			if accepted := p.accepted.Load(); accepted != int32(n+1) {
				t.Errorf("%s: %d connections for %d calls", what, accepted, n+1)
			}
		}
	}
}

func TestIdleConnectionsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pipe(t, answers(ok(success)))
		c := p.client(t)
		p.do(t, c, "POST").succeeds(t)
		time.Sleep(idleTimeout - 1)
		p.do(t, c, "POST").succeeds(t)
		p.counts(t, 1, 2)
		time.Sleep(idleTimeout)
		p.do(t, c, "POST").succeeds(t)
		p.counts(t, 2, 3)
	})
}

func TestSweepClosesOnlyOldConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		both := make(chan struct{})
		var closed atomic.Int32
		p := pipe(t, func(l *link) {
			defer closed.Add(1)
			l.request()
			<-both
			l.send(ok(success))
			answers(ok(success))(l)
		})
		c := p.client(t)
		done := make(chan outcome)
		for range 2 {
			go func() { done <- p.do(t, c, "POST") }()
		}
		synctest.Wait()
		close(both)
		(<-done).succeeds(t)
		(<-done).succeeds(t)
		time.Sleep(idleTimeout / 2)
		p.do(t, c, "POST").succeeds(t) // one of the two is younger now
		time.Sleep(idleTimeout / 2)
		c.Sweep(time.Now())
		synctest.Wait()
		if closed.Load() != 1 || len(c.onlyPool().idle) != 1 || c.onlyPool().open != 1 {
			t.Errorf("%d closed, %d idle, %d open", closed.Load(), len(c.onlyPool().idle), c.onlyPool().open)
		}
		p.do(t, c, "POST").succeeds(t)
		p.counts(t, 2, 4)
	})
}
