package rediscache

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"busbar/journal"
	"busbar/routing"
)

// reportKept is how long a replica's report is read when no other follows: some
// of them may be late.
const reportKept = 5 * time.Second

// Feed carries the journal's events and figures between replicas. It implements
// journal.Feed and is safe for concurrent use.
type Feed struct {
	client  *redis.Client
	replica routing.ReplicaID
	logger  *slog.Logger
	// reports is the set of the replicas that report, and begins the key of each
	// one's report.
	reports, channel string
	// listening counts this replica among those that listen.
	listening atomic.Int64
}

var _ journal.Feed = (*Feed)(nil)

// FeedConfig says which replica tells whom.
type FeedConfig struct {
	// Client stays the caller's to close.
	Client *redis.Client
	// Namespace is as in Config.
	Namespace string
	Replica   routing.ReplicaID
	// Logger hears when the others are not heard while somebody listens. Nil is
	// silence.
	Logger *slog.Logger
}

// NewFeed makes a Feed. It does not ask Redis.
func NewFeed(config FeedConfig) *Feed {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	prefix := "busbar:{" + config.Namespace + "}:"
	return &Feed{
		client: config.Client, replica: config.Replica, logger: logger,
		reports: prefix + "reports", channel: prefix + "events",
	}
}

func (f *Feed) key(replica string) string { return f.reports + ":" + replica }

// Report implements journal.Feed. Whether another replica listens, Redis knows by
// the subscriptions.
func (f *Feed) Report(ctx context.Context, figures []byte) (listened bool, err error) {
	pipe := f.client.Pipeline()
	pipe.Set(ctx, f.key(string(f.replica)), figures, reportKept)
	pipe.SAdd(ctx, f.reports, string(f.replica))
	// The set ends with the last replica.
	pipe.PExpire(ctx, f.reports, time.Minute)
	subscribers := pipe.PubSubNumSub(ctx, f.channel)
	if _, err := pipe.Exec(ctx); err != nil {
		if redis.HasErrorPrefix(err, wrongType) { // somebody wrote over it
			_ = f.client.Del(ctx, f.reports).Err()
		}
		return false, fmt.Errorf("report figures: %w", err)
	}
	return subscribers.Val()[f.channel] > f.listening.Load(), nil
}

// Reports implements journal.Feed. Replicas whose report has expired are taken
// off the set; one that was only late is back with its next report.
func (f *Feed) Reports(ctx context.Context) (map[routing.ReplicaID][]byte, error) {
	replicas, err := f.client.SMembers(ctx, f.reports).Result()
	if err != nil {
		return nil, fmt.Errorf("read the figures of the replicas: %w", err)
	}
	reports := make(map[routing.ReplicaID][]byte, len(replicas))
	if len(replicas) == 0 {
		return reports, nil
	}
	keys := make([]string, len(replicas))
	for i, replica := range replicas {
		keys[i] = f.key(replica)
	}
	values, err := f.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("read the figures of the replicas: %w", err)
	}
	var gone []any
	for i, value := range values {
		if report, ok := value.(string); ok {
			reports[routing.ReplicaID(replicas[i])] = []byte(report)
		} else {
			gone = append(gone, replicas[i])
		}
	}
	if len(gone) > 0 {
		_ = f.client.SRem(ctx, f.reports, gone...).Err() // the next one tries again
	}
	return reports, nil
}

// Publish implements journal.Feed. The replica's name goes before the news, so
// that it does not hear itself.
func (f *Feed) Publish(ctx context.Context, news []byte) error {
	message := string(f.replica) + "\n" + string(news)
	if err := f.client.Publish(ctx, f.channel, message).Err(); err != nil {
		return fmt.Errorf("publish events: %w", err)
	}
	return nil
}

// Listen implements journal.Feed. The log has one line for each loss and each
// return.
func (f *Feed) Listen(ctx context.Context, hearing func(bool), hear func(news []byte)) {
	lost := false
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		err := f.listen(ctx, func() {
			if lost {
				lost = false
				f.logger.InfoContext(ctx, "hearing of messages at other replicas again")
			}
			hearing(true)
		}, hear)
		if ctx.Err() != nil {
			return
		}
		if !lost {
			lost = true
			f.logger.WarnContext(ctx, "not hearing of messages at other replicas", "error", err)
		}
		hearing(false)
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		}
	}
}

// listen hears one subscription until it fails.
func (f *Feed) listen(ctx context.Context, began func(), hear func(news []byte)) error {
	var counted int64
	defer func() { f.listening.Add(-counted) }()
	return subscribe(ctx, f.client, f.channel, func() {
		if counted == 0 {
			counted = 1
			f.listening.Add(1)
		}
		began()
	}, func(message string) {
		if from, news, ok := strings.Cut(message, "\n"); ok && from != string(f.replica) {
			hear([]byte(news))
		}
	})
}
