package parties

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// silentAfter is how long after its last answer the record is taken for silent.
	silentAfter = 2 * compareEvery
	// deafAfter is how long a replica may hear from neither side before it says so.
	deafAfter = 10 * time.Second
)

// hearing is when the two ways to hear of changes last worked. Times are those at
// which a look began: what was changed before it has been heard of.
type hearing struct {
	mu             sync.Mutex
	record, copied time.Time
	deaf           bool
}

func newHearing() *hearing { return &hearing{record: time.Now()} }

func (h *hearing) recordAnswered(began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if began.After(h.record) {
		h.record = began
	}
}

func (h *hearing) copyAnswered(began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.copied = began
}

func (h *hearing) recordIsSilent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.record) > silentAfter
}

// unheard is how long ago it last was sure that no change is missing.
func (h *hearing) unheard() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return min(time.Since(h.record), time.Since(h.copied))
}

// report logs when the replica becomes deaf, and when it hears again.
func (h *hearing) report(log *slog.Logger) {
	unheard := h.unheard()
	h.mu.Lock()
	defer h.mu.Unlock()
	deaf := unheard > deafAfter
	switch {
	case deaf && !h.deaf:
		log.Error("this replica hears of no changes of platforms and agreements, neither from the database nor from Redis; "+
			"it goes on routing by what it knows, and may let in who was suspended", "since", unheard.Round(time.Second))
	case !deaf && h.deaf:
		log.Info("this replica hears of changes of platforms and agreements again")
	}
	h.deaf = deaf
}

func (h *hearing) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_directory_unheard_seconds",
		Help: "How long ago this replica last knew, from the database or from Redis, that no change of platforms and agreements is missing.",
	}, func() float64 { return h.unheard().Seconds() })
}

// Hears tells whether this replica hears of changes. The error is for operators:
// it is no reason to stop routing, which would stop everything where all replicas
// are cut off.
func (f *Follower) Hears() error {
	if unheard := f.heard.unheard(); unheard > deafAfter {
		return fmt.Errorf("changes of platforms and agreements have not been heard of for %s", unheard.Round(time.Second))
	}
	return nil
}
