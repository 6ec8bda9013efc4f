package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the Makefile.
var version = "devel"

// Exit codes (contract.md, Commands).
const (
	exitError = 1
	exitUsage = 2
)

// usageError is a mistake in flags, environment or file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type commandLine struct {
	Serve   serveCommand   `cmd:"" help:"Run the hub."`
	Demo    demoCommand    `cmd:"" help:"Run a hub on embedded defaults with a simulated network registered to it."`
	Erase   eraseCommand   `cmd:"" help:"Erase what a running hub knows of a driver's token."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// streams are where a command writes, and reads.
type streams struct {
	out, err io.Writer
	in       io.Reader
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait
	code := run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr, os.Stdin})
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	err := execute(ctx, args, s)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(s.err, "busbar: %v\nSee busbar --help.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(s.err, "busbar: %v\n", err)
		return exitError
	}
}

func execute(ctx context.Context, args []string, s streams) error {
	helped := false
	parser, err := kong.New(&commandLine{},
		kong.Name("busbar"), kong.Description("Busbar is an OCPI roaming hub."),
		kong.Writers(s.out, s.err), kong.Exit(func(int) { helped = true }),
		kong.NamedMapper("switch", switchMapper{}), kong.DefaultEnvars("BUSBAR"),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return nil // kong printed the help and went on parsing
	case err != nil:
		if fault, ok := errors.AsType[*kong.ParseError](err); ok {
			parser.Stdout = s.err
			_ = fault.Context.PrintUsage(fault.Context.Selected() != nil) // the error follows
			fmt.Fprintln(s.err)
		}
		return usageError{err}
	}
	return parsed.Run()
}

// switchMapper reads a flag that may stand alone, or have any value: what is
// wrong with the value is said together with all other faults.
type switchMapper struct{}

func (switchMapper) IsBool() bool { return true }

func (switchMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	value := "true"
	if token := ctx.Scan.Peek(); token.Type == kong.FlagValueToken {
		value = fmt.Sprint(ctx.Scan.Pop().Value)
	}
	target.SetString(value)
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(s streams) error {
	goVersion := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = " " + info.GoVersion
	}
	_, err := fmt.Fprintf(s.out, "busbar %s%s\n", version, goVersion)
	return err
}
