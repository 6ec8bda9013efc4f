package rediscache

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"busbar/parties"
	"busbar/storage/seal"
)

//go:embed announce.lua
var announceScript string

//go:embed fill.lua
var fillScript string

//go:embed forget.lua
var forgetScript string

// wrongType begins Redis' refusal to use a key as what it is not.
const wrongType = "WRONGTYPE"

// mostAhead bounds how far beyond a gap the newest change may be before the
// copy is thrown away.
const mostAhead = 1000

// Cache is the copy of the registrations that the replicas of one hub share. It
// implements parties.Cache and is safe for concurrent use.
type Cache struct {
	client  *redis.Client
	sealer  *seal.Sealer
	logger  *slog.Logger
	key     string
	channel string

	announce, fill, forget *redis.Script
}

var _ parties.Cache = (*Cache)(nil)

// Config says where the copy is and who may read it.
type Config struct {
	// Client stays the caller's to close.
	Client *redis.Client
	// Namespace keeps the copies of several hubs apart in one Redis. Replicas
	// of one hub have the same.
	Namespace string
	// Sealer seals the outbound tokens.
	Sealer *seal.Sealer
	// Logger hears of what is dealt with here: a lost subscription, a copy that
	// cannot be read. Nil is silence.
	Logger *slog.Logger
}

// New makes a Cache. It does not ask Redis.
func New(config Config) *Cache {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	prefix := "busbar:{" + config.Namespace + "}:"
	return &Cache{
		client: config.Client, sealer: config.Sealer, logger: logger,
		key: prefix + "directory:" + format, channel: prefix + "changes",
		announce: redis.NewScript(announceScript),
		fill:     redis.NewScript(fillScript),
		forget:   redis.NewScript(forgetScript),
	}
}

// Load implements parties.Cache. A copy that cannot be read, as after a change
// of keys, counts as none, so that the caller replaces it.
func (c *Cache) Load(ctx context.Context) (parties.Record, bool, error) {
	fields, err := c.client.HGetAll(ctx, c.key).Result()
	if redis.HasErrorPrefix(err, wrongType) {
		c.unreadable(ctx, err)
		return parties.Record{}, false, nil
	}
	if err != nil {
		return parties.Record{}, false, fmt.Errorf("load the cached directory: %w", err)
	}
	if len(fields) == 0 {
		return parties.Record{}, false, nil
	}
	record, err := c.read(fields)
	if err != nil {
		c.unreadable(ctx, err)
		return parties.Record{}, false, nil
	}
	return record, true, nil
}

func (c *Cache) read(fields map[string]string) (record parties.Record, err error) {
	if record.Revision, err = strconv.ParseInt(fields[revisionField], 10, 64); err != nil {
		return record, errors.New("it has no revision")
	}
	if record.Agreements, err = decodeAgreements(fields[agreementsField]); err != nil {
		return record, err
	}
	for field, row := range fields {
		if !strings.HasPrefix(field, platformField("")) {
			continue
		}
		p, err := decode(row, c.sealer)
		if err != nil {
			return record, err
		}
		record.Platforms = append(record.Platforms, p)
	}
	return record, nil
}

// Get implements parties.Cache.
func (c *Cache) Get(ctx context.Context, id parties.PlatformID) (parties.Platform, int64, error) {
	row, revision, err := c.field(ctx, platformField(id))
	if err != nil {
		return parties.Platform{}, 0, fmt.Errorf("load cached platform %s: %w", id, err)
	}
	if row == "" {
		return parties.Platform{}, revision, nil
	}
	p, err := decode(row, c.sealer)
	if err != nil {
		c.unreadable(ctx, err)
		return parties.Platform{}, 0, nil
	}
	return p, revision, nil
}

// Agreements implements parties.Cache.
func (c *Cache) Agreements(ctx context.Context) ([]parties.Agreement, int64, error) {
	row, revision, err := c.field(ctx, agreementsField)
	if err != nil {
		return nil, 0, fmt.Errorf("load cached agreements: %w", err)
	}
	if revision == 0 {
		return nil, 0, nil
	}
	all, err := decodeAgreements(row)
	if err != nil {
		c.unreadable(ctx, err)
		return nil, 0, nil
	}
	return all, revision, nil
}

