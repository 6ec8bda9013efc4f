package routing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"busbar/catalog"
	"busbar/parties"
)

// Puller fetches the Locations and Tariffs of CPOs into the catalog, after an
// outage of the hub or of theirs, and after a first registration (O2).
type Puller struct {
	cfg PullerConfig
	// keep is the catalog.
	keep keeping

	mu sync.Mutex
	// asked are the platforms that wait for a pull, each once.
	asked   map[parties.PlatformID]pullOrder
	running map[parties.PlatformID]bool
	changed chan struct{}
}

// PullerConfig wires a Puller.
type PullerConfig struct {
	Directory *parties.Directory
	Hub       parties.Identity
	Catalog   *catalog.Catalog
	// Outbox passes on what was pulled and is new.
	Outbox  *Outbox
	Logger  *slog.Logger
	Timeout time.Duration
	// NewPlatforms pulls after a first registration too.
	NewPlatforms bool
}

// keeping is what a pull needs of the catalog.
type keeping struct {
	loaded func() bool
	counts func() []catalog.Count
	apply  func(context.Context, catalog.Write) (catalog.Applied, error)
}

// pullOrder is a pull that is to be made.
type pullOrder struct {
	// since is zero for everything.
	since time.Time
	// due is when; zero never, until somebody asks again.
	due time.Time
	// failures are the attempts that failed before.
	failures int
}

// retries are the pauses after an attempt that failed.
var retries = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

// Bounds of pulls.
const (
	pullsAtOnce = 4
	// unloadedPause is how long a pull waits for the catalog to be loaded.
	unloadedPause = 5 * time.Second
	// mostPulls bounds the platforms that wait.
	mostPulls = 100_000
)

// NewPuller makes a Puller.
func NewPuller(cfg PullerConfig) *Puller {
	return &Puller{
		cfg: cfg, asked: make(map[parties.PlatformID]pullOrder), running: make(map[parties.PlatformID]bool),
		changed: make(chan struct{}, 1),
		keep: keeping{
			loaded: cfg.Catalog.Loaded, counts: cfg.Catalog.Counts, apply: cfg.Catalog.Apply,
		},
	}
}

// Refresh asks for a pull of what changed at the platform since the time; zero
// is everything. It does not block. Of two orders for one platform the earlier
// time counts.
func (p *Puller) Refresh(id parties.PlatformID, since time.Time) {
	p.order(id, pullOrder{since: since, due: time.Now()})
}

func (p *Puller) order(id parties.PlatformID, o pullOrder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	have, waits := p.asked[id]
	if !waits && len(p.asked) >= mostPulls {
		p.cfg.Logger.Warn("too many platforms wait for a pull; one is not pulled", "platform", id)
		return
	}
	if waits {
		if have.since.Before(o.since) {
			o.since = have.since
		}
		if !have.due.IsZero() && (o.due.IsZero() || have.due.Before(o.due)) {
			o.due, o.failures = have.due, have.failures
		}
	}
	p.asked[id] = o
	p.wake()
}

func (p *Puller) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// Run pulls until ctx ends, and returns when no pull is running any more.
func (p *Puller) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		case <-timer.C:
		}
		for {
			id, order, wait := p.next(time.Now())
			if wait != 0 {
				timer.Reset(wait)
				break
			}
			running.Go(func() { p.attempt(ctx, id, order) })
		}
	}
}

// next takes the order out that has been due longest; otherwise it tells when to
// look again.
func (p *Puller) next(now time.Time) (id parties.PlatformID, first pullOrder, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for candidate, order := range p.asked {
		if !order.due.IsZero() && !p.running[candidate] && (id == "" || order.due.Before(first.due)) {
			id, first = candidate, order
		}
	}
	switch {
	case id == "" || len(p.running) >= pullsAtOnce:
		return "", pullOrder{}, time.Hour // the end of a pull and an order wake it
	case first.due.After(now):
		return "", pullOrder{}, first.due.Sub(now)
	}
	delete(p.asked, id)
	p.running[id] = true
	return id, first, 0
}

// attempt makes a pull, and orders it again if it fails.
func (p *Puller) attempt(ctx context.Context, id parties.PlatformID, order pullOrder) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.running, id)
		p.wake()
	}()
	e := p.cfg.Directory.Snapshot().Platform(id)
	if e == nil {
		return
	}
	if !p.keep.loaded() {
		order.due = time.Now().Add(unloadedPause)
		p.order(id, order)
		return
	}
	err := p.pull(ctx, e, order.since)
	if err == nil || ctx.Err() != nil {
		return
	}
	log := p.cfg.Logger.With("platform", id, "error", err)
	if order.failures == len(retries) {
		// What was missed is pulled with the next order.
		order.due, order.failures = time.Time{}, 0
		log.Warn("a pull failed and is given up until the platform was away again")
	} else {
		pause := retries[order.failures]
		order.due, order.failures = time.Now().Add(pause), order.failures+1
		log.Warn("a pull failed", "again_in", pause)
	}
	p.order(id, order)
}
