//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// The Go benchmarks of P6, in package catalog.
const (
	catalogPackage = "busbar/catalog"
	patchBenchmark = "BenchmarkPatchEVSE"
	mapsBenchmark  = "BenchmarkPatchEVSEByMaps"
	// patchRuns are how often both run, one after the other.
	patchRuns = 9
	patchTime = "300ms"
)

// patched compares the two ways to apply a PATCH of an EVSE (P6): the ratio is
// taken within a run of both.
func (l *lineup) patched(ctx context.Context, m mark) (findings, error) {
	binary := filepath.Join(l.dir, "catalog.test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, catalogPackage).CombinedOutput(); err != nil {
		return findings{}, fmt.Errorf("build the benchmarks of %s: %w: %s", catalogPackage, err, bytes.TrimSpace(out))
	}
	argv := []string{
		binary, "-test.run", "^$", "-test.bench", "^(" + patchBenchmark + "|" + mapsBenchmark + ")$",
		"-test.benchtime", patchTime, "-test.cpu", "1",
	}
	if l.cores.Contestant != "" {
		argv = append([]string{"taskset", "-c", l.cores.Contestant}, argv...)
	}
	var ratios, splice, maps []float64
	for range patchRuns {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return findings{}, fmt.Errorf("benchmarks of %s: %w: %s", catalogPackage, err, bytes.TrimSpace(out))
		}
		took := readBenchmarks(string(out))
		if took[patchBenchmark] == 0 || took[mapsBenchmark] == 0 {
			return findings{}, fmt.Errorf("package %s has no %s and %s: %s", catalogPackage, patchBenchmark, mapsBenchmark, bytes.TrimSpace(out))
		}
		splice, maps = append(splice, took[patchBenchmark]), append(maps, took[mapsBenchmark])
		ratios = append(ratios, took[patchBenchmark]/took[mapsBenchmark])
	}
	return findings{
		Comparisons: []comparison{{
			Mark: m.ID, Work: m.Work.Name, Measure: timeMeasure, Subject: "catalog", Baseline: "encoding/json maps",
			Ratio: spreadOf(ratios), Goal: m.Goal,
		}},
		Notes: []string{fmt.Sprintf("%s: a PATCH is applied in %.1f µs, by maps in %.1f µs",
			m.ID, spreadOf(splice).Median/1000, spreadOf(maps).Median/1000)},
	}, nil
}

var benchmarkLine = regexp.MustCompile(`(?m)^(Benchmark\w+)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op`)

// readBenchmarks maps the benchmarks that Go printed to nanoseconds per
// operation.
func readBenchmarks(out string) map[string]float64 {
	took := make(map[string]float64)
	for _, m := range benchmarkLine.FindAllStringSubmatch(out, -1) {
		if ns, err := strconv.ParseFloat(m[2], 64); err == nil {
			took[m[1]] = ns
		}
	}
	return took
}

// patchedAndKept is P6: what a PATCH costs, and what the Locations hold.
func (l *lineup) patchedAndKept(ctx context.Context, m mark) (findings, error) {
	found, err := l.patched(ctx, m)
	if err != nil {
		return findings{}, err
	}
	more, err := l.kept(ctx, m)
	found.add(more)
	return found, err
}
