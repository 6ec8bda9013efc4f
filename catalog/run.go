package catalog

import (
	"context"
	"time"
)

const (
	// followInterval is how far this replica may be behind the others.
	followInterval = 500 * time.Millisecond
	forgetInterval = time.Hour
	// deletedKept is how long the record tells of deleted objects. A replica
	// that did not follow for nearly as long loads everything.
	deletedKept = 24 * time.Hour
	staleAfter  = deletedKept - 2*forgetInterval

	// maxLoadBytes of documents are packed in one step of loading.
	maxLoadBytes = 32 << 20

	firstRetry, lastRetry = 100 * time.Millisecond, 10 * time.Second
)

// Run loads the catalog, trying again until the record answers, then takes
// pushes in and follows what other replicas write, until ctx ends. Pushes that
// wait then are answered first.
func (c *Catalog) Run(ctx context.Context) {
	defer close(c.catchUps.ended)
	if c.cfg.Store == nil {
		<-ctx.Done()
		return
	}
	if !c.load(ctx) {
		return
	}
	follow, forget := time.NewTicker(followInterval), time.NewTicker(forgetInterval)
	defer follow.Stop()
	defer forget.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			c.close(ctx)
			return
		case <-c.queue.wake:
			batch, done := c.queue.batch()
			c.commit(ctx, batch)
			done()
		case <-follow.C:
			failing = c.tryFollow(ctx, failing)
		case <-c.catchUps.wake:
			failing = c.tryFollow(ctx, failing)
		case <-forget.C:
			c.forget(ctx)
		}
	}
}

// close answers what waits. Once the record fails, the rest is not tried.
func (c *Catalog) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	var err error
	for {
		batch, done := c.queue.batch()
		switch {
		case len(batch) == 0:
			return
		case err == nil:
			err = c.commit(ctx, batch)
		default:
			c.fail(ctx, batch, err)
		}
		done()
	}
}

// load tries until it succeeds or ctx ends.
func (c *Catalog) load(ctx context.Context) bool {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		began := time.Now()
		err := c.reload(ctx)
		if err == nil {
			c.cfg.Logger.InfoContext(ctx, "catalog loaded", "locations", c.shelves[kept[0]].objects,
				"tariffs", c.shelves[kept[1]].objects, "revision", c.revision, "duration", time.Since(began))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.cfg.Logger.WarnContext(ctx, "catalog cannot be loaded; trying again", "error", err, "in", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// reload reads the whole record into new shelves and puts them in the place of
// the old.
func (c *Catalog) reload(ctx context.Context) error {
	began := now()
	fresh, rows, bytes := newShelves(), make([]Row, 0, maxBatch), 0
	revision, _, err := c.cfg.Store.Load(ctx, func(r Row) error {
		rows, bytes = append(rows, r), bytes+len(r.Document)
		if len(rows) == maxBatch || bytes >= maxLoadBytes {
			fresh.fill(rows)
			clear(rows)
			rows, bytes = rows[:0], 0
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	fresh.fill(rows)
	c.mu.Lock()
	if !c.loaded {
		close(c.ready)
	}
	c.shelves, c.loaded = fresh, true
	c.mu.Unlock()
	c.revision, c.followed = revision, began
	c.catchUps.reach(revision)
	return nil
}

// tryFollow follows, and logs when that begins to fail.
func (c *Catalog) tryFollow(ctx context.Context, failing bool) bool {
	c.catchUps.begin()
	err := c.follow(ctx)
	c.catchUps.finish(err)
	if err == nil {
		err = c.settleDoubt(ctx)
	}
	if err != nil && !failing && ctx.Err() == nil {
		c.cfg.Logger.WarnContext(ctx, "catalog cannot follow the record; going on with what it has", "error", err)
	}
	return err != nil
}

// follow takes in what the record has and memory has not.
func (c *Catalog) follow(ctx context.Context) error {
	began := now()
	short, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	revision, err := c.cfg.Store.Revision(short)
	switch {
	case err != nil:
		return err
	case revision < c.revision, c.stale(): // a restored database, or deletions that are forgotten
		c.cfg.Logger.WarnContext(ctx, "catalog is loaded anew", "revision", revision, "had", c.revision)
		return c.reload(ctx)
	}
	for c.revision < revision {
		if err := c.followPart(ctx); err != nil {
			return err
		}
	}
	c.followed = began
	return nil
}

// followPart takes in the next of what the record has more: after an outage that
// may be much.
func (c *Catalog) followPart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rows, upTo, err := c.cfg.Store.Since(ctx, c.revision)
	switch {
	case err != nil:
		return err
	case upTo <= c.revision:
		return errRestored // a moment ago there was more
	}
	c.publish(rows)
	c.revision = upTo
	c.catchUps.reach(upTo)
	return nil
}

// stale tells that the record may have forgotten deletions that memory has not
// seen.
func (c *Catalog) stale() bool { return now().Sub(c.followed) > staleAfter }

// behind tells that what others wrote since should be read before a commit, which
// may be overtaken while it reads.
func (c *Catalog) behind() bool { return now().Sub(c.followed) > 4*followInterval }

func (c *Catalog) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := c.cfg.Store.ForgetDeleted(ctx, now().Add(-deletedKept)); err != nil && ctx.Err() == nil {
		c.cfg.Logger.WarnContext(ctx, "catalog cannot forget deleted objects", "error", err)
	}
}
