package simulator

import (
	"maps"
	"sync"
	"time"

	"busbar/ocpi"
)

// Event is one exchange, request and answer, that a platform took part in.
type Event struct {
	Time     time.Time
	Platform string
	// Received tells a request of the hub from one of the platform.
	Received  bool
	Method    string
	Module    ocpi.ModuleID
	Interface ocpi.InterfaceRole
	// Path is the escaped path behind the module; of an absolute URL that was
	// handed out (response_url, Link, Location) its whole path.
	Path          string
	From, To      ocpi.PartyKey
	RequestID     string
	CorrelationID string
	// HTTP and Status are what was answered; Status is 0 for no OCPI envelope.
	HTTP    int
	Status  ocpi.StatusCode
	Message string
	// Err is set when there was no answer at all.
	Err      error
	Duration time.Duration
}

// Stats count exchanges since the start.
type Stats struct {
	// Sent counts requests of the platform, Received those of the hub, Failed
	// the sent ones that got no answer.
	Sent, Received, Failed int64
	// Answered counts the answers that the platform got, by OCPI status.
	Answered map[ocpi.StatusCode]int64
}

// Add sums two counts.
func (s Stats) Add(other Stats) Stats {
	sum := Stats{
		Sent: s.Sent + other.Sent, Received: s.Received + other.Received, Failed: s.Failed + other.Failed,
		Answered: maps.Clone(s.Answered),
	}
	if sum.Answered == nil {
		sum.Answered = map[ocpi.StatusCode]int64{}
	}
	for status, n := range other.Answered {
		sum.Answered[status] += n
	}
	return sum
}

// watcher counts events and passes them on.
type watcher struct {
	observe func(Event) // may be nil

	mu    sync.Mutex
	stats Stats
}

func (w *watcher) note(e Event) {
	w.mu.Lock()
	switch {
	case e.Received:
		w.stats.Received++
	case e.Err != nil:
		w.stats.Sent++
		w.stats.Failed++
	default:
		w.stats.Sent++
		if w.stats.Answered == nil {
			w.stats.Answered = map[ocpi.StatusCode]int64{}
		}
		w.stats.Answered[e.Status]++
	}
	w.mu.Unlock()
	if w.observe != nil {
		w.observe(e)
	}
}

func (w *watcher) snapshot() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats.Add(Stats{})
}
