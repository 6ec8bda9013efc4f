//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"
)

// memory is what a process holds of the machine's memory, in bytes: its
// proportional set size, to which a page that it shares counts in part.
func (p proc) memory(pid int) (int64, error) {
	text, err := fs.ReadFile(p, path.Join(strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "Pss:" && string(fields[2]) == "kB" {
			kB, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("process %d: smaps_rollup has no Pss", pid)
}

// How settledMemory decides: the least of a calm time, but not for ever.
const (
	memoryEvery = 500 * time.Millisecond
	memoryCalm  = 5 * time.Second
	memoryMost  = 25 * time.Second
)

// settledMemory is what a process holds once it gives nothing more back: a
// runtime returns memory little by little after a load.
func settledMemory(ctx context.Context, pid int) (int64, error) {
	least, err := hostProc.memory(pid)
	begin := time.Now()
	for since := begin; err == nil && time.Since(since) < memoryCalm && time.Since(begin) < memoryMost; {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(memoryEvery):
		}
		var now int64
		if now, err = hostProc.memory(pid); now < least-least/100 {
			least, since = now, time.Now()
		}
	}
	return least, err
}
