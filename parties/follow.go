package parties

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Follower keeps a Directory equal to the record, whoever changes it, and
// writes back what this replica learned: when platforms were last seen, and how
// they read their token.
//
// It hears of changes in two ways, neither of which waits for the other: by news,
// which it follows from the shared copy, and by a look at the record each moment. A
// replica that alone has lost the database, or Redis, goes on following.
type Follower struct {
	cfg FollowerConfig
	// catchUps bounds what unknown tokens may cost the database.
	catchUps *rate.Limiter
	// missed are news that the copy did not tell more of; a change without an ID
	// stands for any. What finds no room here the next look finds.
	missed chan Change
	// fills is the newest state that was read of the record, for the copy.
	fills chan Record
	// mistrusted tells that the copy may be of a future that the record has lost.
	mistrusted atomic.Bool
	heard      *hearing
	// flushed is when each platform was last written as seen.
	flushed map[PlatformID]time.Time
}

// FollowerConfig wires a Follower; every field but Metrics is needed.
type FollowerConfig struct {
	Store     Store
	Cache     Cache
	Directory *Directory
	Registrar *Registrar
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
}

// NewFollower makes a Follower.
func NewFollower(cfg FollowerConfig) *Follower {
	f := &Follower{
		cfg: cfg, flushed: make(map[PlatformID]time.Time),
		missed: make(chan Change, mostNews), fills: make(chan Record, 1),
		catchUps: rate.NewLimiter(catchUpsPerSecond, catchUpsAtOnce), heard: newHearing(),
	}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(f.heard.metric())
	}
	return f
}

const (
	// compareEvery is how often the directory's revision is compared with the
	// record, or with the copy when the record does not answer: the bound on
	// staleness when news is lost.
	compareEvery = 500 * time.Millisecond
	// flushEvery is how often what was learned is written back.
	flushEvery = 15 * time.Second
	// lookWait bounds a look at the record, storeWait any other call, reloadWait the
	// reading of everything.
	lookWait   = 2 * time.Second
	storeWait  = 5 * time.Second
	reloadWait = 30 * time.Second
	// cacheWait bounds what is only sooner there than in the record, fillWait the
	// copying of all that the record has.
	cacheWait = 1500 * time.Millisecond
	fillWait  = 5 * time.Second
	// mostNews bounds the changes that were heard and not yet followed.
	mostNews = 1024

	// catchUpsPerSecond are the comparisons that unknown tokens may cause, after
	// some at once: whoever comes too late waits for the next of Run's.
	catchUpsPerSecond = 5
	catchUpsAtOnce    = 20
	catchUpWait       = time.Second
)

// Load fills the directory before the hub answers: from the cache when it is
// there, checked against the record's revision; from the record otherwise. When
// the record cannot be read but the cache can, the hub starts from the cache.
func (f *Follower) Load(ctx context.Context) error {
	cached, cancel := context.WithTimeout(ctx, cacheWait)
	record, ok, err := f.cfg.Cache.Load(cached)
	cancel()
	if err != nil {
		// It is not filled either, which would only wait once more: the next change,
		// or the next replica to start, does that.
		f.cfg.Logger.Warn("load platforms from the cache", "error", err)
		_, err := f.read(ctx, f.cfg.Directory.Replace)
		return err
	}
	if ok {
		// The copy counts only at the record's own revision: it may be behind,
		// or ahead of a database that was restored.
		current, err := f.revision(ctx, storeWait)
		switch {
		case err != nil:
			f.cfg.Directory.Replace(record)
			f.cfg.Logger.Warn("started from the cache: the database does not answer", "error", err)
			return nil
		case current == record.Revision:
			f.cfg.Directory.Replace(record)
			f.loaded("cache", record)
			return nil
		case current < record.Revision:
			f.forgetBeyond(ctx, current)
		}
	}
	record, err = f.read(ctx, f.cfg.Directory.Replace)
	if err == nil {
		f.fill(ctx, record)
	}
	return err
}

func (f *Follower) loaded(from string, record Record) {
	f.cfg.Logger.Info("directory loaded", "from", from, "platforms", len(record.Platforms),
		"agreements", len(record.Agreements), "revision", record.Revision)
	for i := range record.Platforms {
		if p := &record.Platforms[i]; p.Unopened != "" {
			f.cfg.Logger.Error("nothing can be sent to a platform", "platform", p.ID, "name", p.Name, "error", ErrUnopened)
		}
	}
}

func (f *Follower) revision(ctx context.Context, wait time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return f.cfg.Store.Revision(ctx)
}

