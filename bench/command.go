//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// errUsage says that the command was called wrongly.
var errUsage = errors.New("wrong usage")

// common is what the flags of both commands say.
type common struct {
	Busbar string
	Limit  time.Duration
	Output string
	Seed   uint64
	// Say tells the person at the terminal what goes on.
	Say func(format string, args ...any)
}

// flags are those of a command, with what is common among them.
func (c *common) flags(command string, terminal io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(terminal)
	flags.StringVar(&c.Busbar, "busbar", "bin/busbar", "the hub's binary")
	flags.DurationVar(&c.Limit, "limit", 15*time.Minute, "end the run after this time")
	flags.StringVar(&c.Output, "o", "", "write the report to this file, too")
	flags.Uint64Var(&c.Seed, "seed", uint64(time.Now().UnixNano()), "seed of all that is drawn")
	return flags
}

// execute runs a command whose flags were parsed, until a signal or the limit
// ends it.
func (c common) execute(parsed error, run func(context.Context) error) error {
	if errors.Is(parsed, flag.ErrHelp) {
		return nil
	}
	if parsed != nil {
		return fmt.Errorf("%w: %w", errUsage, parsed)
	}
	if _, err := os.Stat(c.Busbar); err != nil {
		return fmt.Errorf("%w: `make build` makes it", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, c.Limit, errors.New("-limit has passed"))
	defer cancel()
	return run(ctx)
}

// publish prints the report, writes it where it is wanted, and fails when a goal
// was missed.
func (c common) publish(report, missed string) error {
	fmt.Print(report)
	if c.Output != "" {
		if err := os.WriteFile(c.Output, []byte(report), 0o644); err != nil {
			return err
		}
	}
	if missed != "" {
		return fmt.Errorf("goals missed: %s", missed)
	}
	return nil
}

// closers end what was started.
type closers []func()

func (c *closers) add(end func()) { *c = append(*c, end) }

// close ends everything, the last started first.
func (c closers) close() {
	for _, end := range slices.Backward(c) {
		end()
	}
}
