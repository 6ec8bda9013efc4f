package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// pool keeps the connections to one host of one platform: at most max open at
// once, the newest idle one used first, so that a burst's extra connections age
// and are closed.
type pool struct {
	dial func(context.Context) (net.Conn, error)
	max  int
	// idleFor is how long an unused connection is kept.
	idleFor time.Duration

	mu      sync.Mutex
	idle    []*conn
	open    int
	waiting []chan *conn
	closed  bool
}

// conn is a pooled connection. fresh is false once it has carried an answer.
type conn struct {
	net.Conn
	fresh bool
	since time.Time
	// until is the deadline that is set.
	until time.Time
	// readErr is what ended reading, before a parser wrapped it: it tells a
	// connection that failed from an answer that is nonsense.
	readErr error
	// alive looks whether the peer has closed it.
	alive func() bool
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.readErr = err
	}
	return n, err
}

// justUsed is how short a connection was idle that a call need not look at which
// says so (Call.Brisk).
const justUsed = 10 * time.Millisecond

// usable looks whether an idle connection can carry a call, and gives it the
// call's deadline. The order matters: drained needs a deadline that has passed,
// and alive one that has not.
func (c *conn) usable(now, deadline time.Time, brisk bool) bool {
	if t, ok := c.Conn.(*tls.Conn); ok {
		if !drained(t) {
			return false
		}
		c.until = time.Time{}
	}
	return c.arm(now, deadline) == nil && (brisk && now.Sub(c.since) < justUsed || c.alive())
}

// arm sets the deadline. One that ends less than a hundredth of the time earlier
// is left alone: setting a timer for every call costs more than it is worth.
func (c *conn) arm(now, deadline time.Time) error {
	if early := deadline.Sub(c.until); early >= 0 && early < deadline.Sub(now)/100 {
		return nil
	}
	c.until = deadline
	return c.SetDeadline(deadline)
}

// drained tells that TLS holds no decrypted bytes back, where the look at the
// socket cannot find them: they would be read as the beginning of the next
// answer. Read hands them out before it finds the deadline passed.
func drained(t *tls.Conn) bool {
	var one [1]byte
	if t.SetReadDeadline(aLongTimeAgo) != nil {
		return false
	}
	n, err := t.Read(one[:])
	return n == 0 && isTimeout(err)
}

var (
	errPoolClosed = errors.New("the platform's connections were closed")
	errPoolBusy   = errors.New("all connections to the platform are in use")
)

// maxWaiting bounds the requests that wait for a connection of one pool; the
// next one is refused at once.
const maxWaiting = 1024

// get returns a live idle connection, opens one, or waits for one until the
// deadline, which it also sets on the connection. brisk is Call.Brisk.
func (p *pool) get(ctx context.Context, deadline time.Time, brisk bool) (*conn, error) {
	for queued := false; ; {
		// Whoever comes too late must not use up good connections on the way,
		// nor dial for nothing and blame the host.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now := time.Now()
		if !now.Before(deadline) {
			if queued {
				return nil, errPoolBusy
			}
			return nil, os.ErrDeadlineExceeded
		}
		c, wait, err := p.take()
		if err != nil {
			return nil, err
		}
		if wait != nil {
			queued = true
			if c, err = p.wait(ctx, wait, deadline); err != nil {
				return nil, err
			}
		}
		if c == nil {
			c, err := p.connect(ctx, deadline)
			if err != nil && wait != nil && !time.Now().Before(deadline) {
				// The time went by in the queue: the host is not to blame.
				err = errPoolBusy
			}
			return c, err
		}
		if now.Sub(c.since) < p.idleFor && c.usable(now, deadline, brisk) {
			return c, nil
		}
		p.discard(c)
	}
}

// connect opens a connection in a place that take gave.
func (p *pool) connect(ctx context.Context, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	nc, err := p.dial(ctx)
	if err != nil {
		p.forget()
		return nil, err
	}
	c := &conn{Conn: nc, fresh: true, alive: looker(nc)}
	if err := c.arm(time.Now(), deadline); err != nil {
		p.discard(c)
		return nil, err
	}
	return c, nil
}

// take answers with an idle connection, with nil and no wait for a place, or
// with a channel that will deliver either.
func (p *pool) take() (*conn, chan *conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errPoolClosed
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		return c, nil, nil
	}
	if p.open < p.max {
		p.open++
		return nil, nil, nil
	}
	if len(p.waiting) >= maxWaiting {
		return nil, nil, errPoolBusy
	}
	ch := make(chan *conn, 1)
	p.waiting = append(p.waiting, ch)
	return nil, ch, nil
}

func (p *pool) wait(ctx context.Context, ch chan *conn, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errPoolBusy)
	defer cancel()
	select {
	case c, ok := <-ch:
		if !ok {
			return nil, errPoolClosed
		}
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, w := range p.waiting {
		if w == ch {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			p.mu.Unlock()
			return nil, context.Cause(ctx)
		}
	}
	p.mu.Unlock()
	// It was delivered meanwhile: pass it on. A closed channel held nothing.
	if c, ok := <-ch; c != nil {
		p.put(c)
	} else if ok {
		p.forget()
	}
	return nil, context.Cause(ctx)
}

// put returns a connection that carried a complete answer.
func (p *pool) put(c *conn) {
	c.fresh, c.since = false, time.Now()
	p.mu.Lock()
	if p.closed {
		p.open--
		p.mu.Unlock()
		c.Close()
		return
	}
	if len(p.waiting) > 0 {
		p.hand(c)
		p.mu.Unlock()
		return
	}
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

// discard closes a connection and gives its place away.
func (p *pool) discard(c *conn) {
	c.Close()
	p.forget()
}

// forget gives a place away whose connection is gone or never was.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 {
		p.hand(nil)
		return
	}
	p.open--
}

// hand gives c, or a place when c is nil, to whoever waits longest.
func (p *pool) hand(c *conn) {
	ch := p.waiting[0]
	p.waiting = p.waiting[1:]
	ch <- c
}

// sweep closes what has been idle too long; all of it when the pool is closed,
// and then nobody waits any longer for what will not come.
func (p *pool) sweep(now time.Time, closePool bool) {
	p.mu.Lock()
	p.closed = p.closed || closePool
	n := 0
	for n < len(p.idle) && (p.closed || now.Sub(p.idle[n].since) >= p.idleFor) {
		n++ // the slice is ordered: the oldest stand first
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.open -= n
	if p.closed {
		for _, ch := range p.waiting {
			close(ch)
		}
		p.waiting = nil
	}
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// retire closes the pool if all its connections are idle.
func (p *pool) retire() bool {
	p.mu.Lock()
	unused := p.open == len(p.idle) && len(p.waiting) == 0
	p.closed = p.closed || unused
	p.mu.Unlock()
	if unused {
		p.sweep(time.Time{}, true)
	}
	return unused
}
