//go:build unix

package peer

import (
	"crypto/tls"
	"net"
	"syscall"
)

// looker returns a function that looks whether the peer closed an idle
// connection, without taking a byte from it. A POST or PATCH must not be sent
// twice, so it is better to look than to write and be sorry. Data that nobody
// asked for makes a connection as useless as its end. What it needs is made
// once, since it is asked before every call.
func looker(c net.Conn) (alive func() bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return func() bool { return true }
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	quiet := false
	look := func(fd uintptr) bool {
		var buf [1]byte
		_, _, e := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = e == syscall.EAGAIN || e == syscall.EWOULDBLOCK
		return true
	}
	return func() bool {
		quiet = false
		return raw.Read(look) == nil && quiet
	}
}
