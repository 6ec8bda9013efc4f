package parties

import (
	"context"
	"time"
)

// watch passes the news of all replicas on to hear.
func (f *Follower) watch(ctx context.Context, news chan<- Change) {
	err := f.cfg.Cache.Watch(ctx, func(c Change) {
		select {
		case news <- c:
		default: // a look finds what is dropped here
		}
	})
	if err != nil && ctx.Err() == nil {
		f.cfg.Logger.Error("watch the cache", "error", err)
	}
}

// hear follows news from the copy, and looks at the copy itself while the record
// does not answer. It never waits for the record.
func (f *Follower) hear(ctx context.Context, news <-chan Change) {
	look := time.NewTicker(compareEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-news:
			f.heed(ctx, c)
		case <-look.C:
			if f.heard.recordIsSilent() {
				f.lookAtCopy(ctx)
			}
			f.heard.report(f.cfg.Logger)
		}
	}
}

// heed takes one change in, at once, also beyond a gap in the revisions. A gap
// means that others were missed: the copy may have them, and the record does.
func (f *Follower) heed(ctx context.Context, c Change) {
	have := f.cfg.Directory.Snapshot().Revision()
	switch {
	case c.ID == "" && !c.Agreements:
		f.lookAtCopy(ctx)
		f.miss(c)
		return
	case c.Revision <= have:
		return // this replica's own, or one that a look found
	case !f.takeFromCopy(ctx, c):
		f.miss(c)
		return
	case c.Revision == have+1:
		return
	}
	f.lookAtCopy(ctx)
	if f.cfg.Directory.Snapshot().Revision() < c.Revision {
		f.miss(Change{})
	}
}

// miss leaves a change to the record.
func (f *Follower) miss(c Change) {
	select {
	case f.missed <- c:
	default:
	}
}

// takeFromCopy takes one change in as the copy has it, which may be newer. It is
// false when the copy does not have it.
func (f *Follower) takeFromCopy(ctx context.Context, c Change) bool {
	if f.mistrusted.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, cacheWait)
	defer cancel()
	if c.Agreements {
		return f.takeAgreements(ctx, c)
	}
	p, at, err := f.cfg.Cache.Get(ctx, c.ID)
	switch {
	case err != nil || at < c.Revision:
		return false
	case p.ID == "":
		f.cfg.Directory.Remove(c.ID, c.Revision)
	default:
		f.cfg.Directory.Apply(p, c.Revision)
	}
	return true
}

// takeAgreements reads the agreements, unless they were read since the change: of
// many changes in a row, each is one revision but few are a reading.
func (f *Follower) takeAgreements(ctx context.Context, c Change) bool {
	if f.cfg.Directory.Snapshot().agreements.revision >= c.Revision {
		f.cfg.Directory.ApplyAgreements(nil, 0, c.Revision)
		return true
	}
	all, at, err := f.cfg.Cache.Agreements(ctx)
	if err != nil || at < c.Revision {
		return false
	}
	f.cfg.Directory.ApplyAgreements(all, at, c.Revision)
	return true
}

// lookAtCopy takes the whole copy in when it stands for more than the directory
// has. The next comparison with the record still counts.
func (f *Follower) lookAtCopy(ctx context.Context) {
	if f.mistrusted.Load() {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, cacheWait)
	defer cancel()
	at, ok, err := f.cfg.Cache.Revision(ctx)
	if err != nil || !ok {
		return
	}
	if at > f.cfg.Directory.Snapshot().Revision() {
		record, ok, err := f.cfg.Cache.Load(ctx)
		if err != nil || !ok {
			return
		}
		f.cfg.Directory.Replace(record)
		f.loaded("cache", record)
	}
	f.heard.copyAnswered(began)
}

// fillEach fills the copy with what was read of the record, until ctx ends: a
// Redis that does not answer must not hold the following up.
func (f *Follower) fillEach(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case record := <-f.fills:
			f.fill(ctx, record)
		}
	}
}

// refill leaves the filling to fillEach, which needs the newest state only.
func (f *Follower) refill(record Record) {
	for {
		select {
		case f.fills <- record:
			return
		default:
		}
		select {
		case <-f.fills:
		default:
		}
	}
}

func (f *Follower) fill(ctx context.Context, record Record) {
	ctx, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	if err := f.cfg.Cache.Fill(ctx, record); err != nil && ctx.Err() != context.Canceled {
		f.cfg.Logger.Warn("fill the cache", "error", err)
	}
}

// forgetBeyond throws away a copy of what the record has lost. It would be refilled
// only once the record has overtaken it, and be taken for the record's then. Until
// that has succeeded, nothing is read of the copy.
func (f *Follower) forgetBeyond(ctx context.Context, newest int64) {
	ctx, cancel := context.WithTimeout(ctx, cacheWait)
	defer cancel()
	err := f.cfg.Cache.ForgetBeyond(ctx, newest)
	if err != nil {
		f.cfg.Logger.Warn("forget the cached registrations", "error", err)
	}
	f.mistrusted.Store(err != nil)
}
