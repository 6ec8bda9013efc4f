package rediscache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"busbar/storage/lines"
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
// Its connections are among the lines; nil: nobody cuts them. The error never
// holds the password.
func NewClient(redisURL string, through *lines.Lines) (*redis.Client, error) {
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
	// To say which library calls would cost a slow network one more round trip on
	// each connection.
	options.DisableIdentity = true
	options.Dialer = dialer(options, through)
	// The server's maintenance push is a feature of one vendor; asking others
	// for it costs a round trip on each connection.
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// dialer connects as go-redis would, but through the lines.
func dialer(options *redis.Options, through *lines.Lines) func(ctx context.Context, network, address string) (net.Conn, error) {
	if through == nil {
		through = lines.New()
	}
	timeout, encryption := options.DialTimeout, options.TLSConfig
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn, err := through.Dial(ctx, network, address)
		if err != nil || encryption == nil {
			return conn, err
		}
		encrypted := tls.Client(conn, encryption)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return encrypted, nil
	}
}

// muteLibrary stops go-redis from writing to stderr past the hub's log: its logger
// is the library's own global. What it would say comes back as errors, which
// are logged once.
var muteLibrary = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

type quiet struct{}

// Printf implements go-redis' logger.
func (quiet) Printf(context.Context, string, ...any) {}
