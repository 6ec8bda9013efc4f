package gateway

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// listener hands out connections whose deadlines are cheap to move.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// conn moves a deadline only when that makes it at least a second later, or
// earlier. The server sets the same timeout again for every request, and every
// set is a timer in the runtime. A timeout may so be up to a second short.
type conn struct {
	net.Conn
	read, write time.Time
}

const deadlineStep = time.Second

func moved(from, to time.Time) bool {
	return from.IsZero() || to.IsZero() || to.Before(from) || to.Sub(from) >= deadlineStep
}

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn. The
// server calls them from the connection's own goroutine.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
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
