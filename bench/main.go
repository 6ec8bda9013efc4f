//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// The roles in which the command starts itself.
const (
	loadRole    = "load"
	backendRole = "backend"
	// countryRole is the backend of a soak.
	countryRole = "country"
	// soakCommand begins the arguments of a soak.
	soakCommand = "soak"
)

func main() {
	// Programs that are started from here end with this thread: see start. The
	// partners wait on it: see poller.
	runtime.LockOSThread()
	if err := dispatch(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func dispatch(args []string) error {
	switch {
	case len(args) == 2 && args[0] == loadRole:
		return serveLoad(os.Stdin, os.Stdout, waiting(args[1]))
	case len(args) == 2 && args[0] == backendRole:
		return serveBackend(waiting(args[1]), false)
	case len(args) == 2 && args[0] == countryRole:
		return serveBackend(waiting(args[1]), true)
	case len(args) > 0 && args[0] == soakCommand:
		opts, err := parseSoakOptions(args[1:], os.Stderr)
		return opts.execute(err, func(ctx context.Context) error { return runSoak(ctx, opts) })
	}
	opts, err := parseOptions(args, os.Stderr)
	return opts.execute(err, func(ctx context.Context) error { return run(ctx, opts) })
}

// options are what the flags say.
type options struct {
	common
	Plan  plan
	Marks []mark
	// Partners is empty when the cores are to decide.
	Partners           waiting
	Parties, Platforms int
	// LongRounds are the rounds of the marks whose slices are LongSlice.
	LongRounds int
	// Objects are the Locations of P5 and P6; IngestLimit bounds the time that
	// is taken to push them.
	Objects     int
	IngestLimit time.Duration
	// Few and Many are the parties of the two hubs of P9.
	Few, Many int
}

func parseOptions(args []string, terminal io.Writer) (options, error) {
	var o options
	o.Say = func(format string, args ...any) { fmt.Fprintf(terminal, "bench: "+format+"\n", args...) }
	flags := o.flags("bench", terminal)
	list := flags.String("marks", "P1,P2,P4,P5,P6,P8,P9", "marks to measure")
	flags.IntVar(&o.Plan.Rounds, "rounds", 40, "rounds of each phase")
	flags.IntVar(&o.Plan.Warmup, "warmup", 3, "rounds before those, not counted")
	flags.DurationVar(&o.Plan.Slice, "slice", 350*time.Millisecond, "load on one contestant in one round")
	flags.IntVar(&o.Plan.Connections, "connections", 64, "connections to each contestant")
	flags.IntVar(&o.Plan.Attempts, "attempts", 3, "runs of a phase until it counts")
	partners := flags.String("partners", "", "how load generator and backend wait: poll or block (default: poll where each has a core)")
	flags.IntVar(&o.Parties, "parties", 1000, "parties of P1 and P2")
	flags.IntVar(&o.Platforms, "platforms", 50, "platforms that they are spread over")
	flags.IntVar(&o.LongRounds, "long-rounds", 12, "rounds of P4, P5 and P8")
	flags.IntVar(&o.Objects, "objects", 500_000, "Locations in the catalog of P5 and P6")
	flags.DurationVar(&o.IngestLimit, "ingest-limit", 90*time.Second, "push Locations for at most this time")
	flags.IntVar(&o.Few, "few", 100, "parties of the small hub of P9")
	flags.IntVar(&o.Many, "many", 10000, "parties of the large hub of P9")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.Plan.Rounds < 1 || o.Plan.Connections < 1 || o.Plan.Attempts < 1 || o.Plan.Warmup < 0 || o.Plan.Slice < 50*time.Millisecond {
		return o, errors.New("-rounds, -connections and -attempts must be positive, -slice at least 50ms")
	}
	var err error
	if o.Partners, err = parseWaiting(*partners); err != nil {
		return o, err
	}
	o.Marks, err = chosenMarks(*list)
	return o, err
}

// longSlice is a slice of P4 and P8: wrk counts whole seconds.
const longSlice = time.Second

// longPlan is the plan of the marks with longer slices.
func (o options) longPlan() plan {
	p := o.Plan
	p.Rounds, p.Warmup, p.Slice = o.LongRounds, min(1, p.Warmup), longSlice
	return p
}

// run measures all marks, reports, and fails when a goal was missed.
func run(ctx context.Context, opts options) error {
	s, err := openStage(ctx, opts)
	if err != nil {
		return err
	}
	defer s.closers.close()
	l, err := openLineup(ctx, s)
	if err != nil {
		return err
	}
	var found findings
	for _, m := range opts.Marks {
		opts.Say("measuring %s", m.ID)
		more, err := m.measure(l, ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.ID, err)
		}
		found.add(more)
	}
	text := found.markdown(time.Now(), append(machineLines(s.cores, s.waiting, opts.Busbar),
		fmt.Sprintf("%d rounds of slices of %v, %d connections, %d parties on %d platforms, seed %d",
			opts.Plan.Rounds, opts.Plan.Slice, opts.Plan.Connections, opts.Parties, opts.Platforms, opts.Seed)))
	return opts.publish(text, strings.Join(found.missed(), ", "))
}
