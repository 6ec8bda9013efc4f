package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/access"
	"busbar/catalog"
	"busbar/journal"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage/lines"
	"busbar/storage/rediscache"
	"busbar/storage/seal"
	"busbar/storage/sqldb"
)

// redisWait is how long a start waits for Redis, which it can go on without.
const redisWait = time.Second

// Config says which stores to open.
type Config struct {
	// Database is sqlite:FILE or a postgres:// URL. FILE may be relative to the
	// working directory; what is missing of it is created.
	Database string
	// Redis is a redis:// or rediss:// URL. Empty: no Redis.
	Redis string
	// Namespace keeps hubs apart that share a Redis. Empty is one namespace
	// too; hubs on different databases are kept apart in any case.
	Namespace string
	// Secrets seal the outbound tokens, the callbacks' URLs and the cursors, and
	// make pseudonyms, see package seal. At least one.
	Secrets []string
	// Patience is how long Open waits for a Postgres that is down. Zero is 10
	// seconds.
	Patience time.Duration
	// Logger hears of what does not stop the hub. Nil is silence.
	Logger *slog.Logger
	// Metrics counts. Nil: nobody looks.
	Metrics prometheus.Registerer
}

// Stores are the opened stores. Close ends them.
type Stores struct {
	Platforms parties.Store
	Callbacks routing.CallbackStore
	Catalog   catalog.Store
	Outbox    routing.OutboxStore
	Lessons   routing.LessonStore
	// LessonNews tells the other replicas of lessons at once; nil for a lone hub.
	LessonNews routing.LessonNews
	Journal    journal.Store
	// AdminTokens and Audit are who may operate the hub, and what they did.
	AdminTokens access.TokenStore
	Audit       access.AuditStore
	Cache       parties.Cache
	// Feed shows operators what passes other replicas; nil for a lone one.
	Feed journal.Feed
	// Replica is this process among the replicas of the hub, Fleet what it knows
	// of the others.
	Replica routing.ReplicaID
	Fleet   routing.Fleet
	// Shares tells the replicas what platforms ask of each; nil for a lone one.
	Shares interface {
		Exchange(ctx context.Context, asked map[parties.PlatformID]int64) (others map[parties.PlatformID]int64, err error)
	}
	// Broadcasts carries accepted broadcasts to whoever fans them out.
	Broadcasts routing.BroadcastLog
	// Cursors seals what a cursor holds, as text that may stand in a URL.
	Cursors routing.Sealer
	// Names are the pseudonyms of drivers' tokens.
	Names TokenNames
	// Embedded tells that only one replica may run on these stores: they are
	// in a file, or nothing carries the news between replicas.
	Embedded bool

	parts  []*part
	logger *slog.Logger
}

// TokenNames make pseudonyms of the uids of drivers' tokens. Whoever has the
// secrets finds the pseudonym of a uid; nobody finds the uid of a pseudonym but by
// trying.
type TokenNames interface {
	// Token is the pseudonym that is written, like ~6ulhqmdvzi.
	Token(uid string) string
	// Tokens are all that may have been written: one for each secret.
	Tokens(uid string) []string
}

// Open opens the stores: it migrates the database, and seals anew the tokens
// that an older secret sealed. A database that does not answer is an error; a Redis that does
// not is only logged, since the hub works without. No error holds a password or
// a secret.
func Open(ctx context.Context, config Config) (*Stores, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Patience == 0 {
		config.Patience = 10 * time.Second
	}
	sealer, err := seal.New(config.Secrets)
	if err != nil {
		return nil, fmt.Errorf("BUSBAR_SECRET_KEY: %w", err)
	}
	names := sealer.Names()
	stores := &Stores{logger: config.Logger, Names: names, Replica: routing.ReplicaID(rand.Text())}
	db, err := stores.openDatabase(ctx, config)
	if err != nil {
		return nil, err
	}
	platforms := db.Platforms(sealer)
	stores.Platforms, stores.Callbacks = platforms, db.Callbacks(sealer)
	stores.Catalog = db.Catalog(stores.Replica)
	stores.Outbox = db.Outbox(sealer, stores.Replica)
	stores.Lessons, stores.Journal = db.Lessons(names, sealer), db.Segments()
	stores.AdminTokens, stores.Audit = db.AdminTokens(), db.Audit()
	stores.Cursors = cursors{sealer}
	if err := reseal(ctx, platforms, config.Logger); err != nil {
		return nil, errors.Join(err, stores.Close())
	}
	if config.Redis == "" {
		stores.Cache, stores.Embedded = newLocalCache(), true
		stores.Broadcasts, stores.Fleet = newLocalLog(), localFleet{stores.Replica}
		return stores, nil
	}
	if err := stores.openRedis(ctx, config, db, sealer); err != nil {
		return nil, errors.Join(err, stores.Close())
	}
	return stores, nil
}

