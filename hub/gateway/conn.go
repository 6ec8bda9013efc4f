package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// listener hands out connections whose deadlines are cheap to move, and knows
// those that are open.
type listener struct {
	net.Listener
	open *openConns
}

func (l listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, open: l.open}
		if l.open.add(c) {
			return c, nil
		}
		nc.Close()
		l.open.refused.Inc()
	}
}

// openConns are the connections of a server.
type openConns struct {
	bounds bounds
	// refused counts the connections that the bound turned away.
	refused prometheus.Counter
	// never lies behind every deadline, and before the one that stands for the
	// arrival of a header.
	never time.Time

	mu   sync.Mutex
	open map[*conn]struct{}
}

// add lets a connection in. Where there are too many already, one that carries
// no request makes room: who opens connections to use up the hub's loses them
// first.
func (o *openConns) add(c *conn) bool {
	var unused *conn
	defer func() {
		if unused != nil {
			unused.Conn.Close()
			o.refused.Inc()
		}
	}()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.open) >= o.bounds.connections {
		if unused = o.anyIdle(); unused == nil {
			return false
		}
		delete(o.open, unused)
	}
	o.open[c] = struct{}{}
	return true
}

// anyIdle finds a connection without a request, of the few that it looks at.
func (o *openConns) anyIdle() *conn {
	const looks = 64
	seen := 0
	for c := range o.open { // begins anywhere
		if c.state.Load() == idle {
			return c
		}
		if seen++; seen == looks {
			return nil
		}
	}
	return nil
}

func (o *openConns) remove(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, c)
}

// closeIdle closes every connection that carries no request that has arrived
// whole: fasthttp waits at its shutdown for those that never sent a byte, too.
func (o *openConns) closeIdle() {
	o.mu.Lock()
	var unused []*conn
	for c := range o.open {
		if c.state.Load() == idle {
			unused = append(unused, c)
		}
	}
	o.mu.Unlock()
	for _, c := range unused {
		c.Close()
	}
}

// underlying is the conn below fasthttp's connection, which TLS may wrap.
func underlying(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

// conn moves a deadline only when that makes it at least a second later, or
// earlier. The server sets the same timeout again for every request, and every
// set is a timer in the runtime. A timeout may so be up to a second short.
type conn struct {
	net.Conn
	read, write time.Time
	open        *openConns
	state       atomic.Int32
	arrival     arrival
	// unread tells that the requester may still be sending what was refused.
	unread atomic.Bool
	// held is what was written while holding, for writeBehind.
	held    []byte
	holding bool
}

// The states of a connection: it is idle again when the server reads on after
// an answer, since it has written that by then.
const (
	idle int32 = iota
	busy
	answered
)

// arrival is how far a request, or a TLS handshake before it, has arrived. A
// header that comes in one piece, as nearly all do, sets no timer; one that does
// not has bounds.header from its first piece on, however many follow.
type arrival int

const (
	awaited arrival = iota
	begun
	dripping
	whole
)

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if c.state.CompareAndSwap(answered, idle) {
		// Others that are ready go on first: then the next request is more often
		// there when it is read, which saves a vain read, and waiting in the poller.
		runtime.Gosched()
	}
	if c.arrival == begun {
		c.arrival = dripping
		c.read = time.Now().Add(c.open.bounds.header)
		if err := c.Conn.SetReadDeadline(c.read); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(b)
	if n > 0 && c.arrival == awaited {
		c.arrival = begun
	}
	return n, err
}

// arrived tells that a request's header is here; its body has its own time.
func (c *conn) arrived() error {
	late := c.arrival == dripping
	c.arrival = whole
	if !late {
		return nil
	}
	c.read = time.Now().Add(c.open.bounds.read)
	return c.Conn.SetReadDeadline(c.read)
}

// ended tells that the answer was handed over.
func (c *conn) ended() {
	c.arrival = awaited
	c.state.Store(answered)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if c.holding {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// writeBehind writes pieces behind what the server's buffer has, together with
// it: in one call of the kernel, as far as the requester keeps up. It tells how
// many bytes of the pieces were written.
func (c *conn) writeBehind(buffer *bufio.Writer, pieces ...[]byte) (int64, error) {
	c.held, c.holding = c.held[:0], true
	err := buffer.Flush()
	c.holding = false
	if err != nil {
		return 0, err
	}
	all := append(append(make(net.Buffers, 0, 1+len(pieces)), c.held), pieces...)
	n, err := all.WriteTo(c.Conn) // the connection's own Write would be called for each
	return max(0, n-int64(len(c.held))), err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if c.unread.CompareAndSwap(true, false) {
		c.linger()
	}
	c.open.remove(c)
	return c.Conn.Close()
}

// Bounds of what is read from a requester that was refused while it was sending.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// linger reads on after the answer for a moment: closing a connection on which
// something unread lies makes the requester's kernel forget the answer.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
}

const (
	deadlineStep = time.Second
	// never is as far away as no deadline is.
	never = 100 * 365 * 24 * time.Hour
)

func moved(from, to time.Time) bool {
	return from.IsZero() || to.IsZero() || to.Before(from) || to.Sub(from) >= deadlineStep
}

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn. The
// server calls them from the connection's own goroutine. It reads the first bytes
// of a body before it calls its handler; that the header is here it tells nobody
// who knows the connection, but by the deadline that it sets then: never.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if t.After(c.open.never) {
		return c.arrived()
	}
	if c.arrival == dripping {
		c.arrival = awaited // the TLS handshake is over: the server waits for a request
	}
	if !moved(c.read, t) {
		return nil
	}
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if !moved(c.write, t) {
		return nil
	}
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}

// SyscallConn lets gone ask the kernel.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}