func (f *Follower) read(ctx context.Context, take func(Record)) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, reloadWait)
	defer cancel()
	record, err := f.cfg.Store.All(ctx)
	if err != nil {
		return record, fmt.Errorf("load platforms: %w", err)
	}
	take(record)
	f.loaded("database", record)
	return record, nil
}

// Run follows until ctx ends, then writes back once more. News are followed
// whatever the record, the copy's filling and the writing back are waiting for.
func (f *Follower) Run(ctx context.Context) {
	news := make(chan Change, mostNews)
	var loops sync.WaitGroup
	loops.Go(func() { f.watch(ctx, news) })
	loops.Go(func() { f.hear(ctx, news) })
	loops.Go(func() { f.compareEach(ctx) })
	loops.Go(func() { f.fillEach(ctx) })
	loops.Go(func() { f.flushEach(ctx) })
	loops.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	f.flush(last)
}

// compareEach asks the record each moment, and about what the copy did not tell.
func (f *Follower) compareEach(ctx context.Context) {
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	healthy := true
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case c := <-f.missed:
			err = f.follow(ctx, c)
		case <-tick.C:
			err = f.compare(ctx)
		}
		// One line when it begins and one when it ends, not one a second.
		if failed := err != nil && ctx.Err() == nil; failed == healthy {
			healthy = !failed
			if failed {
				f.cfg.Logger.Warn("directory cannot be compared with the database; routing goes on", "error", err)
			} else {
				f.cfg.Logger.Info("directory follows the database again")
			}
		}
	}
}

// follow takes one change in from the record. A gap in the revisions means that
// others were missed.
func (f *Follower) follow(ctx context.Context, c Change) error {
	have := f.cfg.Directory.Snapshot().Revision()
	switch {
	case c.ID == "" && !c.Agreements:
		return f.compare(ctx)
	case c.Revision <= have:
		return nil // this replica's own
	case c.Revision != have+1:
		return f.compare(ctx)
	case c.Agreements:
		return f.followAgreements(ctx, c)
	}
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	p, err := f.cfg.Store.Get(ctx, c.ID)
	if errors.Is(err, ErrNotFound) {
		f.cfg.Directory.Remove(c.ID, c.Revision)
		return nil
	}
	if err != nil {
		return err
	}
	f.cfg.Directory.Apply(p, c.Revision)
	return nil
}

// followAgreements reads the agreements, unless they were read since the change:
// of many changes in a row, each is one revision but few are a reading.
func (f *Follower) followAgreements(ctx context.Context, c Change) error {
	if f.cfg.Directory.Snapshot().agreements.revision >= c.Revision {
		f.cfg.Directory.ApplyAgreements(nil, 0, c.Revision)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	all, read, err := f.cfg.Store.Agreements(ctx)
	if err != nil {
		return err
	}
	if read < c.Revision {
		return f.compare(ctx) // the database went back in time
	}
	f.cfg.Directory.ApplyAgreements(all, read, c.Revision)
	return nil
}

// CatchUp compares the directory with the record at once, because a token is not
// known that another replica may have issued a moment ago: behind a load
// balancer a platform's first call need not arrive where it registered. Guessed
// tokens cannot make it ask more than catchUpsPerSecond times.
func (f *Follower) CatchUp(ctx context.Context) {
	if !f.catchUps.Allow() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	if f.heard.recordIsSilent() {
		f.lookAtCopy(ctx) // else a request of anybody's would take catchUpWait
		return
	}
	_ = f.compare(ctx) // Run tells when the database cannot be asked
}

func (f *Follower) compare(ctx context.Context) error {
	// Read before the record's: what the directory had then, the record had too.
	have := f.cfg.Directory.Snapshot().Revision()
	began := time.Now()
	current, err := f.revision(ctx, lookWait)
	if err != nil {
		return err
	}
	take := f.cfg.Directory.Replace
	if current < have {
		f.cfg.Logger.Warn("the database went back in time; the directory follows it", "from", have, "to", current)
		f.mistrusted.Store(true)
		take = f.cfg.Directory.Restart
	}
	if f.mistrusted.Load() {
		f.forgetBeyond(ctx, current)
	}
	if current != f.cfg.Directory.Snapshot().Revision() {
		// This replica's own change may be between commit and Apply; reading
		// the record is right in either case.
		record, err := f.read(ctx, take)
		if err != nil {
			return err
		}
		f.refill(record)
	}
	f.heard.recordAnswered(began)
	return nil
}
