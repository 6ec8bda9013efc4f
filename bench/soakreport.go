//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The goals of a soak (P10).
const (
	// soakLag bounds the 99th percentile of the lag of the receivers that were
	// healthy all the time, since the push was due.
	soakLag = time.Second
	// soakGrowth bounds what the memory grew by over the soak, from the second
	// fifth to the last, as a part; soakGrowthRoom, in bytes, is allowed to any.
	soakGrowth     = 0.15
	soakGrowthRoom = 128 << 20
)

// soakReport is what a soak found out.
type soakReport struct {
	// Wanted are the Locations that were to be there, Raw the bytes of those that
	// are.
	Wanted, Locations int
	Raw               int64
	FillTook, Took    time.Duration
	Stages            []soakStage
	CPU               time.Duration
	Connections       []string

	// Accepted are the pushes answered 1000, Refused those with another answer,
	// Unsure those with none; Example is one of them, or of the direct messages.
	Accepted, Refused, Unsure int
	Example                   string
	Answers                   *lags
	Country                   countryReport
	// Legs are the hub's, by outcome.
	Legs map[string]uint64
	// Undelivered are the legs under way, and the broadcasts open in the record,
	// when waiting for them ended; Drained is when there were none.
	Undelivered uint64
	Drained     time.Duration
	// Differing are the EVSEs of which a replica has not the last state.
	Differing []int
	Direct    map[traffic]*directCount
	Pulls     pulling
	Watch     *watching
	// Lone tells that there is one replica: then nothing may come twice. Timed
	// tells that lag and memory are judged.
	Lone, Timed bool

	Pause, Collections, JournalDropped float64
	Size, JournalRecords, JournalSize  int64
}

// soakStage is the memory at some time: resident, and Go's heap.
type soakStage struct {
	When         string
	Memory, Heap int64
	Goroutines   int
	Size         int64 // of the database
}

// class sums up the receivers that were in a mood at worst.
type class struct {
	receivers int
	receiverReport
}

func (r *soakReport) class(of ...mood) class {
	var c class
	for _, one := range r.Country.Receivers {
		if !slices.Contains(of, one.Worst) {
			continue
		}
		c.receivers++
		c.Pushes += one.Pushes
		c.Presents += one.Presents
		c.States += one.States
		c.Skipped += one.Skipped
		c.Missed += one.Missed
		c.Stale += one.Stale
		c.Unknown += one.Unknown
		c.Duplicates += one.Duplicates
		c.Disordered += one.Disordered
		c.Unreadable += one.Unreadable
		c.P99, c.Max = max(c.P99, one.P99), max(c.Max, one.Max)
	}
	return c
}

// soakGoal is one line that is judged.
type soakGoal struct {
	what, got, goal string
	met             bool
}

func (r *soakReport) goals() []soakGoal {
	all, sound, hanging := r.class(healthy, slow, hungUp, away), r.class(healthy, slow), r.class(hungUp)
	goals := []soakGoal{
		{"Locations filled", fmt.Sprint(r.Locations), fmt.Sprint(r.Wanted), r.Locations == r.Wanted},
		{"pushes not accepted", fmt.Sprint(r.Refused + r.Unsure), "0", r.Refused+r.Unsure == 0 && r.Accepted > 0},
		{"accepted × healthy and slow receivers = delivered + superseded",
			fmt.Sprintf("%d × %d = %d + %d", r.Accepted, sound.receivers, sound.States, sound.Skipped),
			"equal", uint64(r.Accepted)*uint64(sound.receivers) == sound.States+sound.Skipped},
		{"superseded by the hub's own count", fmt.Sprint(r.Legs["superseded"]), fmt.Sprintf("≥ %d", sound.Skipped), r.Legs["superseded"] >= sound.Skipped},
		{"lost: states that no newer one replaced", fmt.Sprint(sound.Missed), "0", sound.Missed == 0},
		{"EVSEs of which a healthy or slow receiver lacks the last state", fmt.Sprint(sound.Stale), "0", sound.Stale == 0},
		{"EVSEs of which a replica lacks the last state", fmt.Sprint(r.Differing), "0", !slices.ContainsFunc(r.Differing, func(n int) bool { return n != 0 })},
		{"answered legs by the hub's count = by the receivers'", fmt.Sprintf("%d = %d", r.Legs["ok"], all.Pushes), "equal", r.Legs["ok"] == all.Pushes},
		{"states that nobody accepted, or unreadable pushes", fmt.Sprint(all.Unknown + all.Unreadable), "0", all.Unknown+all.Unreadable == 0},
		{"pushes out of order", fmt.Sprint(all.Disordered), "0", all.Disordered == 0},
		{"legs under way, or broadcasts open in the record, after the end", fmt.Sprint(r.Undelivered), "0", r.Undelivered == 0},
		{"states that hanging receivers missed, and failed legs by the hub's count", fmt.Sprintf("%d, %d", hanging.Missed, r.failed()),
			"not more than failed", hanging.Missed <= r.failed()},
		r.directGoal(),
	}
	if r.Lone {
		goals = append(goals, soakGoal{"pushes that came twice", fmt.Sprint(all.Duplicates), "0", all.Duplicates == 0})
	}
	if r.Timed {
		most, growth := r.growth()
		goals = append(goals,
			soakGoal{"lag p99 of healthy receivers", millis(r.Country.P99), "< " + millis(soakLag), r.Country.P99 < soakLag},
			soakGoal{"memory grown over the soak", megabytes(growth), "≤ " + megabytes(most), growth <= most})
	}
	return goals
}

// failed are the legs that ended neither with an answer nor by a newer state.
func (r *soakReport) failed() (sum uint64) {
	for outcome, n := range r.Legs {
		if outcome != "ok" && outcome != "superseded" {
			sum += n
		}
	}
	return sum
}

