package storage

import (
	"context"
	"sync"

	"busbar/parties"
)

// mostUnheard bounds the news that wait for one watcher. Beyond it they are
// replaced by the advice to read everything.
const mostUnheard = 1000

// localCache is the cache of a single replica. It keeps no copy, since the
// record is as near; it carries the news within the process.
type localCache struct {
	mu       sync.Mutex
	watchers map[*watcher]bool
}

// watcher holds the news that one Watch has yet to tell.
type watcher struct {
	unheard []parties.Change // guarded by localCache.mu
	// wake holds a value while unheard may not be empty.
	wake chan struct{}
}

var _ parties.Cache = (*localCache)(nil)

func newLocalCache() *localCache { return &localCache{watchers: make(map[*watcher]bool)} }

// Load has never a copy.
func (*localCache) Load(context.Context) (parties.Record, bool, error) {
	return parties.Record{}, false, nil
}

// Get has never a copy.
func (*localCache) Get(context.Context, parties.PlatformID) (parties.Platform, int64, error) {
	return parties.Platform{}, 0, nil
}

// Revision has never a copy.
func (*localCache) Revision(context.Context) (int64, bool, error) { return 0, false, nil }

// Agreements has never a copy.
func (*localCache) Agreements(context.Context) ([]parties.Agreement, int64, error) {
	return nil, 0, nil
}

// Fill keeps nothing.
func (*localCache) Fill(context.Context, parties.Record) error { return nil }

// ForgetBeyond has nothing to forget.
func (*localCache) ForgetBeyond(context.Context, int64) error { return nil }

// Announce tells the watchers of this process, and keeps nothing. It does not
// wait for them.
func (c *localCache) Announce(_ context.Context, change parties.Change, _ *parties.Platform) error {
	c.tell(change)
	return nil
}

// AnnounceAgreements does the same.
func (c *localCache) AnnounceAgreements(_ context.Context, _ []parties.Agreement, revision int64) error {
	c.tell(parties.Change{Revision: revision, Agreements: true})
	return nil
}

func (c *localCache) tell(change parties.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.watchers {
		if len(w.unheard) >= mostUnheard {
			w.unheard = []parties.Change{{}}
		}
		w.unheard = append(w.unheard, change)
		select {
		case w.wake <- struct{}{}:
		default: // it has not yet seen the last wake
		}
	}
}

// Watch tells of an empty change at once: who watches anew has missed the past.
func (c *localCache) Watch(ctx context.Context, news func(parties.Change)) error {
	w := &watcher{unheard: []parties.Change{{}}, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	c.mu.Lock()
	c.watchers[w] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.watchers, w)
		c.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		for _, change := range c.take(w) {
			news(change)
		}
	}
}

func (c *localCache) take(w *watcher) []parties.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := w.unheard
	w.unheard = nil
	return changes
}
