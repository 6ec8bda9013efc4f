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
	holders map[*Client]*holder
	// turns are the holders that wait, the next one first; waiting are all their
	// calls.
	turns   []*holder
	waiting int
	closed  bool
}

// conn is a pooled connection or, without a Conn, the place for one. fresh is
// false once it has carried an answer.
type conn struct {
	net.Conn
	// holder has it; nil while it is idle.
	holder *holder
	fresh  bool
	since  time.Time
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
	errPoolBusy   = errors.New("all connections to the platform that the requester may have are in use")
)

// get returns a live idle connection, opens one, or waits for one until the
// deadline, which it also sets on the connection.
func (p *pool) get(ctx context.Context, deadline time.Time, call *Call) (*conn, error) {
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
		c, turn, err := p.take(call.Requester)
		if err != nil {
			return nil, err
		}
		if turn != nil {
			queued = true
			if c, err = p.wait(ctx, turn, deadline); err != nil {
				return nil, err
			}
		}
		if c.Conn == nil {
			err := p.connect(ctx, c, deadline)
			if err != nil && turn != nil && !time.Now().Before(deadline) {
				// The time went by in the queue: the host is not to blame.
				err = errPoolBusy
			}
			return c, err
		}
		if now.Sub(c.since) < p.idleFor && c.usable(now, deadline, call.Brisk) {
			return c, nil
		}
		p.discard(c)
	}
}

// connect opens a connection in its place, or gives that away.
func (p *pool) connect(ctx context.Context, c *conn, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	nc, err := p.dial(ctx)
	if err != nil {
		p.forget(c)
		return err
	}
	c.Conn, c.fresh, c.alive = nc, true, looker(nc)
	if err := c.arm(time.Now(), deadline); err != nil {
		p.discard(c)
		return err
	}
	return nil
}

// take answers with an idle connection, with a place, or with a turn that will
// deliver either.
func (p *pool) take(requester *Client) (*conn, *turn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errPoolClosed
	}
	h := p.holder(requester)
	if p.mayHold(h) {
		return p.give(h), nil, nil
	}
	t, err := p.queue(h)
	return nil, t, err
}

func (p *pool) wait(ctx context.Context, t *turn, deadline time.Time) (*conn, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errPoolBusy)
	defer cancel()
	select {
	case c, ok := <-t.ready:
		if !ok {
			return nil, errPoolClosed
		}
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	left := p.leave(t)
	p.mu.Unlock()
	if !left {
		// It was delivered meanwhile: pass it on. A closed channel held nothing.
		switch c := <-t.ready; {
		case c == nil:
		case c.Conn == nil:
			p.forget(c)
		default:
			p.put(c)
		}
	}
	return nil, context.Cause(ctx)
}

// put returns a connection that carried a complete answer.
func (p *pool) put(c *conn) {
	c.fresh, c.since = false, time.Now()
	p.mu.Lock()
	c.holder.held--
	c.holder = nil
	closed := p.closed
	if closed {
		p.open--
	} else {
		p.idle = append(p.idle, c)
		p.serve()
	}
	p.mu.Unlock()
	if closed {
		c.Close()
	}
}

// discard closes a connection and gives its place away.
func (p *pool) discard(c *conn) {
	c.Close()
	p.forget(c)
}

// forget gives a place away whose connection is gone or never was.
func (p *pool) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.holder.held--
	p.open--
	p.serve()
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
		p.sendAway()
	}
	p.dropHolders()
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// retire closes the pool if all its connections are idle.
func (p *pool) retire() bool {
	p.mu.Lock()
	unused := p.open == len(p.idle) && p.waiting == 0
	p.closed = p.closed || unused
	p.mu.Unlock()
	if unused {
		p.sweep(time.Time{}, true)
	}
	return unused
}
