//go:build linux

package main

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// watching samples a hub, and the machine, while it is soaked.
type watching struct {
	samples []soakSample
	// echo is how long the backend took to answer an empty question, overslept how
	// much later than asked this process woke: what the machine itself adds.
	echo, overslept           lags
	echoLongest, sleptLongest time.Duration
	queueMost, goroutinesMost float64
	err                       error
}

// soakSample is one look at all replicas.
type soakSample struct {
	at     time.Time
	memory int64
}

const (
	watchSamplesEvery = time.Second
	echoEvery         = 50 * time.Millisecond
)

// look samples until ctx ends.
func (s *soaking) look(ctx, whole context.Context) {
	w := s.watch
	for n := 0; pause(ctx, watchSamplesEvery); n++ {
		sum, err := s.memory()
		if err != nil {
			w.err = err
			return
		}
		w.samples = append(w.samples, soakSample{time.Now(), sum})
		if n%2 == 1 {
			continue // metrics are dearer
		}
		m, err := s.metrics(whole)
		if err != nil {
			w.err = err
			return
		}
		w.queueMost = max(w.queueMost, m.sum(queueMetric))
		w.goroutinesMost = max(w.goroutinesMost, m.sum("go_goroutines"))
	}
}

// control measures what is not the hub's: see watching.
func (s *soaking) control(ctx, whole context.Context) {
	w := s.watch
	for {
		begin := time.Now()
		if !pause(ctx, echoEvery) {
			return
		}
		woke := time.Now()
		late := woke.Sub(begin) - echoEvery
		w.overslept.add(max(0, late))
		w.sleptLongest = max(w.sleptLongest, late)
		if err := s.country(whole, "ping", nil, nil); err != nil {
			w.err = err
			return
		}
		took := time.Since(woke)
		w.echo.add(took)
		w.echoLongest = max(w.echoLongest, took)
	}
}

// memory is the resident set of all replicas.
func (s *soaking) memory() (sum int64, err error) {
	for _, h := range s.hubs {
		rss, err := hostProc.resident(h.process.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += rss
	}
	return sum, nil
}

// resident is the resident set size of a process in bytes; memory is more exact,
// but stops a large process for a while.
func (p proc) resident(pid int) (int64, error) {
	text, err := fs.ReadFile(p, path.Join(strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if kB, ok := strings.CutPrefix(string(line), "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kB), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fs.ErrNotExist
}

// used is the CPU that all replicas have used so far.
func (s *soaking) used() (sum time.Duration, err error) {
	for _, h := range s.hubs {
		used, err := hostProc.cpu([]int{h.process.cmd.Process.Pid})
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// median is the middle memory of the samples in a part of the time.
func (w *watching) median(from, to float64) int64 {
	n := len(w.samples)
	part := slices.Clone(w.samples[int(from*float64(n)):max(int(to*float64(n)), min(n, int(from*float64(n))+1))])
	if len(part) == 0 {
		return 0
	}
	slices.SortFunc(part, func(a, b soakSample) int { return int(a.memory - b.memory) })
	return part[len(part)/2].memory
}

func (w *watching) most() (most int64) {
	for _, s := range w.samples {
		most = max(most, s.memory)
	}
	return most
}

// queueMetric counts the legs that have not ended; outboxMetric is there when the
// hub keeps account in the record of the broadcasts that have not.
const (
	queueMetric  = "busbar_broadcast_queue"
	outboxMetric = "busbar_outbox_open"
)

// metricSet is the metrics of the replicas, by name and labels.
type metricSet []map[string]float64

// metrics reads those of every replica.
func (s *soaking) metrics(ctx context.Context) (metricSet, error) {
	set := make(metricSet, len(s.hubs))
	for i, h := range s.hubs {
		text, err := h.seat.metrics(ctx)
		if err != nil {
			return nil, err
		}
		set[i] = parseMetrics(text)
	}
	return set, nil
}

// parseMetrics reads lines of name{labels} and a value.
func parseMetrics(text []byte) map[string]float64 {
	values := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		name, value, ok := cutLast(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && line[0] != '#' {
			values[name] = v
		}
	}
	return values
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// sum adds a metric up over the replicas.
func (m metricSet) sum(name string) (sum float64) {
	for _, values := range m {
		sum += values[name]
	}
	return sum
}

// has tells whether any replica has a metric.
func (m metricSet) has(name string) bool {
	for _, values := range m {
		if _, ok := values[name]; ok {
			return true
		}
	}
	return false
}

// most is the largest over the replicas.
func (m metricSet) most(name string) (most float64) {
	for _, values := range m {
		most = max(most, values[name])
	}
	return most
}

// legs are the ended legs of Locations, by outcome.
func (m metricSet) legs() map[string]uint64 {
	const prefix = `busbar_broadcast_legs_total{module="locations",outcome="`
	legs := make(map[string]uint64)
	for _, values := range m {
		for name, v := range values {
			if outcome, ok := strings.CutPrefix(name, prefix); ok && v > 0 {
				legs[strings.TrimSuffix(outcome, `"}`)] += uint64(v)
			}
		}
	}
	return legs
}
