//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"time"
)

// proc is /proc, or a copy of a part of it.
type proc struct{ fs.FS }

// hostProc is this machine's.
var hostProc = proc{os.DirFS("/proc")}

// family is a process and all its descendants: nginx works in its children.
func (p proc) family(pid int) ([]int, error) {
	entries, err := fs.ReadDir(p, ".")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int)
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if stat, err := fs.ReadFile(p, path.Join(e.Name(), "stat")); err == nil {
			parents[child] = parentOf(stat)
		} // else it ended meanwhile
	}
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		for child, parent := range parents {
			if parent == pids[i] {
				pids = append(pids, child)
			}
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// parentOf reads /proc/PID/stat: pid (name) state parent …; the name may hold
// anything.
func parentOf(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}

// cpu is the time that all threads of the processes have run.
func (p proc) cpu(pids []int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		tasks := path.Join(strconv.Itoa(pid), "task")
		entries, err := fs.ReadDir(p, tasks)
		if err != nil {
			return 0, fmt.Errorf("process %d is gone: %w", pid, err)
		}
		for _, e := range entries {
			text, err := fs.ReadFile(p, path.Join(tasks, e.Name(), "schedstat"))
			if err != nil {
				continue // a thread that ended between the two reads
			}
			ran, err := runTime(text)
			if err != nil {
				return 0, fmt.Errorf("process %d: %w", pid, err)
			}
			total += ran
		}
	}
	return total, nil
}

// runTime reads a schedstat: nanoseconds on the CPU, nanoseconds waiting for
// it, and the number of time slices.
func runTime(schedstat []byte) (time.Duration, error) {
	fields := bytes.Fields(schedstat)
	if len(fields) != 3 {
		return 0, fmt.Errorf("schedstat %q has not three fields", schedstat)
	}
	ns, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(ns), nil
}
