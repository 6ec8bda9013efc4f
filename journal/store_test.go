package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
	"busbar/routing"
)

// memoryStore is a Store as package storage implements it.
type memoryStore struct {
	mu       sync.Mutex
	segments []Segment // by rising ID
	failing  error
	attempts int
	// lose fails so many calls after the segment was stored.
	lose int
	// read are the segments that were looked at, opened those whose body was.
	read, opened int
}

func (s *memoryStore) SaveSegment(_ context.Context, segment Segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if s.failing != nil {
		return s.failing
	}
	i, kept := slices.BinarySearchFunc(s.segments, segment.ID, func(g Segment, id string) int { return strings.Compare(g.ID, id) })
	if kept {
		return nil
	}
	s.segments = slices.Insert(s.segments, i, segment)
	if s.lose > 0 {
		s.lose--
		return context.DeadlineExceeded
	}
	return nil
}

func (s *memoryStore) Segments(_ context.Context, since, until time.Time, before string, limit int) ([]Segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Segment
	for _, g := range slices.Backward(s.segments) {
		if len(found) < limit && !g.Last.Before(since) && (until.IsZero() || g.First.Before(until)) && (before == "" || g.ID < before) {
			g.Body = nil
			found = append(found, g)
		}
	}
	s.read += len(found)
	return found, nil
}

func (s *memoryStore) Bodies(_ context.Context, ids []string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bodies := make(map[string][]byte)
	for _, g := range s.segments {
		if slices.Contains(ids, g.ID) {
			bodies[g.ID] = g.Body
		}
	}
	s.opened += len(bodies)
	return bodies, nil
}

func (s *memoryStore) ForgetSegments(_ context.Context, before time.Time) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := len(s.segments)
	s.segments = slices.DeleteFunc(s.segments, func(g Segment) bool { return g.Last.Before(before) })
	return int64(had - len(s.segments)), nil
}

func (s *memoryStore) RewriteSegment(_ context.Context, segment Segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return s.failing
	}
	s.segments = slices.DeleteFunc(s.segments, func(g Segment) bool { return g.ID == segment.ID && segment.Records == 0 })
	for i := range s.segments {
		if g := &s.segments[i]; g.ID == segment.ID {
			g.Body, g.Records = segment.Body, segment.Records
		}
	}
	return nil
}

func (s *memoryStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

func (s *memoryStore) count() (segments, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		records += g.Records
	}
	return len(s.segments), records
}

// run runs a Recorder until end is called, or the test ends.
func run(t *testing.T, cfg Config) (r *Recorder, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r = New(cfg)
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return r, end
}

func party(t *testing.T, s string) ocpi.PartyKey {
	t.Helper()
	key, err := ocpi.ParseParty(s)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// passed is a message that ended just now.
func passed(t *testing.T, id, from, to string) routing.Message {
	t.Helper()
	return routing.Message{
		Time: time.Now(), CorrelationID: id, RequestID: "request-" + id, Method: "PUT", Module: ocpi.ModuleSessions,
		Interface: ocpi.Receiver, Path: "/NL/CPA/S1", From: party(t, from), To: party(t, to), Plan: routing.PlanDirect,
		Outcome: routing.OutcomeOK, HTTPStatus: 200, OCPIStatus: 1000, Duration: 5 * time.Millisecond, Peer: 4 * time.Millisecond,
	}
}

// record takes note of messages, one millisecond after the other.
func record(t *testing.T, r *Recorder, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m := passed(t, id, "NLCPA", "DEMSP")
		r.Record(&m)
		time.Sleep(time.Millisecond) // in a bubble
	}
}

func (p Page) ids() string {
	var ids []string
	for _, item := range p.Items {
		ids = append(ids, item.CorrelationID)
	}
	return strings.Join(ids, " ")
}

func find(t *testing.T, r *Recorder, q Query) Page {
	t.Helper()
	page, err := r.Search(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestRecorder_StoresABatchASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		r, _ := run(t, Config{Store: store})
		record(t, r, "a", "b", "c")
		if got := find(t, r, Query{}).ids(); got != "c b a" {
			t.Errorf("before they are stored: %q", got)
		}
		time.Sleep(2 * time.Second)
		if segments, records := store.count(); segments != 1 || records != 3 {
			t.Errorf("%d segments of %d records", segments, records)
		}
		if got := find(t, r, Query{}).ids(); got != "c b a" {
			t.Errorf("from the store: %q", got)
		}
		if got := find(t, New(Config{Store: store}), Query{}).ids(); got != "c b a" {
			t.Errorf("after a restart: %q", got)
		}
	})
}

func TestRecorder_StoresAThousandAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		r, _ := run(t, Config{Store: store})
		for i := range 2500 {
			m := passed(t, fmt.Sprint(i), "NLCPA", "DEMSP")
			r.Record(&m)
		}
		synctest.Wait()
		if segments, records := store.count(); segments != 2 || records != 2000 {
			t.Errorf("%d segments of %d records at once, want 2 of 2000", segments, records)
		}
	})
}

func TestRecorder_StoresTheRestWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		r, end := run(t, Config{Store: store})
		record(t, r, "a", "b")
		end()
		if _, records := store.count(); records != 2 {
			t.Errorf("%d records in the store, want 2", records)
		}
	})
}

