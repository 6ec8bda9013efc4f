package rediscache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
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
		_ = b.subscribe(ctx)
		select {
		case <-ctx.Done():
		case <-retry.C:
		}
	}
}

func (b *Broadcasts) subscribe(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	subscription := b.client.Subscribe(ctx, b.keys.channel)
	// A read is not interrupted by a context, but by closing.
	stop := context.AfterFunc(ctx, func() { subscription.Close() })
	var pinger sync.WaitGroup
	pinger.Go(func() { ping(ctx, subscription) })
	defer func() {
		stop()
		cancel()
		pinger.Wait()
		subscription.Close()
	}()
	for {
		message, err := subscription.ReceiveTimeout(ctx, silence)
		if err != nil {
			return fmt.Errorf("subscription to broadcasts: %w", err)
		}
		switch message := message.(type) {
		case *redis.Subscription:
			// What was published before is lost to us.
			b.heart.hurry()
			b.wakeAll()
		case *redis.Message:
			b.hear(message.Payload)
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
