//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// contestant is a running program with the field behind it.
type contestant struct {
	Name    string
	process *process
	// seat is a hub's.
	seat   hubSeat
	Field  field
	Target target
	// own replaces the closed loop of the load generator; the CPU that it
	// returns is added to that of the process, if there is one. Nil for most.
	own func(context.Context) (sample, error)
	// shares tells that another contestant is the same process, so that the CPU
	// has to be read at both ends of each slice.
	shares bool
	// pushed counts what CPOs have broadcast to it.
	pushed int
	// pids are all its processes, once a phase has begun.
	pids []int
}

// sample is one contestant's part of one round.
type sample struct {
	Requests uint64
	// CPU is the contestant's in the whole round, its own slice and the
	// others'.
	CPU time.Duration
	// Elapsed is the length of its slice; Load and Backend are what the other
	// two used in it: see poller.used.
	Elapsed, Load, Backend time.Duration
	// Receivers are those that the requests were spread over; zero where that
	// does not matter.
	Receivers int
	// Lag is how long 99 of 100 deliveries of a broadcast took at most.
	Lag time.Duration
}

// cpuPerRequest is in microseconds.
func (s sample) cpuPerRequest() float64 {
	return float64(s.CPU) / float64(s.Requests) / float64(time.Microsecond)
}

// rate is in requests per second.
func (s sample) rate() float64 { return float64(s.Requests) / s.Elapsed.Seconds() }

// round maps a contestant's name to its sample.
type round map[string]sample

// phase puts contestants under the same work, in turns.
type phase struct {
	Work        work
	Contestants []*contestant
	// Control are the two that do the same; they prove that the machine was
	// fit to compare, by what is Controlled: the CPU per request unless it says
	// otherwise.
	Control    [2]string
	Controlled func(sample) float64
	// Tolerance is how far the control may be off; zero is controlTolerance.
	Tolerance float64
	Loader    *loader
	Backend   *platforms
	Plan      plan
	Random    *rand.Rand
}

// plan is how long and how often.
type plan struct {
	Rounds      int
	Warmup      int
	Slice       time.Duration
	Connections int
	// Attempts is how often a phase that counts for nothing is run, at most.
	Attempts int
}

// settle is the pause after a slice in which the contestant falls silent, so
// that the kernel has booked its time.
const settle = 25 * time.Millisecond

// controlTolerance is how far the control may be off.
const controlTolerance = 0.05

// errVoid says that no attempt counted.
var errVoid = errors.New("the phase counts for nothing")

// run repeats the phase until it counts.
func (p *phase) run(ctx context.Context, say func(string, ...any)) ([]round, error) {
	of := cmp.Or(p.Tolerance, controlTolerance)
	controlled := p.Controlled
	if controlled == nil {
		controlled = sample.cpuPerRequest
	}
	for attempt := 1; attempt <= p.Plan.Attempts; attempt++ {
		rounds, err := p.attempt(ctx)
		var wrong wrongAnswer
		switch {
		case errors.As(err, &wrong):
			for _, c := range p.Contestants {
				if died := c.died(); died != nil {
					return nil, died
				}
			}
			say("%s, attempt %d of %d counts for nothing: %v", p.Work.Name, attempt, p.Plan.Attempts, err)
		case err != nil:
			return nil, err
		default:
			off := ratio(rounds, p.Control[1], p.Control[0], controlled)
			if off.Median > 1-of && off.Median < 1+of {
				return rounds, nil
			}
			say("%s, attempt %d of %d counts for nothing: %s came out at %s times %s",
				p.Work.Name, attempt, p.Plan.Attempts, p.Control[1], off, p.Control[0])
		}
	}
	return nil, fmt.Errorf("%s: %w", p.Work.Name, errVoid)
}

