package parties

import (
	"context"
	"time"
)

const (
	// announceTimeout bounds an announcement, announceWait what a change waits for
	// it: a Redis that is gone or frozen must not hold up who changes something.
	announceTimeout = 3 * time.Second
	announceWait    = 200 * time.Millisecond
	// mostAnnouncing bounds the announcements under way. What finds no room the other
	// replicas find in the record.
	mostAnnouncing = 64
)

// announce tells the other replicas of a platform, which is not to be changed any
// more; nil: it was deleted.
func (r *Registrar) announce(ctx context.Context, c Change, p *Platform) {
	r.tell(ctx, c, func(ctx context.Context) error { return r.cfg.Cache.Announce(ctx, c, p) })
}

// tell runs an announcement, also when the caller went away. The caller waits for
// it only for a moment: whoever asks another replica next should find the change.
func (r *Registrar) tell(ctx context.Context, c Change, announce func(context.Context) error) {
	select {
	case r.announcing <- struct{}{}:
	default:
		r.cfg.Logger.Warn("a change is not announced: too many are under way", "revision", c.Revision)
		return
	}
	told := make(chan struct{})
	go func() {
		defer func() { <-r.announcing; close(told) }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
		defer cancel()
		if err := announce(ctx); err != nil {
			r.cfg.Logger.Warn("announce a change", "revision", c.Revision, "platform", c.ID, "error", err)
		}
	}()
	patience := time.NewTimer(announceWait)
	defer patience.Stop()
	select {
	case <-told:
	case <-patience.C:
	}
}
