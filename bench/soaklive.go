//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// When what happens, in parts of the soak.
const (
	pullsBegin   = 0.05
	troublesFrom = 0.10 // some receivers hang, some are slow
	awayFrom     = 0.25
	awayUntil    = 0.55
)

// live lets the country live for the duration of the soak.
func (s *soaking) live(ctx context.Context) error {
	s.opts.Say("%.0f changes of status/s to %d receivers, %.0f direct messages/s, for %v",
		s.opts.Rate, len(s.field.receivers), s.opts.Direct, s.opts.Duration)
	s.drive, s.direct, s.watch = newDrive(s), newDirectTraffic(s), &watching{}
	if err := s.measureAt(ctx, "soak begins"); err != nil {
		return err
	}
	before, err := s.used()
	if err != nil {
		return err
	}
	s.begun = time.Now()
	if err := s.whole(ctx); err != nil {
		return err
	}
	after, err := s.used()
	s.report.CPU = after - before
	s.report.Took = time.Since(s.begun)
	return errors.Join(err, s.watch.err, s.measureAt(ctx, "soak ends"))
}

// whole runs all that happens at the same time, and waits for its end.
func (s *soaking) whole(ctx context.Context) error {
	during, end := context.WithTimeout(ctx, s.opts.Duration)
	defer end()
	var running sync.WaitGroup
	failures := make(chan error, 3)
	running.Go(func() { s.look(during, ctx) })
	running.Go(func() { s.control(during, ctx) })
	running.Go(func() { failures <- s.direct.obey(during, ctx) })
	running.Go(func() { failures <- s.troubles(during, ctx) })
	running.Go(func() {
		if !pause(during, s.at(pullsBegin)) {
			failures <- nil
			return
		}
		err := s.pullAll(during)
		if during.Err() != nil {
			err = nil // cut off: the report says how many were done
		}
		failures <- err
	})
	running.Go(func() {
		every(ctx, s.opts.Direct, s.opts.Duration, directAtOnce, func(time.Time) { s.direct.send(ctx) })
	})
	every(ctx, s.opts.Rate, s.opts.Duration, pushesAtOnce, func(due time.Time) { s.drive.push(ctx, due) })
	running.Wait()
	var err error
	for range cap(failures) {
		err = errors.Join(err, <-failures)
	}
	return errors.Join(err, context.Cause(ctx))
}

// at is how long until a part of the soak has passed.
func (s *soaking) at(part float64) time.Duration {
	return time.Until(s.begun.Add(time.Duration(part * float64(s.opts.Duration))))
}

// troubles make some receivers hang, some slow, and some go away and come back.
func (s *soaking) troubles(during, ctx context.Context) error {
	if !pause(during, s.at(troublesFrom)) {
		return nil
	}
	err := errors.Join(s.moods(ctx, s.field.in(hungUp), hungUp), s.moods(ctx, s.field.in(slow), slow))
	if err != nil || !pause(during, s.at(awayFrom)) {
		return err
	}
	left := time.Now()
	if err := s.moods(ctx, s.field.in(away), away); err != nil || !pause(during, s.at(awayUntil)) {
		return err
	}
	if err := s.connections(ctx, "while some were away"); err != nil {
		return err
	}
	if err := s.moods(ctx, s.field.in(away), healthy); err != nil {
		return err
	}
	for _, p := range s.field.in(away) {
		if err := s.catchUp(ctx, p, left); err != nil {
			return fmt.Errorf("%s comes back: %w", p.Name, err)
		}
	}
	return nil
}

// connections notes how many platforms are CONNECTED.
func (s *soaking) connections(ctx context.Context, when string) error {
	n, err := s.hubs[0].seat.connected(ctx)
	s.report.Connections = append(s.report.Connections, fmt.Sprintf("%d %s", n, when))
	return err
}

// calmLooks, a tenth of a second apart, find nothing under way before it is
// believed: something may be between two replicas.
const calmLooks = 10

// drain lets all receivers recover and waits until nothing is under way.
func (s *soaking) drain(ctx context.Context) error {
	for _, m := range []mood{hungUp, slow, away} {
		if err := s.moods(ctx, s.field.in(m), healthy); err != nil {
			return err
		}
	}
	begin := time.Now()
	for calm := 0; ; {
		m, err := s.metrics(ctx)
		if err != nil {
			return err
		}
		s.report.Undelivered = uint64(m.sum(queueMetric))
		if m.has(outboxMetric) {
			open, err := s.record.open(ctx)
			if err != nil {
				return err
			}
			s.report.Undelivered += open
		}
		if s.report.Undelivered > 0 {
			calm, s.report.Drained = 0, time.Since(begin)
		} else {
			calm++
		}
		if calm == calmLooks || s.report.Drained > s.opts.DrainLimit {
			s.opts.Say("%d legs under way after %.1f s", s.report.Undelivered, s.report.Drained.Seconds())
			return s.connections(ctx, "at the end")
		}
		if !pause(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// count compares what was accepted with what everybody has.
func (s *soaking) count(ctx context.Context) error {
	r := &s.report
	if err := s.drive.truth(ctx); err != nil {
		return err
	}
	if err := s.country(ctx, "report", nil, &r.Country); err != nil {
		return err
	}
	for i := range s.hubs {
		n, err := s.differing(ctx, i)
		if err != nil {
			return err
		}
		r.Differing = append(r.Differing, n)
	}
	m, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	r.Legs = m.legs()
	r.Pause, r.Collections = m.most(`go_gc_duration_seconds{quantile="1"}`), m.sum("go_gc_duration_seconds_count")
	r.JournalDropped = m.sum("busbar_journal_dropped_total")
	r.Accepted, r.Refused, r.Unsure = s.drive.accepted, s.drive.refused, s.drive.unsure
	r.Pulls, r.Watch, r.Answers = s.pulls, s.watch, &s.drive.answers
	r.Direct, r.Lone, r.Wanted, r.Timed = s.direct.kinds, len(s.hubs) == 1, s.opts.locations(), !s.opts.NotTimed
	r.Example = s.drive.example + s.direct.example
	if r.Size, err = s.record.size(ctx); err != nil {
		return err
	}
	if r.JournalRecords, r.JournalSize, err = s.record.journal(ctx); err != nil {
		return err
	}
	return s.measureAt(ctx, "drained")
}

// measureAt notes the memory of all replicas.
func (s *soaking) measureAt(ctx context.Context, when string) error {
	memory, err := s.memory()
	if err != nil {
		return err
	}
	m, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	size, err := s.record.size(ctx)
	s.report.Stages = append(s.report.Stages, soakStage{
		When: when, Memory: memory, Heap: int64(m.sum("go_memstats_heap_alloc_bytes")), Goroutines: int(m.sum("go_goroutines")), Size: size,
	})
	return err
}

// notes say where and how it was measured.
func (s *soaking) notes() []string {
	o := s.opts
	allowed, _ := allowedCores()
	return []string{
		fmt.Sprintf("%s, %d cores, shared by the hub, all its partners and the database", cpuModel(), len(allowed)),
		firstLine(o.Busbar, "version"),
		fmt.Sprintf("%d replicas on %s; %d platforms, %d of which receive Locations: %d hang, %d are slow, %d are away for a while",
			o.Replicas, s.record.name, o.Platforms, len(s.field.receivers), s.field.hung, s.field.slow, s.field.away),
		fmt.Sprintf("%v of %.0f changes/s and %.0f direct messages/s, seed %d", o.Duration, o.Rate, o.Direct, o.Seed),
	}
}