func TestRecorder_OutlastsAStoreThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		store := &memoryStore{failing: errors.New("connection refused")}
		r, end := run(t, Config{Store: store, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		for i := range 60 {
			record(t, r, fmt.Sprint("m", i))
			time.Sleep(time.Second)
		}
		if got := find(t, r, Query{Limit: 2}).ids(); got != "m59 m58" {
			t.Errorf("while it is down: %q", got)
		}
		if store.attempts > 20 {
			t.Errorf("%d attempts in a minute", store.attempts)
		}
		store.fail(nil)
		time.Sleep(time.Minute)
		if _, records := store.count(); records != 60 {
			t.Errorf("%d of 60 records arrived", records)
		}
		end()
		if text := logs.String(); strings.Count(text, "cannot be stored") != 1 || strings.Count(text, "stored again") != 1 {
			t.Errorf("not told once:\n%s", text)
		}
	})
}

// The answer of the store may be lost on its way: the segment is there then, and
// is offered again.
func TestRecorder_ALostAnswerLosesNoRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{lose: 2}
		r, _ := run(t, Config{Store: store})
		record(t, r, "a")
		time.Sleep(2 * time.Second)
		record(t, r, "b")
		time.Sleep(10 * time.Second)
		if segments, records := store.count(); segments != 2 || records != 2 || r.unwritten() != 0 || r.dropped != 0 {
			t.Errorf("%d segments of %d records, %d wait, %d dropped", segments, records, r.unwritten(), r.dropped)
		}
	})
}

func TestRecorder_ForgetsByTheHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		r, _ := run(t, Config{Store: store, Retention: 3 * time.Hour})
		record(t, r, "old")
		time.Sleep(90 * time.Minute)
		record(t, r, "new")
		time.Sleep(90 * time.Minute)
		if got := find(t, r, Query{}).ids(); got != "new old" {
			t.Errorf("within the retention: %q", got)
		}
		time.Sleep(time.Hour)
		if got := find(t, r, Query{}).ids(); got != "new" {
			t.Errorf("behind the retention: %q", got)
		}
	})
}

// Nobody writes, so the buffer fills up: what does not fit is dropped, counted,
// and logged once.
func TestRecorder_IsBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	var logs bytes.Buffer
	r := New(Config{Metrics: registry, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	m := passed(t, "a", "NLCPA", "DEMSP")
	for range heldMost + 7 {
		r.Record(&m)
	}
	r.RecordLegs(&routing.Legs{Failed: make([]routing.FailedLeg, 2)})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
	}
	if got["busbar_journal_dropped_total"] != 10 || got["busbar_journal_waiting_records"] != heldMost {
		t.Errorf("metrics %v", got)
	}
	s := scribe{Recorder: r}
	now := time.Now()
	s.turn(now)
	s.turn(now.Add(time.Second))
	s.turn(now.Add(time.Minute))
	if text := logs.String(); strings.Count(text, "drops records") != 1 || !strings.Contains(text, "dropped=10") {
		t.Errorf("not told once:\n%s", text)
	}
	if r.held != 0 {
		t.Errorf("%d records held after they were written", r.held)
	}
}

// Senders choose the texts of a record: few large ones fill the buffer as well.
func TestRecorder_IsBoundedInBytes(t *testing.T) {
	t.Parallel()
	r := New(Config{})
	m := passed(t, "a", "NLCPA", "DEMSP")
	m.Path, m.CorrelationID, m.RequestID, m.Detail, m.Module = strings.Repeat("x", heldBytes/4), "", "", "", ""
	for range 4 {
		r.Record(&m)
	}
	if r.Record(&m); r.held != 4 || r.dropped != 1 {
		t.Errorf("%d records held, %d dropped, want 4 and 1", r.held, r.dropped)
	}
	r.RecordLegs(&routing.Legs{Failed: []routing.FailedLeg{{Detail: "x"}}})
	if r.held != 4 || r.dropped != 3 {
		t.Errorf("with legs %d records held, %d dropped, want 4 and 3", r.held, r.dropped)
	}
	s := scribe{Recorder: r}
	now := time.Now()
	s.turn(now)
	s.turn(now.Add(time.Second))
	if s.turn(now.Add(time.Minute)); r.bytes != 0 {
		t.Errorf("%d bytes held after they were written", r.bytes)
	}
}

// What waits for the store is bounded too, and the oldest goes first.
func TestRecorder_WaitingIsBounded(t *testing.T) {
	t.Parallel()
	r := New(Config{Store: &memoryStore{}})
	for i := range 5 {
		r.waiting = append(r.waiting, Segment{ID: fmt.Sprint(i), Records: 10, Body: make([]byte, waitingMost/4)})
		r.bound()
	}
	if len(r.waiting) != 4 || r.waiting[0].ID != "1" || r.dropped != 10 {
		t.Errorf("%d wait from %s, %d dropped", len(r.waiting), r.waiting[0].ID, r.dropped)
	}
}

func TestRecorder_DoesNotAllocateForAMessage(t *testing.T) {
	r := New(Config{})
	m := passed(t, "a", "NLCPA", "DEMSP")
	if n := testing.AllocsPerRun(5000, func() { r.Record(&m) }); n > 0 {
		t.Errorf("%v allocations for a message", n)
	}
}
