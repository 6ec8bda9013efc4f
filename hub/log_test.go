package hub

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder keeps every write apart.
type recorder struct {
	mu     sync.Mutex
	writes []string
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, string(p))
	return len(p), nil
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.writes...)
}

func TestLog_LinesWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &recorder{}
		logger := newLogger(Config{}, newLogWriter(out))
		logger.Info("one")
		logger.Info("two")
		time.Sleep(logDelay - 1)
		synctest.Wait()
		if got := out.all(); len(got) != 0 {
			t.Errorf("written before the delay has passed: %q", got)
		}
		logger.Info("three")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		got := out.all()
		if len(got) != 1 || strings.Count(got[0], "\n") != 3 {
			t.Fatalf("writes %q, want one of three lines", got)
		}
		logger.Info("four")
		time.Sleep(logDelay)
		synctest.Wait()
		if got = out.all(); len(got) != 2 || !strings.Contains(got[1], "msg=four") {
			t.Errorf("writes %q, want a second one", got)
		}
	})
}

func TestLog_AWarningTakesAllBeforeItAlong(t *testing.T) {
	t.Parallel()
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelError} {
		out := &recorder{}
		w := newLogWriter(out)
		logger := newLogger(Config{}, w)
		logger.Info("first")
		logger.With("a", 1).WithGroup("g").Log(t.Context(), level, "second", "b", 2)
		got := out.all()
		if len(got) != 1 || !strings.Contains(got[0], "msg=first") || !strings.Contains(got[0], "msg=second a=1 g.b=2") {
			t.Errorf("%s: writes %q, want one of both lines", level, got)
		}
	}
}

func TestLog_AFullBufferIsWritten(t *testing.T) {
	t.Parallel()
	out := &recorder{}
	w := newLogWriter(out)
	line := bytes.Repeat([]byte("x"), logBuffer/2)
	for range 2 {
		if n, err := w.Write(line); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if got := out.all(); len(got) != 0 {
		t.Errorf("%d writes while the buffer has room", len(got))
	}
	_, _ = w.Write([]byte("y"))
	if got := out.all(); len(got) != 1 || len(got[0]) != logBuffer {
		t.Errorf("%d writes, want the full buffer", len(got))
	}
	// A line larger than the buffer passes whole.
	_, _ = w.Write(bytes.Repeat([]byte("z"), 2*logBuffer))
	w.Flush()
	if got := strings.Join(out.all(), ""); len(got) != 3*logBuffer+1 || !strings.HasSuffix(got, "z") {
		t.Errorf("%d bytes, want %d", len(got), 3*logBuffer+1)
	}
}

func TestLog_FlushLosesNothing_InOrder(t *testing.T) {
	t.Parallel()
	out := &recorder{}
	w := newLogWriter(out)
	logger := newLogger(Config{LogJSON: true}, w)
	const goroutines, lines = 8, 500
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range lines {
				level := slog.LevelInfo
				if i%97 == 0 {
					level = slog.LevelWarn
				}
				logger.Log(t.Context(), level, "line", "g", g, "i", i)
				if i%131 == 0 {
					w.Flush()
				}
			}
		})
	}
	all.Wait()
	w.Flush()
	next := [goroutines]int{}
	for line := range strings.Lines(strings.Join(out.all(), "")) {
		var record struct{ G, I int }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("a damaged line: %v: %q", err, line)
		}
		if record.I != next[record.G] {
			t.Fatalf("goroutine %d: line %d, want %d", record.G, record.I, next[record.G])
		}
		next[record.G]++
	}
	for g, n := range next {
		if n != lines {
			t.Errorf("goroutine %d: %d lines, want %d", g, n, lines)
		}
	}
	before := len(out.all())
	if w.Flush(); len(out.all()) != before {
		t.Error("a Flush of nothing writes")
	}
}

func TestLog_LevelAndFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg   Config
		lines int
		start string
	}{
		{Config{LogLevel: slog.LevelInfo}, 3, "time="},
		{Config{LogLevel: slog.LevelDebug}, 4, "time="},
		{Config{LogLevel: slog.LevelError, LogJSON: true}, 1, `{"time":`},
	} {
		out := &recorder{}
		w := newLogWriter(out)
		logger := newLogger(c.cfg, w)
		logger.Debug("d")
		logger.Info("i")
		logger.Warn("w")
		logger.Error("e")
		w.Flush()
		got := strings.Join(out.all(), "")
		if strings.Count(got, "\n") != c.lines || !strings.HasPrefix(got, c.start) {
			t.Errorf("%+v: %q", c.cfg, got)
		}
	}
}
