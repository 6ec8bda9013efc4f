package lines

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// keepAlive is how often the kernel asks whether the other side of a silent
// connection is there.
const keepAlive = time.Minute

// ErrCut says that there are no connections any more.
var ErrCut = errors.New("the hub has cut its connections")

// Lines are the connections to servers.
type Lines struct {
	// ctx ends with Cut.
	ctx context.Context
	end context.CancelCauseFunc

	mu   sync.Mutex
	open map[*line]struct{}
}

// New has no connections.
func New() *Lines {
	ctx, end := context.WithCancelCause(context.Background())
	return &Lines{ctx: ctx, end: end, open: make(map[*line]struct{})}
}

// Dial connects to a server.
func (l *Lines) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(ErrCut) })()
	conn, err := (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, network, address)
	if err != nil {
		return nil, errors.Join(err, context.Cause(l.ctx))
	}
	dialed := &line{Conn: conn, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, errors.Join(ErrCut, conn.Close())
	}
	l.open[dialed] = struct{}{}
	return dialed, nil
}

// Cut ends all connections, whoever waits for an answer, and lets no more be made.
func (l *Lines) Cut() {
	l.end(ErrCut)
	l.mu.Lock()
	defer l.mu.Unlock()
	for open := range l.open {
		_ = open.Conn.Close()
	}
	clear(l.open)
}

// line is one connection.
type line struct {
	net.Conn
	of *Lines
}

// Close implements net.Conn.
func (c *line) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn implements syscall.Conn: go-redis looks at the socket whether the
// other side has hung up.
func (c *line) SyscallConn() (syscall.RawConn, error) {
	if conn, ok := c.Conn.(syscall.Conn); ok {
		return conn.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
