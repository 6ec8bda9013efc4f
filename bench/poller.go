//go:build linux

package main

import (
	"os"
	"syscall"
	"time"
)

// poller waits for sockets to become readable, beside Go's network poller,
// whose threads sleep. One goroutine uses it, locked to its thread.
type poller struct {
	fd     int
	linger time.Duration
	events [128]syscall.EpollEvent
	// active is when something was last ready, woke when the work since then
	// began, and worked the sum of all work before.
	active, woke time.Time
	worked       time.Duration
}

// newPoller makes one that polls for linger after the last thing to do, then
// sleeps; zero sleeps at once. Whoever gets it closes it.
func newPoller(linger time.Duration) (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{fd: fd, linger: linger}
	p.resume()
	return p, nil
}

func (p *poller) close() { syscall.Close(p.fd) }

// add watches a descriptor until it is closed; wait reports it as key.
func (p *poller) add(fd int, key int32) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: key}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &event))
}

// resume says that work begins that nothing on a socket called for.
func (p *poller) resume() {
	p.woke = time.Now()
	p.active = p.woke
}

// wait returns what is ready, valid until the next call: nothing when until
// has passed first. The zero time never passes.
func (p *poller) wait(until time.Time) ([]syscall.EpollEvent, error) {
	now := time.Now()
	p.worked += now.Sub(p.woke)
	for {
		n, err := syscall.EpollWait(p.fd, p.events[:], patience(now, until, p.active.Add(p.linger)))
		if err != nil && err != syscall.EINTR {
			return nil, os.NewSyscallError("epoll_wait", err)
		}
		asked := now
		now = time.Now()
		if n > 0 {
			// The call that found something is work, in so far as it polled.
			p.woke, p.active = asked, now
			return p.events[:n], nil
		}
		if !until.IsZero() && !now.Before(until) {
			p.woke = now
			return nil, nil
		}
	}
}

// patience is the timeout of epoll_wait in milliseconds, -1 for none: to poll
// until the one time, then to sleep until the other.
func patience(now, until, pollUntil time.Time) int {
	switch {
	case now.Before(pollUntil):
		return 0
	case until.IsZero():
		return -1
	}
	return int(max(0, until.Sub(now)+time.Millisecond-1) / time.Millisecond)
}

// used is what this process has worked so far. One that polls is always on its
// core; its work is the time between finding something and asking anew. Of one
// that blocks it is the CPU.
func (p *poller) used() time.Duration {
	if p.linger > 0 {
		return p.worked
	}
	return ownCPU()
}

// ownCPU is what this process has used, in user and kernel mode.
func ownCPU() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
