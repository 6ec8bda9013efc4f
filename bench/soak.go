//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
)

// soakOptions are what the flags of a soak say.
type soakOptions struct {
	common
	Replicas  int
	Platforms int
	// Locations follow from the EVSEs that are wanted.
	EVSEs int
	// Rate is in changes of status a second, Direct in messages from one party to
	// another.
	Rate, Direct float64
	// Pulls are eMSPs that GET All, one after the other.
	Pulls    int
	Duration time.Duration
	// FillLimit and DrainLimit bound the filling, and the waiting for empty lanes.
	FillLimit, DrainLimit time.Duration
	// ForwardTimeout is the hub's; with NotTimed neither lag nor memory is judged,
	// for tests that share their machine.
	ForwardTimeout time.Duration
	NotTimed       bool
	// Postgres and Redis are servers for several replicas; empty is the embedded
	// default.
	Postgres, Redis string
}

// evsesEach is how many EVSEs a sampleLocation has in the mean.
const evsesEach = 3.5

// locations are so many that the EVSEs are there in all likelihood: six standard
// deviations.
func (o soakOptions) locations() int {
	n := float64(o.EVSEs) / evsesEach
	return int(n + 6*math.Sqrt(n*1.25)/evsesEach)
}

func parseSoakOptions(args []string, terminal io.Writer) (soakOptions, error) {
	o := soakOptions{Postgres: os.Getenv("BUSBAR_TEST_POSTGRES"), Redis: os.Getenv("BUSBAR_TEST_REDIS")}
	o.Say = func(format string, args ...any) {
		fmt.Fprintf(terminal, time.Now().Format("15:04:05 ")+"soak: "+format+"\n", args...)
	}
	flags := o.flags("bench "+soakCommand, terminal)
	flags.IntVar(&o.Replicas, "replicas", 1, "1 on SQLite, or more on the Postgres and Redis of scripts/services.sh")
	flags.IntVar(&o.Platforms, "platforms", 300, "platforms, of which 35 % receive Locations")
	flags.IntVar(&o.EVSEs, "evses", 1_000_000, "EVSEs in the catalog")
	flags.Float64Var(&o.Rate, "rate", 115, "changes of an EVSE's status in a second")
	flags.Float64Var(&o.Direct, "direct", 200, "messages from one party to another in a second")
	flags.IntVar(&o.Pulls, "pulls", 3, "eMSPs that GET all Locations meanwhile")
	flags.DurationVar(&o.Duration, "duration", 3*time.Minute, "how long is pushed")
	flags.DurationVar(&o.FillLimit, "fill-limit", 4*time.Minute, "fill the catalog for at most this time")
	flags.DurationVar(&o.DrainLimit, "drain-limit", 90*time.Second, "wait for empty lanes for at most this time")
	flags.DurationVar(&o.ForwardTimeout, "forward-timeout", 30*time.Second, "the hub's, after which it gives a hanging receiver up")
	flags.BoolVar(&o.NotTimed, "not-timed", false, "do not judge lag and memory")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o soakOptions) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.Platforms < leastPlatforms || o.Platforms > maxParties:
		return fmt.Errorf("-platforms must be %d to %d", leastPlatforms, maxParties)
	case o.EVSEs < 100 || o.Rate <= 0 || o.Direct < 0 || o.Duration < time.Second || o.Pulls < 0:
		return errors.New("-evses must be at least 100, -rate positive, -duration at least 1s")
	case o.Replicas < 1:
		return errors.New("-replicas must be positive")
	case o.Replicas > 1 && (o.Postgres == "" || o.Redis == ""):
		return errors.New("-replicas 2 needs Postgres and Redis: run it through scripts/services.sh")
	}
	return nil
}

// runSoak soaks a hub, reports, and fails when a goal was missed.
func runSoak(ctx context.Context, o soakOptions) error {
	s, err := openSoak(ctx, o)
	if err != nil {
		return err
	}
	defer s.closers.close()
	for _, step := range []func(context.Context) error{
		s.populate, s.fill, s.admit, s.live, s.drain, s.count,
	} {
		if err := step(ctx); err != nil {
			return errors.Join(err, s.died())
		}
	}
	text := s.report.markdown(time.Now(), s.notes())
	return o.publish(text, strings.Join(s.report.missed(), "; "))
}
