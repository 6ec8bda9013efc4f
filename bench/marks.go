//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The names of the contestants.
const (
	nginxName   = "nginx"
	nginx2Name  = "nginx-2"
	haproxyName = "haproxy"
	busbarName  = "busbar"
)

// mark is one of the goals that the project sets itself for speed.
type mark struct {
	ID string
	// Work is the request that is measured, Goal the bound of its ratio.
	Work    work
	Goal    goal
	measure func(*lineup, context.Context, mark) (findings, error)
}

// marks are all that this command knows.
func marks() []mark {
	return []mark{
		{ID: "P1", Work: putLocation(), Goal: goal{Most: 2.2, Judged: true}, measure: (*lineup).routed},
		{ID: "P2", Work: patchEVSE(), Goal: goal{Most: 2.4, Judged: true}, measure: (*lineup).routed},
		{ID: "P4", Work: broadcastWork(), Goal: goal{Most: 2.2, Judged: true}, measure: (*lineup).broadcast},
		{ID: "P5", Work: getPage(), Goal: goal{Most: 2.5, Judged: true}, measure: (*lineup).pages},
		{ID: "P6", Work: applyPatch(), Goal: goal{Most: 0.1, Judged: true}, measure: (*lineup).patchedAndKept},
		{ID: "P8", Work: broadcastWork(), Goal: goal{Least: 0.95, Judged: true}, measure: (*lineup).isolated},
		{ID: "P9", Work: patchEVSE(), Goal: goal{Most: 1.1, Judged: true}, measure: (*lineup).flat},
	}
}

// chosenMarks are those in a comma-separated list.
func chosenMarks(list string) ([]mark, error) {
	all := marks()
	var chosen []mark
	for id := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(m mark) bool { return strings.EqualFold(m.ID, strings.TrimSpace(id)) })
		if i < 0 {
			return nil, fmt.Errorf("no mark is called %q", id)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// compare is the line about the CPU per request of two contestants.
func (m mark) compare(rounds []round, subject, baseline string, g goal) comparison {
	return comparison{
		Mark: m.ID, Work: m.Work.Name, Measure: cpuMeasure, Subject: subject, Baseline: baseline,
		Ratio: cpuRatio(rounds, subject, baseline), Goal: g,
	}
}

// lineup is the stage with the contestants that most marks are about: two
// nginx and HAProxy before the same field. They stay up for the whole run.
type lineup struct {
	*stage
	field                   field
	nginx1, nginx2, haproxy *contestant
	// busbar starts with the first mark that needs it.
	busbar *contestant
	// stock, too.
	stock *stock
}

// openLineup starts the proxies.
func openLineup(ctx context.Context, s *stage) (*lineup, error) {
	f, err := newField(s.opts.Parties, s.opts.Platforms)
	if err != nil {
		return nil, err
	}
	all := &lineup{stage: s, field: f}
	if all.nginx1, err = s.nginx(ctx, nginxName, f); err != nil {
		return nil, err
	}
	if all.nginx2, err = s.nginx(ctx, nginx2Name, f); err != nil {
		return nil, err
	}
	if all.haproxy, err = s.haproxy(ctx, haproxyName, f); err != nil {
		return nil, err
	}
	return all, nil
}

// routed compares the cost of one kind of routed request (P1, P2), and the
// throughput on the same cores (P3), which is told but not judged.
func (l *lineup) routed(ctx context.Context, m mark) (findings, error) {
	if l.busbar == nil {
		var err error
		if l.busbar, err = l.hub(ctx, busbarName, l.field); err != nil {
			return findings{}, err
		}
	}
	rounds, err := l.measure(ctx, m.Work, l.nginx1, l.nginx2, l.haproxy, l.busbar)
	if err != nil {
		return findings{}, err
	}
	throughput := comparison{
		Mark: "P3", Work: m.Work.Name, Measure: rateMeasure, Subject: busbarName, Baseline: nginxName,
		Ratio: rateRatio(rounds, busbarName, nginxName), Goal: goal{Least: 0.65},
	}
	return findings{
		Comparisons: []comparison{
			m.compare(rounds, nginx2Name, nginxName, goal{}),
			m.compare(rounds, haproxyName, nginxName, goal{}),
			m.compare(rounds, busbarName, nginxName, m.Goal),
			throughput,
		},
		Absolutes: absolutes(m, rounds),
	}, nil
}

// flat compares a hub with many parties to one with few (P9).
func (l *lineup) flat(ctx context.Context, m mark) (findings, error) {
	few, err := l.hubOf(ctx, l.opts.Few)
	if err != nil {
		return findings{}, err
	}
	many, err := l.hubOf(ctx, l.opts.Many)
	if err != nil {
		return findings{}, err
	}
	rounds, err := l.measure(ctx, m.Work, l.nginx1, l.nginx2, few, many)
	if err != nil {
		return findings{}, err
	}
	return findings{
		Comparisons: []comparison{
			m.compare(rounds, nginx2Name, nginxName, goal{}),
			m.compare(rounds, many.Name, few.Name, m.Goal),
		},
		Absolutes: absolutes(m, rounds),
	}, nil
}

// hubOf starts a Busbar with that many parties, as many on each platform as
// the others have.
func (l *lineup) hubOf(ctx context.Context, parties int) (*contestant, error) {
	perPlatform := max(1, l.opts.Parties/l.opts.Platforms)
	of, err := newField(parties, max(2, parties/perPlatform))
	if err != nil {
		return nil, err
	}
	l.opts.Say("registering %d parties on %d platforms", of.parties(), len(of))
	return l.hub(ctx, fmt.Sprintf("%s-%d", busbarName, parties), of)
}
