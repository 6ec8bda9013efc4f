//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What is compared.
const (
	cpuMeasure       = "CPU per request"
	rateMeasure      = "requests/s"
	deliveryMeasure  = "CPU per delivery"
	deliveredMeasure = "deliveries in time"
	lagMeasure       = "p99 of the lag"
	timeMeasure      = "time"
	memoryMeasure    = "memory"
)

// goal bounds a ratio, from above or from below. The zero goal is none.
type goal struct {
	Most, Least float64
	// Judged goals fail the run when they are missed; the others are told.
	Judged bool
}

func (g goal) met(ratio float64) bool {
	return (g.Most == 0 || ratio <= g.Most) && ratio >= g.Least
}

func (g goal) String() string {
	switch {
	case g.Most > 0:
		return fmt.Sprintf("≤ %.2f", g.Most)
	case g.Least > 0:
		return fmt.Sprintf("≥ %.2f", g.Least)
	}
	return ""
}

// comparison is one line of the result.
type comparison struct {
	Mark              string
	Work, Measure     string
	Subject, Baseline string
	Ratio             spread
	Goal              goal
}

// verdict is empty without a goal.
func (c comparison) verdict() string {
	if c.Goal == (goal{}) {
		return ""
	}
	verdict := "**missed**"
	if c.Goal.met(c.Ratio.Median) {
		verdict = "met"
	}
	if !c.Goal.Judged {
		verdict += ", not judged"
	}
	return verdict
}

// missed tells that the run fails for it.
func (c comparison) missed() bool { return c.Goal.Judged && !c.Goal.met(c.Ratio.Median) }

// absolute is what one contestant used here and now: for information, since
// another machine or another minute has other figures.
type absolute struct {
	Mark, Work, Contestant string
	CPUPerRequest          float64 // µs
	Rate                   float64 // requests per second
	// LoadBusy and BackendBusy are the shares of the time in which the load
	// generator and the backend worked: near 1 they, and not the contestant,
	// bound the rate.
	LoadBusy, BackendBusy float64
}

// absolutes are the medians over the rounds, by contestant.
func absolutes(m mark, rounds []round) []absolute {
	var all []absolute
	for _, name := range slices.Sorted(maps.Keys(rounds[0])) {
		median := func(of func(sample) float64) float64 { return medianOf(rounds, name, of) }
		all = append(all, absolute{
			Mark: m.ID, Work: m.Work.Name, Contestant: name,
			CPUPerRequest: median(sample.cpuPerRequest), Rate: median(sample.rate),
			LoadBusy:    median(func(s sample) float64 { return float64(s.Load) / float64(s.Elapsed) }),
			BackendBusy: median(func(s sample) float64 { return float64(s.Backend) / float64(s.Elapsed) }),
		})
	}
	return all
}

// medianOf is one contestant's median over the rounds.
func medianOf(rounds []round, name string, of func(sample) float64) float64 {
	var values []float64
	for _, r := range rounds {
		values = append(values, of(r[name]))
	}
	return spreadOf(values).Median
}

// findings are what a mark, or the whole run, found out.
type findings struct {
	Comparisons []comparison
	Absolutes   []absolute
	// Notes say what else is to be known.
	Notes []string
}

func (f *findings) add(more findings) {
	f.Comparisons = append(f.Comparisons, more.Comparisons...)
	f.Absolutes = append(f.Absolutes, more.Absolutes...)
	f.Notes = append(f.Notes, more.Notes...)
}

// missed are the marks whose goal was missed.
func (f findings) missed() []string {
	var ids []string
	for _, c := range f.Comparisons {
		if c.missed() {
			ids = append(ids, c.Mark)
		}
	}
	return ids
}

// markdown is the report; notes say when, where and how it was measured.
func (f findings) markdown(when time.Time, notes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Busbar measured, %s\n\n", when.UTC().Format("2006-01-02 15:04 UTC"))
	for _, note := range append(notes, f.Notes...) {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	b.WriteString("\n| mark | work | contestant | compared with | measure | ratio: median (p25–p75) | goal | verdict |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range f.Comparisons {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n",
			c.Mark, c.Work, c.Subject, c.Baseline, c.Measure, c.Ratio, c.Goal, c.verdict())
	}
	b.WriteString("\nFor information, medians; they hold for this machine at this minute only:\n\n" +
		"| mark | work | contestant | µs of CPU per request | requests/s | load generator busy | backend busy |\n|---|---|---|---|---|---|---|\n")
	for _, a := range f.Absolutes {
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %.0f | %.0f %% | %.0f %% |\n",
			a.Mark, a.Work, a.Contestant, a.CPUPerRequest, a.Rate, 100*a.LoadBusy, 100*a.BackendBusy)
	}
	return b.String()
}
