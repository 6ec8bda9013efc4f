//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// loader is the running load generator, as the run sees it.
type loader struct {
	*process
	commands *json.Encoder
	results  *json.Decoder
}

func startLoader(dir, cores string) (*loader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(processConfig{Name: "load", Cores: cores, Dir: dir, Piped: true, Env: []string{"GOMAXPROCS=1"}, Argv: []string{self, loadRole}})
	if err != nil {
		return nil, err
	}
	return &loader{process: p, commands: json.NewEncoder(p.in), results: json.NewDecoder(p.out)}, nil
}

// do sends one command and waits for its result.
func (l *loader) do(c loadCommand) (loadResult, error) {
	if err := l.commands.Encode(c); err != nil {
		return loadResult{}, l.lost(err)
	}
	var result loadResult
	if err := l.results.Decode(&result); err != nil {
		return loadResult{}, l.lost(err)
	}
	if result.Error != "" {
		return result, wrongAnswer{c.Contestant + ": " + result.Error}
	}
	return result, nil
}

// lost explains why the load generator does not answer.
func (l *loader) lost(err error) error {
	select {
	case <-l.done:
		return l.ended()
	case <-time.After(time.Second):
		return fmt.Errorf("load generator: %w", err)
	}
}

// wrongAnswer says that a contestant did not do its work: the phase counts for
// nothing.
type wrongAnswer struct{ detail string }

func (w wrongAnswer) Error() string { return w.detail }
