//go:build linux

package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
)

// socket is a TCP socket over IPv4 that Go's network poller does not know.
type socket int

// dial connects.
func dial(addr string) (socket, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return -1, err
	}
	if !to.Addr().Is4() {
		return -1, fmt.Errorf("%s is no IPv4 address", addr)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	s := socket(fd)
	err = os.NewSyscallError("connect", syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}))
	if err == nil {
		err = s.prepare()
	}
	if err != nil {
		s.Close()
		return -1, fmt.Errorf("dial %s: %w", addr, err)
	}
	return s, nil
}

// listen listens on a free port of 127.0.0.1 and returns the address.
func listen() (socket, string, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, "", os.NewSyscallError("socket", err)
	}
	s := socket(fd)
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: loopback.As4()})
	if err == nil {
		err = syscall.Listen(fd, 4096)
	}
	var name syscall.Sockaddr
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	bound, ok := name.(*syscall.SockaddrInet4)
	if err != nil || !ok {
		s.Close()
		return -1, "", fmt.Errorf("listen: %w", err)
	}
	return s, netip.AddrPortFrom(loopback, uint16(bound.Port)).String(), nil
}

// accept returns the next connection; syscall.EAGAIN says that there is none.
func (s socket) accept() (socket, error) {
	for {
		fd, _, err := syscall.Accept4(int(s), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
		switch err {
		case nil:
			return socket(fd), socket(fd).prepare()
		case syscall.EINTR, syscall.ECONNABORTED:
			continue
		}
		return -1, err
	}
}

// prepare makes a connection like those of package net: it never blocks and
// sends at once.
func (s socket) prepare() error {
	if err := syscall.SetNonblock(int(s), true); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(s), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
}

// Read returns syscall.EAGAIN when nothing has arrived.
func (s socket) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(s), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes all or fails. A socket's buffer takes several of the messages
// here, and each connection has one under way: a full one is an error.
func (s socket) Write(p []byte) (int, error) {
	for {
		n, err := syscall.Write(int(s), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, os.NewSyscallError("write", err)
		case n < len(p):
			return n, io.ErrShortWrite
		}
		return n, nil
	}
}

// Close ends the connection.
func (s socket) Close() error { return syscall.Close(int(s)) }
