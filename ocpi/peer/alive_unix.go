//go:build unix

package peer

import (
	"crypto/tls"
	"net"
	"syscall"
)

// alive looks whether the peer closed an idle connection, without taking a byte
// from it. A POST or PATCH must not be sent twice, so it is better to look than
// to write and be sorry. Data that nobody asked for makes a connection as
// useless as its end.
func alive(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var buf [1]byte
		_, _, e := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = e == syscall.EAGAIN || e == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && quiet
}
