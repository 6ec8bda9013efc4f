package parties

import (
	"context"
	"maps"
	"time"

	"busbar/ocpi"
)

// flushEach writes back now and then, and forgets connections that nobody uses,
// until ctx ends.
func (f *Follower) flushEach(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			// Bounded: a lock that somebody holds must not stop the writing for good.
			bounded, cancel := context.WithTimeout(ctx, storeWait)
			f.flush(bounded)
			cancel()
			for _, e := range f.cfg.Directory.Snapshot().byID {
				e.Client.Sweep(now)
			}
		}
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
