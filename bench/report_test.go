//go:build linux

package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGoals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		goal  goal
		ratio float64
		met   bool
	}{
		{goal{Most: 2.2}, 2.2, true},
		{goal{Most: 2.2}, 2.201, false},
		{goal{Least: 0.65}, 0.65, true},
		{goal{Least: 0.65}, 0.64, false},
	} {
		if got := c.goal.met(c.ratio); got != c.met {
			t.Errorf("%s with %v: %v", c.goal, c.ratio, got)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	at := func(ratio float64) spread { return spread{ratio - 0.1, ratio, ratio + 0.1} }
	f := findings{
		Comparisons: []comparison{
			{"P1", "PUT Location", cpuMeasure, "nginx-2", "nginx", at(1), goal{}},
			{"P1", "PUT Location", cpuMeasure, "busbar", "nginx", at(2.1), goal{Most: 2.2, Judged: true}},
			{"P2", "PATCH EVSE", cpuMeasure, "busbar", "nginx", at(2.5), goal{Most: 2.4, Judged: true}},
			{"P3", "PATCH EVSE", rateMeasure, "busbar", "nginx", at(0.5), goal{Least: 0.65}},
		},
		Absolutes: []absolute{{"P1", "PUT Location", "nginx", 15.62, 126492.3, 0.88, 0.9}},
	}
	if got := f.missed(); !slices.Equal(got, []string{"P2"}) {
		t.Errorf("missed %v, want P2 alone: P3 is not judged", got)
	}
	text := f.markdown(time.Date(2026, 3, 16, 10, 10, 2, 0, time.UTC), []string{"a machine"})
	wantLines(t, text,
		"# Busbar measured, 2026-03-16 10:10 UTC\n",
		"- a machine\n",
		"| P1 | PUT Location | nginx-2 | nginx | CPU per request | 1.00 (0.90–1.10) |  |  |\n",
		"| P1 | PUT Location | busbar | nginx | CPU per request | 2.10 (2.00–2.20) | ≤ 2.20 | met |\n",
		"| P2 | PATCH EVSE | busbar | nginx | CPU per request | 2.50 (2.40–2.60) | ≤ 2.40 | **missed** |\n",
		"| P3 | PATCH EVSE | busbar | nginx | requests/s | 0.50 (0.40–0.60) | ≥ 0.65 | **missed**, not judged |\n",
		"| P1 | PUT Location | nginx | 15.6 | 126492 | 88 % | 90 % |\n",
	)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"-marks", "p9,P1", "-rounds", "7", "-o", "x.md", "-partners", "block"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Marks) != 2 || o.Marks[0].ID != "P9" || o.Marks[1].ID != "P1" || o.Plan.Rounds != 7 || o.Output != "x.md" || o.Partners != blocking {
		t.Errorf("options %+v", o)
	}
	for _, bad := range []string{"-marks=P77", "-rounds=0", "-slice=1ms", "more", "-nonsense", "-partners=sleep"} {
		if _, err := parseOptions(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}