// growth is what the memory grew by, and what it may.
func (r *soakReport) growth() (allowed, grown int64) {
	early, late := r.Watch.median(0.2, 0.4), r.Watch.median(0.8, 1)
	return max(soakGrowthRoom, int64(soakGrowth*float64(early))), late - early
}

// directGoal holds that every direct message arrived that was answered well, and
// that all were.
func (r *soakReport) directGoal() soakGoal {
	var ok, failed, arrived uint64
	equal := true
	for kind, c := range r.Direct {
		ok += c.OK
		failed += c.Failed
		equal = equal && c.OK == r.Country.Direct[kind]
	}
	for _, n := range r.Country.Direct {
		arrived += n
	}
	return soakGoal{
		"direct messages answered = arrived, failed", fmt.Sprintf("%d = %d, %d", ok, arrived, failed), "equal, 0",
		equal && ok == arrived && failed == 0,
	}
}

// missed are the goals that were.
func (r *soakReport) missed() []string {
	var missed []string
	for _, g := range r.goals() {
		if !g.met {
			missed = append(missed, fmt.Sprintf("%s: %s, not %s", g.what, g.got, g.goal))
		}
	}
	return missed
}

// markdown is the report; notes say when, where and how it was measured.
func (r *soakReport) markdown(when time.Time, notes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Busbar soaked, %s\n\n", when.UTC().Format("2006-01-02 15:04 UTC"))
	for _, note := range append(notes, r.notes()...) {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	b.WriteString("\n| what | found | goal | verdict |\n|---|---|---|---|\n")
	for _, g := range r.goals() {
		verdict := "met"
		if !g.met {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.what, g.got, g.goal, verdict)
	}
	b.WriteString("\n| receivers | number | pushes answered | states seen | superseded | missed | EVSEs stale | whole Locations | twice | out of order | lag p99 of the worst | longest lag |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range []mood{healthy, slow, hungUp, away} {
		c := r.class(m)
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", m, c.receivers, c.Pushes, c.States, c.Skipped,
			c.Missed, c.Stale, c.Presents, c.Duplicates, c.Disordered, millis(c.P99), millis(c.Max))
	}
	b.WriteString("\n| when | resident | Go's heap | goroutines | database |\n|---|---|---|---|---|\n")
	for _, s := range r.Stages {
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %s |\n", s.When, megabytes(s.Memory), megabytes(s.Heap), s.Goroutines, megabytes(s.Size))
	}
	b.WriteString("\n| direct message | answered | failed | p50 | p99 |\n|---|---|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(r.Direct)) {
		c := r.Direct[kind]
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s |\n", kind, c.OK, c.Failed, millis(c.lags.quantile(0.5)), millis(c.lags.quantile(0.99)))
	}
	return b.String()
}

// notes are the figures that are not judged.
func (r *soakReport) notes() []string {
	var delivered uint64
	for _, one := range r.Country.Receivers {
		delivered += one.Pushes
	}
	seconds := r.Took.Seconds()
	w := r.Watch
	notes := []string{
		fmt.Sprintf("filled with %d Locations, %s of documents, in %.0f s: %.0f/s", r.Locations, megabytes(r.Raw), r.FillTook.Seconds(), float64(r.Locations)/r.FillTook.Seconds()),
		fmt.Sprintf("accepted %d (%.0f/s), delivered %d (%.0f/s); a push was answered in %s (p50), %s (p99)", r.Accepted, float64(r.Accepted)/seconds,
			delivered, float64(delivered)/seconds, millis(r.Answers.quantile(0.5)), millis(r.Answers.quantile(0.99))),
		fmt.Sprintf("lag since the push was due, of the receivers that were healthy all the time: p50 %s, p99 %s, longest %s; lanes were empty %.1f s after the last push",
			millis(r.Country.P50), millis(r.Country.P99), millis(r.class(healthy).Max), r.Drained.Seconds()),
		fmt.Sprintf("control, what the machine adds: an empty question to the receivers' process took p50 %s, p99 %s, at most %s; a sleeper woke late by p50 %s, p99 %s, at most %s",
			millis(w.echo.quantile(0.5)), millis(w.echo.quantile(0.99)), millis(w.echoLongest),
			millis(w.overslept.quantile(0.5)), millis(w.overslept.quantile(0.99)), millis(w.sleptLongest)),
		fmt.Sprintf("legs of Locations by the hub's count: %s", counts(r.Legs)),
		fmt.Sprintf("the hub used %.2f cores, %.0f µs a delivery with all else that it did; at most %s resident, %.0f goroutines, %.0f legs under way; %.0f garbage collections, longest pause %.1f ms",
			r.CPU.Seconds()/seconds, float64(r.CPU.Microseconds())/float64(max(1, delivered)), megabytes(w.most()), w.goroutinesMost, w.queueMost, r.Collections, 1000*r.Pause),
		fmt.Sprintf("%d full pulls of %d Locations with %d EVSEs, the longest %.1f s; slowest of %d pages %s; receivers that had been away fetched %d Locations",
			r.Pulls.Done, r.Pulls.Locations, r.Pulls.EVSEs, r.Pulls.Took.Seconds(), r.Pulls.Pages, millis(r.Pulls.Page), r.Pulls.Caught),
		fmt.Sprintf("database %s, in it the journal: %d messages in %s, %.0f not recorded; CONNECTED platforms: %s",
			megabytes(r.Size), r.JournalRecords, megabytes(r.JournalSize), r.JournalDropped, strings.Join(r.Connections, ", ")),
	}
	if r.Example != "" {
		notes = append(notes, "one that failed: "+r.Example)
	}
	return notes
}

func counts(of map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/(1<<20)) }
