package parties

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"golang.org/x/time/rate"

	"busbar/ocpi"
)

// Follower keeps a Directory equal to the record, whoever changes it, and
// writes back what this replica learned: when platforms were last seen, and how
// they read their token.
type Follower struct {
	cfg FollowerConfig
	// catchUps bounds what unknown tokens may cost the database.
	catchUps *rate.Limiter
	// flushed is when each platform was last written as seen.
	flushed map[PlatformID]time.Time
}

// FollowerConfig wires a Follower; every field is needed.
type FollowerConfig struct {
	Store     Store
	Cache     Cache
	Directory *Directory
	Registrar *Registrar
	Logger    *slog.Logger
}

// NewFollower makes a Follower.
func NewFollower(cfg FollowerConfig) *Follower {
	return &Follower{
		cfg: cfg, flushed: make(map[PlatformID]time.Time),
		catchUps: rate.NewLimiter(catchUpsPerSecond, catchUpsAtOnce),
	}
}

const (
	// compareEvery is how often the directory's revision is compared with the
	// record: the bound on staleness when news is lost or Redis is down.
	compareEvery = time.Second
	// flushEvery is how often what was learned is written back.
	flushEvery = 15 * time.Second
	storeWait  = 5 * time.Second
	reloadWait = 30 * time.Second
	// cacheWait bounds what is only sooner there than in the record, fillWait the
	// copying of all that the record has.
	cacheWait = 1500 * time.Millisecond
	fillWait  = 5 * time.Second

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
		current, err := f.revision(ctx)
		switch {
		case err != nil:
			f.cfg.Directory.Replace(record)
			f.cfg.Logger.Warn("started from the cache: the database does not answer", "error", err)
			return nil
		case current == record.Revision:
			f.cfg.Directory.Replace(record)
			f.loaded("cache", record)
			return nil
		}
	}
	return f.reload(ctx, f.cfg.Directory.Replace)
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

func (f *Follower) revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	return f.cfg.Store.Revision(ctx)
}

// reload reads the record whole, hands it to the directory by take, and refills
// the cache.
func (f *Follower) reload(ctx context.Context, take func(Record)) error {
	record, err := f.read(ctx, take)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	if err := f.cfg.Cache.Fill(ctx, record); err != nil {
		f.cfg.Logger.Warn("fill the cache", "error", err)
	}
	return nil
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

// Run follows until ctx ends, then writes back once more.
func (f *Follower) Run(ctx context.Context) {
	news := make(chan Change, 1024)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		err := f.cfg.Cache.Watch(ctx, func(c Change) {
			select {
			case news <- c:
			default: // the comparison below finds what is dropped here
			}
		})
		if err != nil && ctx.Err() == nil {
			f.cfg.Logger.Error("watch the cache", "error", err)
		}
	}()
	f.loop(ctx, news)
	<-watched
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	f.flush(last)
}

func (f *Follower) loop(ctx context.Context, news <-chan Change) {
	compare, flush := time.NewTicker(compareEvery), time.NewTicker(flushEvery)
	defer compare.Stop()
	defer flush.Stop()
	healthy := true
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case c := <-news:
			err = f.follow(ctx, c)
		case <-compare.C:
			err = f.compare(ctx)
		case now := <-flush.C:
			// Bounded: a lock that somebody holds must not stop the following.
			bounded, cancel := context.WithTimeout(ctx, storeWait)
			f.flush(bounded)
			cancel()
			for _, e := range f.cfg.Directory.Snapshot().byID {
				e.Client.Sweep(now)
			}
			continue
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

// follow takes one change in. A gap in the revisions means that others were
// missed.
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
	p, err := f.fetch(ctx, c)
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
	ctx, cancel := context.WithTimeout(ctx, storeWait)
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

// fetch reads one platform from the cache when that is new enough.
func (f *Follower) fetch(ctx context.Context, c Change) (Platform, error) {
	cached, cancel := context.WithTimeout(ctx, cacheWait)
	p, ok, err := f.cfg.Cache.Get(cached, c.ID)
	cancel()
	if err == nil && ok && p.Revision == c.Revision {
		return p, nil
	}
	ctx, cancel = context.WithTimeout(ctx, storeWait)
	defer cancel()
	return f.cfg.Store.Get(ctx, c.ID)
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
	_ = f.compare(ctx) // Run tells when the database cannot be asked
}

func (f *Follower) compare(ctx context.Context) error {
	// Read before the record's: what the directory had then, the record had too.
	have := f.cfg.Directory.Snapshot().Revision()
	current, err := f.revision(ctx)
	switch {
	case err != nil || current == f.cfg.Directory.Snapshot().Revision():
		return err
	case current < have:
		f.cfg.Logger.Warn("the database went back in time; the directory follows it", "from", have, "to", current)
		// A copy of the lost future would be refilled only once the record has
		// overtaken it, and be taken for the record's then.
		if err := f.cfg.Cache.ForgetBeyond(ctx, current); err != nil {
			f.cfg.Logger.Warn("forget the cached registrations", "error", err)
		}
		return f.reload(ctx, f.cfg.Directory.Restart)
	default:
		// This replica's own change may be between commit and Apply; reading
		// the record is right in either case.
		return f.reload(ctx, f.cfg.Directory.Replace)
	}
}

// flush writes back what this replica learned of platforms.
func (f *Follower) flush(ctx context.Context) {
	seen := make(map[PlatformID]time.Time)
	s := f.cfg.Directory.Snapshot()
	for id, e := range s.byID {
		if last := e.LastSeen(); last.After(f.flushed[id]) && last.After(e.Platform.LastSeen) {
			seen[id] = last
		}
		f.learn(ctx, e)
	}
	if len(seen) == 0 {
		return
	}
	written := make(map[PlatformID]time.Time, len(seen))
	for id, last := range seen {
		written[id] = last.Truncate(time.Microsecond)
	}
	if err := f.cfg.Store.Seen(ctx, written); err != nil {
		f.cfg.Logger.Warn("write when platforms were last seen", "error", err)
		return // the next time again
	}
	maps.Copy(f.flushed, seen)
	maps.DeleteFunc(f.flushed, func(id PlatformID, _ time.Time) bool { return s.byID[id] == nil })
}

func (f *Follower) learn(ctx context.Context, e *Entry) {
	form, kept := e.Client.Form(), e.Platform.Quirks.TokenForm
	// Base64 is the rule; only what differs from what is kept is news.
	if !e.Platform.Registered() || form == kept || kept == "" && form == ocpi.TokenBase64 {
		return
	}
	if err := f.cfg.Registrar.Learned(ctx, e.Platform.ID, form); err != nil {
		f.cfg.Logger.Warn("keep what was learned of a platform", "platform", e.Platform.ID, "error", err)
	}
}
