//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// cores says who runs where, in taskset's notation. Empty: not pinned.
type cores struct {
	Load, Backend, Contestant string
	// Count is how many cores this process may use.
	Count int
}

// layout gives the load generator and the backend one core each and the
// contestants two, if there are four; else all share.
func layout(allowed []int) cores {
	c := cores{Count: len(allowed)}
	if len(allowed) < 4 {
		return c
	}
	c.Load = strconv.Itoa(allowed[0])
	c.Backend = strconv.Itoa(allowed[1])
	c.Contestant = fmt.Sprintf("%d,%d", allowed[2], allowed[3])
	return c
}

// pinned tells that the load generator and the backend have cores of their own.
func (c cores) pinned() bool { return c.Contestant != "" }

func (c cores) String() string {
	if !c.pinned() {
		return "all share the cores; only ratios of CPU mean anything"
	}
	return fmt.Sprintf("load generator on core %s, backend on %s, contestants on %s", c.Load, c.Backend, c.Contestant)
}

// allowedCores are the cores that this process may use.
func allowedCores() ([]int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return parseCoreList(strings.TrimSpace(list))
		}
	}
	return nil, fmt.Errorf("/proc/self/status has no Cpus_allowed_list")
}

// parseCoreList reads the kernel's notation: "0-2,5".
func parseCoreList(list string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("core list %q: %w", list, err)
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return nil, fmt.Errorf("core list %q: %w", list, err)
		}
		for core := from; core <= to; core++ {
			all = append(all, core)
		}
	}
	return all, nil
}

// machineLines describe where the figures come from, and of what.
func machineLines(c cores, how waiting, busbar string) []string {
	return []string{
		fmt.Sprintf("%s, %d cores; %s", cpuModel(), c.Count, c),
		how.String(),
		"Linux " + firstLine("uname", "-r") + ", " + runtime.Version(),
		firstLine("nginx", "-v"),
		firstLine("haproxy", "-v"),
		firstLine("wrk", "-v"),
		firstLine(busbar, "version"),
	}
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// firstLine is the first line that a command prints on either stream. That wrk
// takes the question for its version for a failure does not matter.
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return fmt.Sprintf("%s: %v", name, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
