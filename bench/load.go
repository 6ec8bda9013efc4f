//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"busbar/ocpi"
)

// loadCommand is one line to the load generator. Exactly one of Open, Slice
// and Close is set.
type loadCommand struct {
	// Contestant is the name under which its connections are kept.
	Contestant string     `json:"contestant"`
	Open       *loadOpen  `json:"open,omitempty"`
	Slice      *loadSlice `json:"slice,omitempty"`
	Close      bool       `json:"close,omitempty"`
}

// loadOpen opens connections to a contestant.
type loadOpen struct {
	Target      target `json:"target"`
	Connections int    `json:"connections"`
	Work        string `json:"work"`
}

// loadSlice puts a contestant under closed-loop load.
type loadSlice struct {
	Duration time.Duration `json:"duration"`
}

// loadResult answers a command.
type loadResult struct {
	Requests uint64 `json:"requests"`
	// Elapsed is from the first request to the last answer.
	Elapsed time.Duration `json:"elapsed"`
	// CPU is what the load generator itself used.
	CPU time.Duration `json:"cpu"`
	// Error is the first wrong answer; the figures then mean nothing.
	Error string `json:"error,omitempty"`
}

// serveLoad is the load generator's process: commands on in, results on out,
// until in ends.
func serveLoad(in io.Reader, out io.Writer) error {
	commands, results := json.NewDecoder(in), json.NewEncoder(out)
	contestants := make(map[string][]*connection)
	for {
		var c loadCommand
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var result loadResult
		var err error
		switch {
		case c.Open != nil:
			contestants[c.Contestant], err = openConnections(*c.Open)
		case c.Slice != nil:
			result, err = runSlice(contestants[c.Contestant], c.Slice.Duration)
		case c.Close:
			for _, conn := range contestants[c.Contestant] {
				conn.wire.conn.Close()
			}
			delete(contestants, c.Contestant)
		}
		if err != nil {
			result.Error = err.Error()
		}
		if err := results.Encode(result); err != nil {
			return err
		}
	}
}

// connection is one closed loop: it sends a request and waits for the answer.
type connection struct {
	wire      *wire
	request   *request
	receivers []ocpi.PartyKey
	next      int    // index of the next receiver
	count     uint64 // requests so far: the message ids
}

// openConnections spreads the connections over the calling platforms and their
// parties, and lets each begin its tour of the receivers elsewhere.
func openConnections(o loadOpen) ([]*connection, error) {
	w, err := workNamed(o.Work)
	if err != nil {
		return nil, err
	}
	conns := make([]*connection, 0, o.Connections)
	for i := range o.Connections {
		conn, err := net.Dial("tcp", o.Target.Addr)
		if err != nil {
			return nil, err
		}
		platform := o.Target.Callers[i%len(o.Target.Callers)]
		party := platform.Parties[i/len(o.Target.Callers)%len(platform.Parties)]
		conns = append(conns, &connection{
			wire:      newWire(conn),
			request:   newRequest(w, o.Target.Addr, platform, party),
			receivers: o.Target.Receivers,
			next:      i * len(o.Target.Receivers) / o.Connections,
			count:     uint64(i) * 1_000_000_000,
		})
	}
	return conns, nil
}

// runSlice keeps every connection busy for d, then waits for the answers that
// are due.
func runSlice(conns []*connection, d time.Duration) (loadResult, error) {
	var result loadResult
	var stop atomic.Bool
	var loops sync.WaitGroup
	failed := make([]error, len(conns))
	deadline := time.Now().Add(d + 10*time.Second)
	for _, c := range conns {
		result.Requests -= c.count
		if err := c.wire.conn.SetDeadline(deadline); err != nil {
			return loadResult{}, err
		}
	}
	cpu, begin := ownCPU(), time.Now()
	for i, c := range conns {
		loops.Go(func() {
			for { // at least once, however late this goroutine begins
				if failed[i] = c.exchange(); failed[i] != nil || stop.Load() {
					return
				}
			}
		})
	}
	time.Sleep(d)
	stop.Store(true)
	loops.Wait()
	result.Elapsed, result.CPU = time.Since(begin), ownCPU()-cpu
	for _, c := range conns {
		result.Requests += c.count
	}
	return result, errors.Join(failed...)
}

// exchange is one request and its answer.
func (c *connection) exchange() error {
	c.request.readdress(c.receivers[c.next], c.count)
	if c.next++; c.next == len(c.receivers) {
		c.next = 0
	}
	c.count++
	if _, err := c.wire.conn.Write(c.request.bytes); err != nil {
		return err
	}
	head, body, err := c.wire.next()
	if err != nil {
		return err
	}
	if code, _ := ocpi.ScanEnvelope(body); statusOf(head) != 200 || code != ocpi.Success {
		return fmt.Errorf("answer is not a 1000: %.200s … %.300s", head, body)
	}
	return nil
}

// ownCPU is what this process has used, in user and kernel mode.
func ownCPU() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
