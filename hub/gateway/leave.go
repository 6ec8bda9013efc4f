package gateway

import (
	"context"
	"net"
	"sync"
	"time"
)

// requesterContext is the context of one request: it ends when the requester
// goes away or the server gives up. It does what context.WithCancel does for a
// fraction of the price, since nearly no request is cancelled: the channel is
// made when somebody waits on it, and a single AfterFunc, which the call to the
// receiver is, costs one pointer.
type requesterContext struct {
	mu    sync.Mutex
	err   error
	done  chan struct{}
	after map[int]func()
	next  int
	// first is the only AfterFunc of most requests.
	first func()
}

// Deadline, Done, Err and Value implement context.Context.
func (*requesterContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*requesterContext) Value(any) any               { return nil }

func (c *requesterContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *requesterContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// AfterFunc is what context.AfterFunc and child contexts use when a context has
// it: f runs in its own goroutine once the context ends, unless stop was called
// before and answered true.
func (c *requesterContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.first == nil && c.next == 0 {
		c.first = f
		return c.stopFirst
	}
	if c.after == nil {
		c.after = make(map[int]func())
	}
	c.next++
	id := c.next
	c.after[id] = f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, pending := c.after[id]
		delete(c.after, id)
		return pending
	}
}

func (c *requesterContext) stopFirst() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pending := c.first != nil
	c.first = nil
	if pending && c.next == 0 {
		c.next = 1 // the place is not given away twice: its stop is out
	}
	return pending
}

// cancel ends the context.
func (c *requesterContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = context.Canceled
	if c.done != nil {
		close(c.done)
	}
	if c.first != nil {
		go c.first()
		c.first = nil
	}
	for _, f := range c.after {
		go f()
	}
	c.after = nil
}

// watch looks now and then whether the requester is still there, and cancels
// the request when it is not. Most requests end before the first look, so a
// timer costs less than a goroutine that reads.
type watch struct {
	timer *time.Timer

	mu    sync.Mutex
	base  context.Context
	conn  net.Conn
	ctx   *requesterContext
	pause time.Duration
}

const (
	firstLook = 20 * time.Millisecond
	// lastPause bounds how late a requester's leaving is seen.
	lastPause = 320 * time.Millisecond
)

func (w *watch) begin(base context.Context, conn net.Conn, ctx *requesterContext) {
	w.mu.Lock()
	w.base, w.conn, w.ctx, w.pause = base, conn, ctx, firstLook
	w.mu.Unlock()
	w.timer.Reset(firstLook)
}

func (w *watch) end() {
	w.timer.Stop()
	w.mu.Lock()
	w.conn, w.ctx = nil, nil
	w.mu.Unlock()
}

// look may run late, when the exchange carries another request already; it
// looks after that one then, which does no harm.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.conn == nil:
	case w.base.Err() != nil || gone(w.conn):
		w.ctx.cancel()
	default:
		w.pause = min(2*w.pause, lastPause)
		w.timer.Reset(w.pause)
	}
}
