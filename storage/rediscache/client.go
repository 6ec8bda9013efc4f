package rediscache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The bounds of the client. Nothing that answers a request waits for Redis, so
// a slow one is given up early and few connections do. Each can be set in the
// URL, as go-redis documents for ParseURL.
const (
	dialTimeout = 2 * time.Second
	// readTimeout covers filling a copy of many platforms.
	readTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
	poolTimeout  = 2 * time.Second
	poolSize     = 8
	maxRetries   = 1
)

// NewClient makes a client for a redis:// or rediss:// URL, without connecting.
// The error never holds the password.
func NewClient(redisURL string) (*redis.Client, error) {
	muteLibrary()
	if _, err := url.Parse(redisURL); err != nil {
		// url's error quotes the URL, and its cause may quote a part of it.
		return nil, errors.New("not a valid Redis URL: must read redis://user:password@host:port/0, " +
			"with special characters percent-encoded")
	}
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return nil, fmt.Errorf("not a valid Redis URL: %w", err)
	}
	for _, setting := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&options.DialTimeout, dialTimeout}, {&options.ReadTimeout, readTimeout},
		{&options.WriteTimeout, writeTimeout}, {&options.PoolTimeout, poolTimeout},
	} {
		if *setting.value == 0 {
			*setting.value = setting.otherwise
		}
	}
	if options.PoolSize == 0 {
		options.PoolSize = poolSize
	}
	if options.MaxRetries == 0 {
		options.MaxRetries = maxRetries
	}
	// One retry is enough, and a dial is not retried within it.
	options.DialerRetries = 1
	options.ContextTimeoutEnabled = true
	// The server's maintenance push is a feature of one vendor; asking others
	// for it costs a round trip on each connection.
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// muteLibrary stops go-redis from writing to stderr past the hub's log: its logger
// is the library's own global. What it would say comes back as errors, which
// are logged once.
var muteLibrary = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

type quiet struct{}

// Printf implements go-redis' logger.
func (quiet) Printf(context.Context, string, ...any) {}
