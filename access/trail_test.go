package access_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"busbar/access"
)

func suspend(target string) access.Entry {
	return access.Entry{Actor: access.Root(), Action: "platform.suspend", Target: target}
}

func newTrail(m *memory) *access.Trail {
	return access.NewTrail(access.TrailConfig{Store: m, Logger: silence})
}

func (m *memory) outcomes() (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		list = append(list, e.Target+" "+string(e.Outcome))
	}
	slices.Sort(list)
	return list
}

func TestTrail_IsBegunAndEnded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	trail := newTrail(m)
	crashed, err := trail.Begin(t.Context(), suspend("crashed"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := trail.Begin(t.Context(), suspend("p1"))
	if err != nil || e.ID <= crashed.ID || e.Time.IsZero() {
		t.Fatalf("%+v, %v, after %s", e, err, crashed.ID)
	}
	e.Outcome = access.Done
	refused := suspend("p2")
	refused.Outcome = access.Refused
	if err := errors.Join(trail.Record(t.Context(), e), trail.Record(t.Context(), refused)); err != nil {
		t.Fatal(err)
	}
	// A hub that ends in between leaves that it was attempted.
	if got, want := m.outcomes(), []string{"crashed attempted", "p1 done", "p2 refused"}; !slices.Equal(got, want) {
		t.Errorf("trail %v, want %v", got, want)
	}
}

func TestTrail_WhatCannotBeBegunIsAnError(t *testing.T) {
	t.Parallel()
	m, down := newMemory(), errors.New("no space left on device")
	m.fail(down)
	if _, err := newTrail(m).Begin(t.Context(), suspend("p1")); !errors.Is(err, down) {
		t.Errorf("%v, want why", err)
	}
}

func TestTrail_EndsAreRecordedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		trail := newTrail(m)
		stop := background(trail.Run)
		e, _ := trail.Begin(t.Context(), suspend("p1"))
		e.Outcome = access.Done
		m.fail(errors.New("down"))
		if trail.Record(t.Context(), e) == nil {
			t.Error("an end that could not be written is no error")
		}
		time.Sleep(time.Hour)
		if got := m.outcomes(); !slices.Equal(got, []string{"p1 attempted"}) {
			t.Errorf("trail %v while the record is down", got)
		}
		m.fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := m.outcomes(); !slices.Equal(got, []string{"p1 done"}) {
			t.Errorf("trail %v a second after the record is back", got)
		}
		stop()
	})
}

// What waits when the hub stops is tried once more, and else told to the log.
func TestTrail_StopsWithWhatIsLate(t *testing.T) {
	t.Parallel()
	for name, stays := range map[string]bool{"the record is back": false, "the record is still down": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				var log strings.Builder
				trail := access.NewTrail(access.TrailConfig{Store: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				m.fail(errors.New("down"))
				for _, target := range []string{"p1", "p2", "p3"} {
					e := suspend(target)
					e.Outcome = access.Done
					_ = trail.Record(t.Context(), e)
				}
				stop := background(trail.Run)
				synctest.Wait() // the first one was tried
				if !stays {
					m.fail(nil)
				}
				stop()
				lost := strings.Count(log.String(), "is lost")
				if got := len(m.outcomes()); got != 3 && !stays || lost != 3 && stays || got+lost != 3 {
					t.Errorf("%d entries, and %d lost", got, lost)
				}
			})
		})
	}
}

func TestTrail_LateEndsAreBounded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	trail := newTrail(m)
	m.fail(errors.New("down"))
	for i := range 1001 {
		err := trail.Record(t.Context(), suspend("p"))
		if givenUp := strings.Contains(err.Error(), "given up"); givenUp != (i == 1000) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

func TestTrail_ForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		trail := access.NewTrail(access.TrailConfig{Store: m, Logger: silence, Retention: 24 * time.Hour})
		stop := background(trail.Run)
		note := func(target string) {
			if _, err := trail.Begin(t.Context(), suspend(target)); err != nil {
				t.Error(err)
			}
		}
		note("first")
		time.Sleep(12 * time.Hour)
		note("second")
		time.Sleep(12*time.Hour + 30*time.Minute) // the first is older than a day, and nobody looked
		if got := m.outcomes(); len(got) != 2 {
			t.Errorf("trail %v", got)
		}
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if got := m.outcomes(); !slices.Equal(got, []string{"second attempted"}) {
			t.Errorf("trail %v after a day and an hour", got)
		}
		stop()
	})
}

func TestTrail_PagesOfASearchMeet(t *testing.T) {
	t.Parallel()
	m := newMemory()
	trail := newTrail(m)
	for range 5 {
		if _, err := trail.Begin(t.Context(), suspend("p")); err != nil {
			t.Fatal(err)
		}
	}
	for limit := 1; limit <= 6; limit++ {
		n, before, pages := 0, "", 0
		for more := true; more; more = before != "" {
			entries, next, err := trail.Search(t.Context(), access.Query{Limit: limit, Before: before})
			if err != nil || len(entries) > limit {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			n, before, pages = n+len(entries), next, pages+1
		}
		if n != 5 || pages != (5+limit-1)/limit {
			t.Errorf("pages of %d: %d entries on %d pages", limit, n, pages)
		}
	}
	for _, cursor := range []string{"x", "00064b7d1c2e3f40a1b2c3d4e5f", strings.Repeat("z", 28), "00064b7d1c2e3f40a1b2c3d4e5f60"} {
		if _, _, err := trail.Search(t.Context(), access.Query{Limit: 1, Before: cursor}); !errors.Is(err, access.ErrCursor) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
	}
}

// Whatever stood in a request, an entry is short and hides nothing.
func TestEntry_IsBoundedAndPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"NLCPA é 日本 😀 \"'<>&\\":    "NLCPA é 日本 😀 \"'<>&\\",
		"a\nb\r\t\x00\x1b[31m":     `a\u000ab\u000d\u0009\u0000\u001b[31m`,
		"\u202eevil\u2066\u200b":   `\u202eevil\u2066\u200b`,
		"\xff\xfe half \xe6\x97":   `\xff\xfe half \xe6\x97`,
		"\ufffd is a character":    "\ufffd is a character",
		"\U000e0041":               `\U000e0041`,
		strings.Repeat("x", 128):   strings.Repeat("x", 128),
		strings.Repeat("x", 129):   strings.Repeat("x", 125) + "…",
		strings.Repeat("é", 64):    strings.Repeat("é", 64),
		strings.Repeat("é", 65):    strings.Repeat("é", 62) + "…",
		strings.Repeat("\x01", 99): strings.Repeat(`\u0001`, 20) + "…",
	} {
		m := newMemory()
		e := suspend(in)
		e.Outcome, e.Detail, e.Remote, e.Forwarded = access.Failed, in+in+in+in+in, in, in
		for range 100 {
			e.Changes = append(e.Changes, access.Change{Field: in, Before: in, After: strings.Repeat(in, 1000)})
		}
		if err := newTrail(m).Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for _, got := range m.entries {
			if got.Target != want || got.Remote != want || got.Forwarded != want {
				t.Errorf("%q: %q, want %q", in, got.Target, want)
			}
			for _, c := range append(got.Changes, access.Change{After: got.Detail}) {
				if len(c.After) > 512 || len(c.Before) > 512 || len(c.Field) > 128 || !utf8.ValidString(c.After) {
					t.Errorf("%q: change %+v", in, c)
				}
			}
			if len(got.Changes) != 32 {
				t.Errorf("%d changes", len(got.Changes))
			}
		}
	}
}
