package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// Recorder is the journal. It implements routing.Journal.
type Recorder struct {
	cfg   Config
	codec *codec
	// full wakes the scribe when a batch is full, written the writer when there
	// is a segment to store.
	full, written chan struct{}
	live          *live
	pulse         *pulse
	// exchange is nil if there are no other replicas.
	exchange *exchange
	since    time.Time

	// mu guards what follows. Record holds it for one copy.
	mu   sync.Mutex
	open *batch
	// sealed batches wait to become segments, in their order; waiting segments
	// wait to be stored.
	sealed  []*batch
	waiting []Segment
	// held is the size of the open and the sealed batches, in records; bytes are
	// those of their texts, which senders choose.
	held    int
	bytes   int
	dropped int64
	// seals counts the batches that were sealed.
	seals int
}

// Config wires a Recorder.
type Config struct {
	// Store keeps the segments. Nil keeps the newest in memory, and no more.
	Store   Store
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Retention is how long records are kept; zero is forever.
	Retention time.Duration
	// Hub is the hub's own party, to which broadcasts are addressed.
	Hub ocpi.PartyKey
	// Feed carries events and figures between replicas. Nil: there is one replica.
	Feed Feed
	// Replica is this one.
	Replica routing.ReplicaID
	// Lanes tells how many legs wait for which platform here, which the others are
	// shown. Nil: none.
	Lanes func() map[parties.PlatformID]int
}

const (
	// batchSize is how many records make a segment, batchAge how old the first
	// of them may become before that.
	batchSize = 1000
	batchAge  = time.Second
	// heldMost bounds the records that are not yet in a segment, heldBytes the bytes
	// of their texts.
	heldMost  = 100 * batchSize
	heldBytes = 64 << 20
)

// batch collects records until it is a segment. What is in it never changes, so
// that a copy of the slices can be read without the lock.
type batch struct {
	messages []routing.Message
	legs     []routing.Legs
	size     int
	bytes    int
}

// newBatch has room for twice what the one before had: a quiet hub needs little.
func newBatch(before int) *batch {
	return &batch{messages: make([]routing.Message, 0, min(16+2*before, batchSize))}
}

// New makes a Recorder. Run writes what it takes note of.
func New(cfg Config) *Recorder {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{
		cfg: cfg, codec: newCodec(cfg.Hub), full: make(chan struct{}, 1), written: make(chan struct{}, 1),
		live: newLive(), pulse: newPulse(), open: newBatch(0), since: time.Now(),
	}
	r.exchange = newExchange(cfg.Feed, r.live.heard)
	r.register(cfg.Metrics)
	return r
}

// Record implements routing.Journal. The strings of a message are copies that
// the gateway made for this request, so that they need no other.
func (r *Recorder) Record(m *routing.Message) {
	bytes := len(m.CorrelationID) + len(m.RequestID) + len(m.Path) + len(m.Detail) + len(m.Module)
	r.mu.Lock()
	if r.room(1, bytes) {
		r.open.messages = append(r.open.messages, *m)
		r.grow(1, bytes)
	}
	r.mu.Unlock()
}

// RecordLegs implements routing.Journal.
func (r *Recorder) RecordLegs(l *routing.Legs) {
	kept := *l
	kept.Failed = append([]routing.FailedLeg(nil), l.Failed...)
	size, bytes := 1+len(kept.Failed), len(l.CorrelationID)+len(l.Module)
	for i := range kept.Failed {
		bytes += len(kept.Failed[i].Detail)
	}
	r.mu.Lock()
	if r.room(size, bytes) {
		r.open.legs = append(r.open.legs, kept)
		r.grow(size, bytes)
	}
	r.mu.Unlock()
}

// room tells whether the buffer takes so many records; it counts them as
// dropped when it does not.
func (r *Recorder) room(size, bytes int) bool {
	if r.held+size > heldMost || r.bytes+bytes > heldBytes {
		r.dropped += int64(size)
		return false
	}
	return true
}

// grow notes what was added to the open batch, and seals it when it is full.
func (r *Recorder) grow(size, bytes int) {
	r.held, r.bytes = r.held+size, r.bytes+bytes
	r.open.size, r.open.bytes = r.open.size+size, r.open.bytes+bytes
	if r.open.size >= batchSize {
		r.seal()
		notify(r.full)
	}
}

func (r *Recorder) seal() {
	r.seals++
	r.sealed = append(r.sealed, r.open)
	r.open = newBatch(len(r.open.messages))
}

// notify leaves a note that one is waiting.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run writes segments, and forgets what is older than the retention, until ctx
// ends; then it writes what is left.
func (r *Recorder) Run(ctx context.Context) {
	// The writer outlives the scribe, since it stores what that leaves.
	scribed := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { defer close(scribed); r.scribe(ctx) })
	running.Go(func() { r.write(scribed) })
	if r.cfg.Store != nil && r.cfg.Retention > 0 {
		running.Go(func() { r.forget(ctx) })
	}
	if r.exchange != nil {
		running.Go(func() { r.courier(ctx) })
		running.Go(func() { r.exchange.listen(ctx) })
	}
	running.Wait()
}

const (
	forgetEvery   = time.Hour
	forgetTimeout = 5 * time.Minute
)

// forget drops segments that are older than the retention.
func (r *Recorder) forget(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, forgetTimeout)
		n, err := r.cfg.Store.ForgetSegments(asking, time.Now().Add(-r.cfg.Retention))
		cancel()
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("forget old journal segments", "error", err)
		} else if n > 0 {
			r.cfg.Logger.Debug("old journal segments forgotten", "segments", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
