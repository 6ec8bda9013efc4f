//go:build linux

package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"busbar/ocpi"
)

// loadPush lets the CPOs push their Locations to the hub itself, which
// broadcasts and keeps them.
type loadPush struct {
	Target      target `json:"target"`
	Connections int    `json:"connections"`
	// Whole pushes PUT Locations; the others PATCH the status of an EVSE.
	Whole bool `json:"whole,omitempty"`
	// Objects is how many Locations there are; the pushes go round them, and
	// First were sent before.
	Objects int  `json:"objects"`
	First   int  `json:"first,omitempty"`
	Pace    pace `json:"pace"`
	// Skewed deals the Locations to the platforms as dealt says, not evenly.
	Skewed bool `json:"skewed,omitempty"`
	// Backend is asked for the deliveries when somebody receives them.
	Backend string `json:"backend,omitempty"`
}

// pushResult is what came of it.
type pushResult struct {
	// Bytes are those of the bodies.
	Bytes int64 `json:"bytes"`
	// InTime are the deliveries that had arrived when the last push was
	// answered; the rest is waited for.
	InTime uint64        `json:"in_time"`
	Took   time.Duration `json:"took"`
	tallied
}

// pusher is a running loadPush.
type pusher struct {
	loadPush
	progress
	poller *poller
	conns  []*connection
	// idle are the connections that wait for nothing, the longest first.
	idle []*connection
	// tally asks the backend; nil when nobody receives.
	tally  *connection
	asking bool
	told   tallied
	bytes  int64
}

// tallyKey is the poller's key of the connection to the backend.
const tallyKey = -1

// push runs a loadPush on connections of its own.
func push(l loadPush, how waiting) (loadResult, error) {
	p := &pusher{loadPush: l}
	var err error
	if p.poller, err = newPoller(how.linger()); err != nil {
		return loadResult{}, err
	}
	defer p.close()
	if err := p.open(); err != nil {
		return loadResult{}, err
	}
	used := p.poller.used()
	result, err := p.run()
	return loadResult{Requests: uint64(p.Pushed), Elapsed: result.Took, Used: p.poller.used() - used, Push: result}, err
}

func (p *pusher) open() error {
	for i := range p.Connections {
		s, err := p.dial(p.Target.Addr, int32(i))
		if err != nil {
			return err
		}
		p.conns = append(p.conns, &connection{socket: s, wire: newWire(s)})
	}
	p.idle = append(p.idle, p.conns...)
	if p.Pace.Receivers == 0 {
		return nil
	}
	s, err := p.dial(p.Backend, tallyKey)
	if err != nil {
		return err
	}
	p.tally = &connection{socket: s, wire: newWire(s)}
	return nil
}

func (p *pusher) dial(addr string, key int32) (socket, error) {
	s, err := dial(addr)
	if err != nil {
		return s, err
	}
	if err := p.poller.add(int(s), key); err != nil {
		s.Close()
		return -1, err
	}
	return s, nil
}

func (p *pusher) close() {
	for _, c := range p.conns {
		c.socket.Close()
	}
	if p.tally != nil {
		p.tally.socket.Close()
	}
	p.poller.close()
}

// run pushes at its pace until that ends, then waits until all is delivered.
func (p *pusher) run() (pushResult, error) {
	p.poller.resume()
	if err := p.await("reset"); err != nil {
		return pushResult{}, err
	}
	p.Begin = time.Now()
	for {
		now := time.Now()
		if err := p.pushDue(now); err != nil {
			return pushResult{}, err
		}
		if p.Pace.ended(p.progress, now) && len(p.idle) == len(p.conns) {
			return p.finish()
		}
		if err := p.receive(p.until(now)); err != nil {
			return pushResult{}, err
		}
	}
}

// until is how long to wait for answers: the next push may be due before.
func (p *pusher) until(now time.Time) time.Time {
	if due := p.Pace.due(p.progress); due.After(now) && len(p.idle) > 0 && !p.Pace.ended(p.progress, now) {
		return due
	}
	return now.Add(late)
}

// pushDue sends what may be sent.
func (p *pusher) pushDue(now time.Time) error {
	for len(p.idle) > 0 && !p.Pace.ended(p.progress, now) && !p.Pace.due(p.progress).After(now) {
		if p.Pace.full(p.progress) {
			return p.ask(fmt.Sprint(p.Pace.room(p.progress)))
		}
		c := p.idle[0]
		p.idle = p.idle[1:]
		if _, err := c.socket.Write(p.compose(now)); err != nil {
			return err
		}
		p.Pushed++
	}
	return nil
}

