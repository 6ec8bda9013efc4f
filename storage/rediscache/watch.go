package rediscache

import (
	"context"
	"encoding/json"
	"time"

	"github.com/redis/go-redis/v9"

	"busbar/parties"
)

// A subscription is pinged every pingInterval, and taken for dead when nothing,
// not even an answer to a ping, arrived for silence: a peer that vanished
// without closing the connection would go unnoticed for a quarter of an hour.
const (
	pingInterval = 3 * time.Second
	silence      = 10 * time.Second
	// retryInterval is the pause before subscribing again.
	retryInterval = 500 * time.Millisecond
)

// news is a change as it is published.
type news struct {
	Revision int64              `json:"revision"`
	ID       parties.PlatformID `json:"id"`
	// Agreements is unknown to the previous binary, which reads everything then.
	Agreements bool `json:"agreements,omitempty"`
}

// Watch implements parties.Cache. It subscribes again for as long as it takes;
// the log has one line for each loss and each return.
func (c *Cache) Watch(ctx context.Context, tell func(parties.Change)) error {
	lost := false
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		err := c.listen(ctx, func(change parties.Change) {
			if lost {
				lost = false
				c.logger.InfoContext(ctx, "hearing of changes from other replicas again")
			}
			tell(change)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !lost {
			lost = true
			c.logger.WarnContext(ctx, "not hearing of changes from other replicas", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry.C:
		}
	}
}

// listen delivers the news of one subscription until it fails.
func (c *Cache) listen(ctx context.Context, tell func(parties.Change)) error {
	return subscribe(ctx, c.client, c.channel,
		func() { tell(parties.Change{}) }, func(message string) { tell(readNews(message)) })
}

// ping keeps a quiet subscription answering. An error shows in the reading.
func ping(ctx context.Context, subscription *redis.PubSub) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = subscription.Ping(ctx)
		}
	}
}

// readNews turns what it cannot read into "news may have been missed".
func readNews(payload string) parties.Change {
	var n news
	if err := json.Unmarshal([]byte(payload), &n); err != nil {
		return parties.Change{}
	}
	return parties.Change{Revision: n.Revision, ID: n.ID, Agreements: n.Agreements}
}
