package storagetest

import (
	"bytes"
	"log/slog"
	"sync"
)

// Logs keeps what was logged, by any goroutine.
type Logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Logger logs to it.
func (l *Logs) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was logged.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
