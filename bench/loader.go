//go:build linux

package main

import "encoding/json"

// loader is the running load generator, as the run sees it.
type loader struct {
	*process
	commands *json.Encoder
	results  *json.Decoder
}

func startLoader(dir, cores string, how waiting) (*loader, error) {
	p, err := startPartner(loadRole, dir, cores, how)
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

// wrongAnswer says that a contestant did not do its work: the phase counts for
// nothing.
type wrongAnswer struct{ detail string }

func (w wrongAnswer) Error() string { return w.detail }