// compose writes the next push. The Locations are dealt to the platforms in
// turn, and on each platform to its parties; any connection takes any push.
func (p *pusher) compose(now time.Time) []byte {
	count := p.First + p.Pushed
	n := count % p.Objects
	callers := p.Target.Callers
	c := callers[n%len(callers)]
	if p.Skewed {
		c = callers[dealt(n, len(callers))]
	}
	owner := c.Parties[n/len(callers)%len(c.Parties)]
	w := work{Method: "PUT", Object: locationPath(n)}
	if p.Whole {
		w.Body = sampleLocation(nil, n, owner)
	} else {
		w.Method, w.Object = "PATCH", evsePath(n)
		w.Body = sampleStatus(statuses[count/p.Objects%len(statuses)], now)
	}
	p.bytes += int64(len(w.Body))
	r := newRequest(w, p.Target.Addr, c, owner)
	due := now
	if p.Pace.Interval > 0 {
		due = p.Pace.due(p.progress) // not when it went out: who was late is late
	}
	r.readdress(hubParty, dueDigits(due))
	return r.bytes
}

// receive takes the answers that arrive before until; none at all is an error
// when nothing else is to be done then.
func (p *pusher) receive(until time.Time) error {
	ready, err := p.poller.wait(until)
	if err != nil {
		return err
	}
	if len(ready) == 0 && time.Since(p.poller.active) > late {
		return p.overdue()
	}
	for _, event := range ready {
		if event.Fd == tallyKey {
			if err := p.hear(); err != nil {
				return err
			}
			continue
		}
		c := p.conns[event.Fd]
		answered, err := c.receive()
		if err != nil {
			return err
		}
		if answered {
			p.idle = append(p.idle, c)
		}
	}
	return nil
}

func (p *pusher) overdue() error {
	return fmt.Errorf("nothing has arrived for %v: of %d pushes %d are not answered, and at least %d of %d deliveries arrived",
		late, p.Pushed, len(p.conns)-len(p.idle), p.Delivered, p.Pace.expected(p.progress))
}

// ask puts a question to the backend, unless one is open.
func (p *pusher) ask(what string) error {
	if p.asking || p.tally == nil {
		return nil
	}
	p.asking = true
	_, err := p.tally.socket.Write([]byte("GET " + tallyPath + what + " HTTP/1.1\r\nHost: " + p.Backend + "\r\n\r\n"))
	return err
}

// hear takes the backend's answer.
func (p *pusher) hear() error {
	_, body, err := p.tally.wire.next()
	if err == syscall.EAGAIN {
		return nil
	}
	if err == nil {
		p.told, err = parseTallied(body)
	}
	if err != nil {
		return fmt.Errorf("backend: %w", err)
	}
	p.asking, p.Delivered = false, p.told.Delivered
	return nil
}

// await asks, behind the question that is open, and waits for the answer.
func (p *pusher) await(what string) error {
	if p.tally == nil {
		return nil
	}
	if err := p.settle(); err != nil {
		return err
	}
	if err := p.ask(what); err != nil {
		return err
	}
	return p.settle()
}

func (p *pusher) settle() error {
	for p.asking {
		if err := p.receive(time.Now().Add(late)); err != nil {
			return err
		}
	}
	return nil
}

// finish waits for what is not delivered yet.
func (p *pusher) finish() (pushResult, error) {
	if err := p.await("0"); err != nil {
		return pushResult{}, err
	}
	r := pushResult{Bytes: p.bytes, InTime: p.Delivered}
	expected := p.Pace.expected(p.progress)
	err := errors.Join(p.await(fmt.Sprint(expected)), p.await("off"))
	r.Took, r.tallied = time.Since(p.Begin), p.told
	if err == nil && p.tally != nil && p.Delivered != expected {
		err = fmt.Errorf("%d deliveries arrived of %d pushes, want %d", p.Delivered, p.Pushed, expected)
	}
	return r, err
}

// hubParty is the hub's own party, to which a CPO broadcasts.
var hubParty = ocpi.PartyKey{'E', 'U', 'B', 'U', 'S'}
