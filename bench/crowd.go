//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"

	"busbar/ocpi"
)

// crowd is the connections to one contestant.
type crowd struct {
	poller *poller
	conns  []*connection
}

// openCrowd spreads the connections over the calling platforms and their
// parties, and lets each begin its tour of the receivers elsewhere.
func openCrowd(o loadOpen, how waiting) (*crowd, error) {
	w, err := workNamed(o.Work)
	if err != nil {
		return nil, err
	}
	w.Path = o.Target.Path
	p, err := newPoller(how.linger())
	if err != nil {
		return nil, err
	}
	c := &crowd{poller: p}
	for i := range o.Connections {
		s, err := dial(o.Target.Addr)
		if err == nil {
			err = p.add(int(s), int32(i))
		}
		if err != nil {
			c.close()
			return nil, err
		}
		platform := o.Target.Callers[i%len(o.Target.Callers)]
		party := platform.Parties[i/len(o.Target.Callers)%len(platform.Parties)]
		c.conns = append(c.conns, &connection{
			socket:    s,
			wire:      newWire(s),
			request:   newRequest(w, o.Target.Addr, platform, party),
			receivers: o.Target.Receivers,
			next:      i * len(o.Target.Receivers) / o.Connections,
			count:     uint64(i) * 1_000_000_000,
		})
	}
	return c, nil
}

// close ends the connections; a crowd that was never opened has none.
func (c *crowd) close() {
	if c == nil {
		return
	}
	for _, conn := range c.conns {
		conn.socket.Close()
	}
	c.poller.close()
}

// sent counts the requests so far.
func (c *crowd) sent() uint64 {
	var sum uint64
	for _, conn := range c.conns {
		sum += conn.count
	}
	return sum
}

// late is how long after a slice its last answers may arrive.
const late = 10 * time.Second

// slice keeps every connection busy for d, then waits for the answers that are
// due. The first wrong answer ends it.
func (c *crowd) slice(d time.Duration) (loadResult, error) {
	if c == nil {
		return loadResult{}, errors.New("no connections are open")
	}
	c.poller.resume()
	begin, sent, used := time.Now(), c.sent(), c.poller.used()
	err := c.exchange(begin.Add(d))
	return loadResult{Requests: c.sent() - sent, Elapsed: time.Since(begin), Used: c.poller.used() - used}, err
}

// exchange sends a request on every connection and, until stop has passed, the
// next when its answer is there.
func (c *crowd) exchange(stop time.Time) error {
	for _, conn := range c.conns {
		if err := conn.send(); err != nil {
			return err
		}
	}
	for due := len(c.conns); due > 0; {
		ready, err := c.poller.wait(stop.Add(late))
		if err != nil {
			return err
		}
		if len(ready) == 0 {
			return fmt.Errorf("%d answers are more than %v late", due, late)
		}
		again := c.poller.active.Before(stop)
		for _, event := range ready {
			conn := c.conns[event.Fd]
			answered, err := conn.receive()
			switch {
			case err != nil:
				return err
			case !answered:
			case !again:
				due--
			default:
				if err := conn.send(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// connection is one closed loop: it sends a request and waits for the answer.
type connection struct {
	socket    socket
	wire      *wire
	request   *request
	receivers []ocpi.PartyKey
	next      int    // index of the next receiver
	count     uint64 // requests so far: the message ids
}

// send sends the next request.
func (c *connection) send() error {
	c.request.readdress(c.receivers[c.next], c.count)
	if c.next++; c.next == len(c.receivers) {
		c.next = 0
	}
	c.count++
	_, err := c.socket.Write(c.request.bytes)
	return err
}

// receive tells whether the whole answer has arrived; a wrong one is an error.
func (c *connection) receive() (bool, error) {
	head, body, err := c.wire.next()
	if err == syscall.EAGAIN {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if statusOf(head) != 200 || !succeeded(body) {
		return false, fmt.Errorf("answer is not a 1000: %.200s … %.300s", head, body)
	}
	return true, nil
}

// succeeded tells that an answer's body says 1000. Of a page only the end is
// looked at, where hubs here have it: reading all of it would take the load
// generator longer than it took the contestant to send it.
func succeeded(body []byte) bool {
	const long, end = 64 << 10, 200
	if len(body) > long {
		return bytes.Contains(body[len(body)-end:], []byte(`"status_code":1000,`))
	}
	code, _ := ocpi.ScanEnvelope(body)
	return code == ocpi.Success
}
