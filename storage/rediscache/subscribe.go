package rediscache

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// subscribe hears the messages of a channel until the subscription fails or ctx
// ends. began tells that it hears from now on: what was published before is lost
// to it.
func subscribe(ctx context.Context, client *redis.Client, channel string, began func(), hear func(message string)) error {
	ctx, cancel := context.WithCancel(ctx)
	subscription := client.Subscribe(ctx, channel)
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
			return fmt.Errorf("subscription to %s: %w", channel, err)
		}
		switch message := message.(type) {
		case *redis.Subscription:
			began()
		case *redis.Message:
			hear(message.Payload)
		}
	}
}