func (s *Stores) openDatabase(ctx context.Context, config Config) (db *sqldb.DB, err error) {
	scheme, rest, _ := strings.Cut(config.Database, ":")
	switch scheme {
	case "sqlite":
		if rest == "" || rest == ":memory:" {
			return nil, errors.New("BUSBAR_DATABASE: sqlite: must be followed by the path of a file")
		}
		s.Embedded = true
		db, err = sqldb.OpenSQLite(ctx, rest)
	case "postgres", "postgresql":
		db, err = sqldb.OpenPostgres(ctx, config.Database, config.Patience)
	default:
		return nil, errors.New("BUSBAR_DATABASE: must be sqlite:FILE or a postgres:// URL")
	}
	if err != nil {
		return nil, fmt.Errorf("BUSBAR_DATABASE: %w", err)
	}
	s.add(&part{name: "database", ping: db.Ping, close: db.Close, cut: db.CutOff})
	return db, nil
}

func (s *Stores) openRedis(ctx context.Context, config Config, db *sqldb.DB, sealer *seal.Sealer) error {
	scheme, _, _ := strings.Cut(config.Redis, ":")
	if scheme != "redis" && scheme != "rediss" {
		return errors.New("BUSBAR_REDIS: must be a redis:// or rediss:// URL")
	}
	open := lines.New()
	client, err := rediscache.NewClient(config.Redis, open)
	if err != nil {
		return fmt.Errorf("BUSBAR_REDIS: %w", err)
	}
	redis := &part{
		name:  "redis",
		close: client.Close,
		cut:   open.Cut,
	}
	s.add(redis)
	// Revisions of another database say nothing about this one.
	history, err := db.History(ctx)
	if err != nil {
		return err
	}
	revision, err := s.Platforms.Revision(ctx)
	if err != nil {
		return err
	}
	namespace := config.Namespace + ":" + history
	cache := rediscache.New(rediscache.Config{
		Client: client, Namespace: namespace, Sealer: sealer, Logger: config.Logger,
	})
	s.Cache = cache
	s.Shares = rediscache.NewShares(client, namespace)
	s.Feed = rediscache.NewFeed(rediscache.FeedConfig{
		Client: client, Namespace: namespace, Replica: s.Replica, Logger: config.Logger,
	})
	s.LessonNews = rediscache.NewLessonNews(rediscache.LessonNewsConfig{
		Client: client, Namespace: namespace, Replica: s.Replica, Sealer: sealer, Logger: config.Logger,
	})
	short, cancel := context.WithTimeout(ctx, redisWait)
	defer cancel()
	if err := cache.ForgetBeyond(short, revision); err != nil {
		config.Logger.WarnContext(ctx, "redis does not answer; going on without it", "error", err)
	}
	broadcasts := s.startBroadcasts(rediscache.BroadcastsConfig{
		Client: client, Namespace: namespace, Replica: s.Replica, Sealer: sealer,
		Logger: config.Logger, Metrics: config.Metrics, Fresh: revision == 0, // nobody was ever registered
	})
	redis.ping = func(ctx context.Context) error {
		if err := client.Ping(ctx).Err(); err != nil {
			return err
		}
		return broadcasts.Ready()
	}
	return nil
}

// startBroadcasts joins the fleet.
func (s *Stores) startBroadcasts(config rediscache.BroadcastsConfig) *rediscache.Broadcasts {
	broadcasts := rediscache.NewBroadcasts(config)
	broadcasts.Start()
	s.Broadcasts, s.Fleet = broadcasts, broadcasts.Fleet()
	s.add(&part{name: "broadcasts", close: broadcasts.Close})
	return broadcasts
}

func reseal(ctx context.Context, platforms *sqldb.Platforms, logger *slog.Logger) error {
	n, err := platforms.Reseal(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		logger.InfoContext(ctx, "sealed outbound tokens with the new key", "tokens", n)
	}
	return nil
}

// CutOff ends all connections to servers, whoever waits for them: from now on they
// fail at once. What a file has goes on.
func (s *Stores) CutOff() {
	for _, part := range s.parts {
		if part.cut != nil {
			part.cut()
		}
	}
}

// Close ends all connections. Nothing may be in use any more.
func (s *Stores) Close() error {
	var errs []error
	for _, part := range s.parts {
		if err := part.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", part.name, err))
		}
	}
	return errors.Join(errs...)
}
