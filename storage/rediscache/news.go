package rediscache

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// fleetNews is the message that partitions change hands; any other one names the
// partitions that have something new.
const fleetNews = "fleet"

// listen hears of news until ctx ends, so that nobody has to ask for them. While
// it hears nothing, partitions are looked at now and then.
func (b *Broadcasts) listen(ctx context.Context) {
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for ctx.Err() == nil {
		// Why it failed the heart tells.
		_ = subscribe(ctx, b.client, b.keys.channel, func() {
			b.heart.hurry()
			b.wakeAll()
		}, b.hear)
		select {
		case <-ctx.Done():
		case <-retry.C:
		}
	}
}

func (b *Broadcasts) wakeAll() {
	if r := b.current(); r != nil {
		for p := range partitions {
			r.wake(p)
		}
	}
}

func (b *Broadcasts) hear(news string) {
	if news == fleetNews {
		b.heart.hurry()
		return
	}
	r := b.current()
	if r == nil {
		return
	}
	for name := range strings.FieldsSeq(news) {
		if p, err := strconv.Atoi(name); err == nil && p >= 0 && p < partitions {
			r.wake(p)
		}
	}
}