// attempt opens the connections, warms up, and measures.
func (p *phase) attempt(ctx context.Context) ([]round, error) {
	defer func() {
		for _, c := range p.Contestants {
			if c.own == nil {
				p.Loader.do(loadCommand{Contestant: c.Name, Close: true}) // a lost loader has been reported
			}
		}
	}()
	for _, c := range p.Contestants {
		if err := c.findProcesses(); err != nil {
			return nil, err
		}
		if c.own != nil {
			continue
		}
		open := loadOpen{Target: c.Target, Connections: p.Plan.Connections, Work: p.Work.Name}
		if _, err := p.Loader.do(loadCommand{Contestant: c.Name, Open: &open}); err != nil {
			return nil, err
		}
	}
	var rounds []round
	for n := range p.Plan.Warmup + p.Plan.Rounds {
		r, err := p.round(ctx)
		if err != nil {
			return nil, err
		}
		if n >= p.Plan.Warmup {
			rounds = append(rounds, r)
		}
	}
	return rounds, nil
}

// round gives each contestant one slice, in shuffled order.
func (p *phase) round(ctx context.Context) (round, error) {
	r := make(round, len(p.Contestants))
	before, err := p.cpu()
	if err != nil {
		return nil, err
	}
	for _, i := range p.Random.Perm(len(p.Contestants)) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c := p.Contestants[i]
		if r[c.Name], err = p.turn(ctx, c); err != nil {
			return nil, err
		}
	}
	after, err := p.cpu()
	if err != nil {
		return nil, err
	}
	for i, c := range p.Contestants {
		s := r[c.Name]
		if !c.shares {
			s.CPU += after[i] - before[i]
		}
		if s.CPU <= 0 || s.Requests == 0 {
			return nil, wrongAnswer{fmt.Sprintf("%s: %d requests for %v of CPU", c.Name, s.Requests, s.CPU)}
		}
		r[c.Name] = s
	}
	return r, nil
}

// turn loads one contestant in its own way or by the closed loop.
func (p *phase) turn(ctx context.Context, c *contestant) (sample, error) {
	slice := c.own
	if slice == nil {
		slice = func(context.Context) (sample, error) { return p.slice(c) }
	}
	if !c.shares {
		return slice(ctx)
	}
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	s, err := slice(ctx)
	if err != nil {
		return sample{}, err
	}
	after, err := c.cpu()
	s.CPU = after - before
	return s, err
}

// slice loads one contestant and lets it settle.
func (p *phase) slice(c *contestant) (sample, error) {
	before, err := p.Backend.used()
	if err != nil {
		return sample{}, err
	}
	result, err := p.Loader.do(loadCommand{Contestant: c.Name, Slice: &loadSlice{Duration: p.Plan.Slice}})
	if err != nil {
		return sample{}, err
	}
	time.Sleep(settle)
	after, err := p.Backend.used()
	if err != nil {
		return sample{}, err
	}
	return sample{Requests: result.Requests, Elapsed: result.Elapsed, Load: result.Used, Backend: after - before}, nil
}

// cpu is what each contestant has used so far.
func (p *phase) cpu() ([]time.Duration, error) {
	used := make([]time.Duration, len(p.Contestants))
	for i, c := range p.Contestants {
		var err error
		if used[i], err = c.cpu(); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// findProcesses notes its processes; one that is started for each slice has
// none that stay.
func (c *contestant) findProcesses() (err error) {
	if c.process != nil {
		c.pids, err = hostProc.family(c.process.cmd.Process.Pid)
	}
	return err
}

// cpu is what its processes have used so far.
func (c *contestant) cpu() (time.Duration, error) {
	used, err := hostProc.cpu(c.pids)
	if err != nil {
		return 0, errors.Join(err, c.died())
	}
	return used, nil
}

// died is the error that the contestant ended, if it did or is about to.
func (c *contestant) died() error {
	if c.process == nil {
		return nil
	}
	select {
	case <-c.process.done:
		return c.process.ended()
	case <-time.After(settle):
		return nil
	}
}

// cpuRatio compares the CPU per request of two contestants round by round.
func cpuRatio(rounds []round, subject, baseline string) spread {
	return ratio(rounds, subject, baseline, sample.cpuPerRequest)
}

// rateRatio compares their requests per second.
func rateRatio(rounds []round, subject, baseline string) spread {
	return ratio(rounds, subject, baseline, sample.rate)
}

func ratio(rounds []round, subject, baseline string, of func(sample) float64) spread {
	values := make([]float64, 0, len(rounds))
	for _, r := range rounds {
		values = append(values, of(r[subject])/of(r[baseline]))
	}
	return spreadOf(values)
}
