package rediscache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"busbar/routing"
	"busbar/storage/seal"
)

// Broadcasts is the log of accepted broadcasts that the replicas of one hub
// share, on Redis Streams. It implements routing.BroadcastLog; one of it is one
// replica.
type Broadcasts struct {
	cfg      BroadcastsConfig
	client   *redis.Client
	keys     logKeys
	scripts  scripts
	metrics  *logMetrics
	heart    *heart
	fleet    *Fleet
	appender *appender
	acks     *acks

	// running is held by Run.
	running sync.Mutex
	// now is the Run that there is; nil outside of one.
	mu  sync.Mutex
	now *run

	// unreadable logs the first entry that cannot be read.
	unreadable sync.Once

	cancel context.CancelFunc
	ended  sync.WaitGroup
}

var _ routing.BroadcastLog = (*Broadcasts)(nil)

// BroadcastsConfig says where the log is and who this replica is.
type BroadcastsConfig struct {
	// Client says how Redis is reached; the log opens connections of its own.
	Client *redis.Client
	// Namespace keeps the logs of several hubs apart in one Redis. Replicas of
	// one hub have the same.
	Namespace string
	// Replica is this process among them. No two may have the same.
	Replica routing.ReplicaID
	// Fresh tells that nothing was ever accepted that could be under way: so there
	// is no former owner to wait for, though Redis is empty.
	Fresh bool
	// Sealer seals what is personal: what the catalog does not keep.
	Sealer *seal.Sealer
	// Logger hears of what is dealt with here. Nil is silence.
	Logger *slog.Logger
	// Metrics counts. Nil: nobody looks.
	Metrics prometheus.Registerer
	// Pace are the log's times; zero is the default of each.
	Pace Pace
	// MostBytes bounds the bodies that are kept in memory until their broadcasts
	// have ended. Beyond it those that the catalog keeps are given up. Zero is 64
	// MiB.
	MostBytes int
	// MostUnderWay bounds the broadcasts of one partition that were handed over
	// and have not ended; beyond it the partition waits. One receiver that hangs
	// holds the broadcasts that it is owed for long, while all others are done
	// with them, so the bound is far beyond what is ever being sent: what it
	// bounds is the numbers kept here, about 100 bytes each, and not the bodies,
	// which the lanes bound. Zero is 20,000.
	MostUnderWay int
}

// Pace are the times of the log. All are measured by the monotonic clock of the
// replica: nothing depends on what the time is.
type Pace struct {
	// Beat is how often a replica gives a sign of life. Zero is 1 second.
	Beat time.Duration
	// Fence is how long after the beginning of its last sign of life a replica
	// still holds its partitions. Zero is 4 seconds.
	Fence time.Duration
	// Dead is how long a replica must be seen to stand still before it is taken
	// for dead. It must be longer than Fence; the difference is what clocks may
	// differ in speed. Zero is 8 seconds.
	Dead time.Duration
	// HandOver bounds the wait for what is under way before a partition is given
	// to another replica. Zero is 5 seconds.
	HandOver time.Duration
	// Patience is how long a replica that stops waits while nothing moves: neither
	// does a broadcast end nor does Redis take one. Zero is 1.5 seconds.
	Patience time.Duration
	// Append is how long a sender may wait until Redis has its broadcast. Once one has
	// waited for so long, or Redis has not answered, none waits until Redis answers
	// within half of it and little is left to append. Zero is 1 second.
	Append time.Duration
	// Look is how often partitions are looked at that nobody told news of, and
	// how often it is asked what has ended. Zero is 1 second.
	Look time.Duration
}

// NewBroadcasts makes a log. It does not ask Redis: Start does.
func NewBroadcasts(cfg BroadcastsConfig) *Broadcasts {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Pace.setDefaults()
	if cfg.MostBytes == 0 {
		cfg.MostBytes = 64 << 20
	}
	if cfg.MostUnderWay == 0 {
		cfg.MostUnderWay = 20_000
	}
	b := &Broadcasts{cfg: cfg, client: ownClient(cfg.Client, logConnections), keys: newLogKeys(cfg.Namespace), scripts: newScripts()}
	b.fleet = newFleet(cfg.Replica, cfg.Pace)
	b.heart = newHeart(b)
	b.appender = newAppender(b)
	b.acks = newAcks(b)
	b.metrics = newLogMetrics(b, cfg.Metrics)
	return b
}

func (p *Pace) setDefaults() {
	for _, setting := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&p.Beat, time.Second}, {&p.Fence, 4 * time.Second}, {&p.Dead, 8 * time.Second},
		{&p.HandOver, 5 * time.Second}, {&p.Patience, 1500 * time.Millisecond}, {&p.Append, time.Second}, {&p.Look, time.Second},
	} {
		if *setting.value == 0 {
			*setting.value = setting.otherwise
		}
	}
}

// ownClient reaches the same server by connections that nobody else can use up.
// A call that failed is not repeated behind the log's back: of entries that were
// taken by the first try, the second would not tell.
func ownClient(like *redis.Client, connections int) *redis.Client {
	options := *like.Options()
	options.MaxRetries = -1
	options.PoolSize = connections
	options.MinIdleConns = 0
	return redis.NewClient(&options)
}

// Start begins to give signs of life, to append, and to learn what has ended. It
// goes on while no Run does, until Close.
func (b *Broadcasts) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.ended.Go(func() { b.heart.run(ctx) })
	b.ended.Go(func() { b.appender.run(ctx) })
	b.ended.Go(func() { b.acks.run(ctx) })
	b.ended.Go(func() { b.follow(ctx) })
	b.ended.Go(func() { b.listen(ctx) })
}

// Close ends what Start began. Run must have returned. What has not ended is
// given up: another replica takes it over.
func (b *Broadcasts) Close() error {
	if b.cancel != nil {
		b.cancel()
		b.ended.Wait()
		b.leave()
	}
	return errors.Join(b.client.Close(), b.heart.client.Close())
}

// Fleet is what this replica knows of the others.
func (b *Broadcasts) Fleet() *Fleet { return b.fleet }

// Append implements routing.BroadcastLog.
func (b *Broadcasts) Append(broadcast *routing.Broadcast, ended func()) (taken <-chan struct{}) {
	return b.appender.add(broadcast, ended)
}
