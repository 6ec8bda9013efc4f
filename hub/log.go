package hub

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// logWriter gathers log lines and writes them together: one record per message
// must not cost one system call per message. Warnings and errors are written at
// once, with all that was gathered before them.
type logWriter struct {
	mu  sync.Mutex
	out io.Writer
	buf []byte
	// wake starts the timer that bounds how long a line may wait.
	timer   *time.Timer
	waiting bool
}

const (
	logBuffer = 64 << 10
	logDelay  = 100 * time.Millisecond
)

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{out: out, buf: make([]byte, 0, logBuffer)}
	w.timer = time.AfterFunc(time.Hour, w.Flush)
	w.timer.Stop()
	return w
}

func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf)+len(line) > logBuffer {
		w.flush()
	}
	w.buf = append(w.buf, line...)
	if !w.waiting {
		w.waiting = true
		w.timer.Reset(logDelay)
	}
	return len(line), nil
}

// Flush writes what was gathered.
func (w *logWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

func (w *logWriter) flush() {
	w.waiting = false
	if len(w.buf) > 0 {
		_, _ = w.out.Write(w.buf) // there is nowhere to report a broken log to
		w.buf = w.buf[:0]
	}
}

// promptHandler flushes after everything that is worth a warning.
type promptHandler struct {
	slog.Handler
	writer *logWriter
}

func (h promptHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.writer.Flush()
	}
	return err
}

func (h promptHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return promptHandler{h.Handler.WithAttrs(attrs), h.writer}
}

func (h promptHandler) WithGroup(name string) slog.Handler {
	return promptHandler{h.Handler.WithGroup(name), h.writer}
}

func newLogger(cfg Config, w *logWriter) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.New(promptHandler{slog.NewJSONHandler(w, options), w})
	}
	return slog.New(promptHandler{slog.NewTextHandler(w, options), w})
}
