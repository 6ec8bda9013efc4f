//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io"
	"time"
)

// loadCommand is one line to the load generator. Exactly one of Open, Slice,
// Push and Close is set.
type loadCommand struct {
	// Contestant is the name under which its connections are kept.
	Contestant string     `json:"contestant"`
	Open       *loadOpen  `json:"open,omitempty"`
	Slice      *loadSlice `json:"slice,omitempty"`
	Push       *loadPush  `json:"push,omitempty"`
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
	// Used is what the load generator itself did: see poller.used.
	Used time.Duration `json:"used"`
	// Push is what came of a loadPush.
	Push pushResult `json:"push,omitzero"`
	// Error is the first wrong answer; the figures then mean nothing.
	Error string `json:"error,omitempty"`
}

// serveLoad is the load generator's process: commands on in, results on out,
// until in ends.
func serveLoad(in io.Reader, out io.Writer, how waiting) error {
	commands, results := json.NewDecoder(in), json.NewEncoder(out)
	contestants := make(map[string]*crowd)
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
			contestants[c.Contestant], err = openCrowd(*c.Open, how)
		case c.Slice != nil:
			result, err = contestants[c.Contestant].slice(c.Slice.Duration)
		case c.Push != nil:
			result, err = push(*c.Push, how)
		case c.Close:
			contestants[c.Contestant].close()
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
