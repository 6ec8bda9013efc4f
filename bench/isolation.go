//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// hung are the receivers of P8 that hang: 5 %.
	hung = 5
	// lagGoal bounds the lag of the others in P8, of what it is when none hangs.
	lagGoal = 1.2
	// lagTolerance is how far two hubs without hanging receivers may differ: the
	// hundredth delivery of a hundred is at the mercy of the machine.
	lagTolerance = 0.15
	// pacedSlice is short: the more slices, the less a stall of the machine says.
	pacedSlice = 500 * time.Millisecond
)

// The hubs of P8.
const (
	healthyName  = busbarName + "-healthy"
	healthy2Name = busbarName + "-healthy-2"
	hangingName  = busbarName + "-some-hang"
)

// isolated compares what the healthy receivers get when some hang with what they
// get when none does (P8): at a fixed rate, half of what the machine was just
// seen to do, deliveries in time for each receiver, and the 99th percentile of
// their lag since they were due.
func (l *lineup) isolated(ctx context.Context, m mark) (findings, error) {
	hubs, interval, err := l.markets(ctx)
	if err != nil {
		return findings{}, err
	}
	plan := l.opts.longPlan()
	plan.Rounds, plan.Slice = 2*plan.Rounds, pacedSlice
	p := l.phase(m.Work, plan, hubs...)
	p.Controlled, p.Tolerance = sample.lag, lagTolerance
	rounds, err := p.run(ctx, l.opts.Say)
	if err != nil {
		return findings{}, err
	}
	if err := checkHung(ctx, hubs[len(hubs)-1]); err != nil {
		return findings{}, err
	}
	line := func(measure, subject string, of func(sample) float64, g goal) comparison {
		return comparison{
			Mark: m.ID, Work: m.Work.Name, Measure: measure, Subject: subject, Baseline: healthyName,
			Ratio: ratio(rounds, subject, healthyName, of), Goal: g,
		}
	}
	return findings{
		Comparisons: []comparison{
			line(deliveredMeasure, healthy2Name, sample.ratePerReceiver, goal{}),
			line(deliveredMeasure, hangingName, sample.ratePerReceiver, m.Goal),
			line(lagMeasure, healthy2Name, sample.lag, goal{}),
			line(lagMeasure, hangingName, sample.lag, goal{Most: lagGoal, Judged: true}),
		},
		Absolutes: absolutes(m, rounds),
		Notes: []string{fmt.Sprintf("%s: %.0f broadcasts/s, half of what %s did at most; requests are deliveries; p99 of the lag %.1f ms, with %d hanging %.1f ms",
			m.ID, 1/interval.Seconds(), healthyName, medianOf(rounds, healthyName, sample.lag), hung, medianOf(rounds, hangingName, sample.lag))},
	}, nil
}

// markets starts the hubs, the one with hanging receivers last, and finds out
// the interval between pushes at half of the rate that the first reaches.
func (l *lineup) markets(ctx context.Context) (hubs []*contestant, interval time.Duration, err error) {
	for _, name := range []string{healthyName, healthy2Name, hangingName} {
		hang := 0
		if name == hangingName {
			hang = hung
		}
		hub, err := l.market(ctx, name, hang)
		if err != nil {
			return nil, 0, err
		}
		hubs = append(hubs, hub)
		hub.own = l.onBackend(func(context.Context) (sample, error) {
			return l.pushEvery(hub, interval, receivers-hang)
		})
	}
	most, err := l.push(hubs[0], pace{Duration: longSlice, Window: pushWindow, Receivers: receivers})
	if err != nil {
		return nil, 0, err
	}
	return hubs, 2 * most.Elapsed * receivers / time.Duration(most.Requests), nil
}

// checkHung proves that the receivers which hang were sent to all the while: a
// hub that takes them for OFFLINE sends them nothing, and has it easier.
func checkHung(ctx context.Context, hub *contestant) error {
	n, err := hub.seat.connected(ctx)
	if err == nil && n != len(hub.Field) {
		err = fmt.Errorf("%s: %d of %d platforms are CONNECTED", hub.Name, n, len(hub.Field))
	}
	return err
}

// pushEvery is a slice of the open loop. The sample's requests are the
// deliveries in time.
func (l *lineup) pushEvery(hub *contestant, interval time.Duration, healthy int) (sample, error) {
	result, err := l.pushAt(hub, pace{Duration: pacedSlice, Interval: interval, Receivers: healthy})
	if err != nil {
		return sample{}, err
	}
	return sample{
		Requests: result.Push.InTime, Receivers: healthy, Elapsed: pacedSlice, Load: result.Used, Lag: result.Push.P99,
	}, nil
}

// ratePerReceiver is in deliveries per second.
func (s sample) ratePerReceiver() float64 { return s.rate() / float64(s.Receivers) }

// lag is in milliseconds.
func (s sample) lag() float64 { return float64(s.Lag) / float64(time.Millisecond) }
