package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// suspect looks at what a script failed with: somebody may have written over a key
// of the log, or destroyed a stream's group. The heart sees to it before it beats
// again.
func (b *Broadcasts) suspect(err error) {
	var refusal redis.Error
	if !errors.As(err, &refusal) {
		return
	}
	for _, sign := range []string{wrongType, "NOGROUP"} {
		if strings.Contains(refusal.Error(), sign) {
			b.heart.broken.Store(true)
			b.heart.hurry()
		}
	}
}

// repair throws away what nobody can read. Then Redis counts as emptied.
func (b *Broadcasts) repair(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	keys := append([]string{
		b.keys.epoch, b.keys.settled, b.keys.beats, b.keys.leases, b.keys.newest, b.keys.calls(b.cfg.Replica),
	}, b.keys.streams[:]...)
	thrown, err := b.scripts.repair.Eval(short, b.heart.client, keys, group, rand.Text()).StringSlice()
	switch {
	case err != nil:
		b.heart.broken.Store(true)
		if !b.heart.hopeless {
			b.cfg.Logger.ErrorContext(ctx, "keys in redis are not the hub's, or were changed; they cannot be thrown away", "error", err)
		}
	case len(thrown) > 0:
		b.cfg.Logger.ErrorContext(ctx, "keys in redis were not the hub's, or were changed: they were thrown away, and what "+
			"has not ended is appended again; does anything else write there?", "keys", strings.Join(thrown, " "))
	}
	b.heart.hopeless = err != nil
}