// Revision implements parties.Cache.
func (c *Cache) Revision(ctx context.Context) (int64, bool, error) {
	revision, err := c.client.HGet(ctx, c.key, revisionField).Int64()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the cached revision: %w", err)
	}
	return revision, true, nil
}

// field reads one field, empty when it is not there, and up to which revision the
// copy has its changes; 0 when there is no copy.
func (c *Cache) field(ctx context.Context, field string) (row string, revision int64, err error) {
	values, err := c.client.HMGet(ctx, c.key, revisionField, "t:"+field, field).Result()
	if err != nil {
		return "", 0, err
	}
	stands, there := values[0].(string)
	if !there {
		return "", 0, nil
	}
	if revision, err = strconv.ParseInt(stands, 10, 64); err != nil {
		return "", 0, errors.New("the copy's revision is no number")
	}
	if ahead, ok := values[1].(string); ok {
		newest, err := strconv.ParseInt(ahead, 10, 64)
		if err != nil {
			return "", 0, errors.New("a change's revision is no number")
		}
		revision = max(revision, newest)
	}
	row, _ = values[2].(string)
	return row, revision, nil
}

func (c *Cache) unreadable(ctx context.Context, err error) {
	c.logger.WarnContext(ctx, "the cached registrations cannot be read and will be replaced", "error", err)
}

// Fill implements parties.Cache. What was announced beyond the revision stays.
func (c *Cache) Fill(ctx context.Context, record parties.Record) error {
	agreements, err := encodeAgreements(record.Agreements)
	if err != nil {
		return fmt.Errorf("cache the directory: %w", err)
	}
	arguments := make([]any, 0, 3+2*len(record.Platforms))
	arguments = append(arguments, record.Revision, agreementsField, agreements)
	for _, p := range record.Platforms {
		row, err := encode(p, p.Revision, c.sealer)
		if err != nil {
			return fmt.Errorf("cache the directory: %w", err)
		}
		arguments = append(arguments, platformField(p.ID), row)
	}
	if err := c.fill.Run(ctx, c.client, []string{c.key}, arguments...).Err(); err != nil {
		return fmt.Errorf("cache the directory: %w", err)
	}
	return nil
}

// Announce implements parties.Cache. The platform is kept as of change.Revision,
// whatever its own Revision says. Without a copy, or with an empty ID, it only
// tells the replicas.
func (c *Cache) Announce(ctx context.Context, change parties.Change, p *parties.Platform) error {
	field, row := "", ""
	if change.ID != "" {
		field = platformField(change.ID)
	}
	if p != nil {
		var err error
		if row, err = encode(*p, change.Revision, c.sealer); err != nil {
			return fmt.Errorf("announce revision %d: %w", change.Revision, err)
		}
	}
	return c.tell(ctx, change, field, row)
}

// AnnounceAgreements implements parties.Cache.
func (c *Cache) AnnounceAgreements(ctx context.Context, all []parties.Agreement, revision int64) error {
	row, err := encodeAgreements(all)
	if err != nil {
		return fmt.Errorf("announce revision %d: %w", revision, err)
	}
	return c.tell(ctx, parties.Change{Revision: revision, Agreements: true}, agreementsField, row)
}

// tell brings a field into the copy, as a change wrote it, and publishes the
// change.
func (c *Cache) tell(ctx context.Context, change parties.Change, field, row string) error {
	message, err := json.Marshal(news{Revision: change.Revision, ID: change.ID, Agreements: change.Agreements})
	if err != nil {
		return fmt.Errorf("announce revision %d: %w", change.Revision, err)
	}
	err = c.announce.Run(ctx, c.client, []string{c.key},
		change.Revision, field, row, c.channel, message, mostAhead).Err()
	if err != nil {
		return fmt.Errorf("announce revision %d: %w", change.Revision, err)
	}
	return nil
}

// ForgetBeyond implements parties.Cache. Fill would be refused until the store
// has caught up.
func (c *Cache) ForgetBeyond(ctx context.Context, newest int64) error {
	if err := c.forget.Run(ctx, c.client, []string{c.key}, newest).Err(); err != nil {
		return fmt.Errorf("check cached platforms: %w", err)
	}
	return nil
}
