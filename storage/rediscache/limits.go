package rediscache

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"busbar/parties"
)

//go:embed limits.lua
var limitsScript string

const (
	// askedFor is how long what a replica told counts, by Redis' clock: three
	// rounds, so that one that is late is not taken for one that is gone.
	askedFor = 3 * time.Second
	// exchangeBatch bounds the keys of one script, which nothing else in Redis
	// runs beside.
	exchangeBatch = 500
)

// Shares tells the replicas of a hub how much platforms ask of each of them. A key
// holds what was asked for one platform, a field a replica; keys expire when
// nobody tells any more. It implements gateway.Shares.
type Shares struct {
	client  *redis.Client
	prefix  string
	replica string
	script  *redis.Script
}

// NewShares makes the Shares of one replica. The client stays the caller's to
// close; namespace is Config's.
func NewShares(client *redis.Client, namespace string) *Shares {
	return &Shares{
		client: client, prefix: "busbar:{" + namespace + "}:asked:", replica: rand.Text(),
		script: redis.NewScript(limitsScript),
	}
}

// Exchange implements gateway.Shares.
func (s *Shares) Exchange(ctx context.Context, asked map[parties.PlatformID]int64) (map[parties.PlatformID]int64, error) {
	others := make(map[parties.PlatformID]int64, len(asked))
	ids, keys := make([]parties.PlatformID, 0, exchangeBatch), make([]string, 0, exchangeBatch)
	arguments := make([]any, 0, 2+exchangeBatch)
	flush := func() error {
		sums, err := s.script.Run(ctx, s.client, keys, arguments...).Int64Slice()
		if err != nil || len(sums) != len(ids) {
			return fmt.Errorf("share what platforms ask: %d answers: %w", len(sums), err)
		}
		for i, id := range ids {
			others[id] = sums[i]
		}
		return nil
	}
	begin := func() {
		ids, keys = ids[:0], keys[:0]
		arguments = append(arguments[:0], s.replica, askedFor.Milliseconds())
	}
	begin()
	for id, n := range asked {
		ids, keys, arguments = append(ids, id), append(keys, s.prefix+string(id)), append(arguments, n)
		if len(ids) == exchangeBatch {
			if err := flush(); err != nil {
				return nil, err
			}
			begin()
		}
	}
	if len(ids) > 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return others, nil
}
