package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Bounds of what one platform may take of the hub.
const (
	// MaxConns is the most connections to one host of one platform. Of these, calls
	// for one requester never have more than they leave free.
	MaxConns = 256
	// MaxAnswer is the largest answer body, in bytes: peers that ignore limit
	// send their whole list at once.
	MaxAnswer = 64 << 20

	dialTimeout = 5 * time.Second
	idleTimeout = 30 * time.Second
	// The breaker opens after this many failed dials in a row, and lets one
	// dial try again after the pause.
	breakerFailures = 5
	breakerPause    = time.Second
	// A dial that its requester cut short before this says nothing about the
	// host.
	fairDial = time.Second
)

// Dialer opens connections for all clients.
type Dialer struct {
	net net.Dialer
	tls *tls.Config
	// What follows is dial and the bounds above; tests set their own.
	open                func(context.Context, *Target) (net.Conn, error)
	maxConns, maxAnswer int
	memory              func() Memory
}

// DialerConfig configures a Dialer.
type DialerConfig struct {
	// AllowPrivate switches the address guard off: platforms may live on
	// private and loopback addresses.
	AllowPrivate bool
	// TLS is the base of every TLS configuration; nil means the system's roots.
	// The server name is filled in, and TLS 1.2 is the least.
	TLS *tls.Config
	// Memory makes the bound of one platform on the bytes of answers beyond 64 KiB
	// each; nil makes none.
	Memory func() Memory
}

// NewDialer makes a Dialer.
func NewDialer(cfg DialerConfig) *Dialer {
	d := &Dialer{
		net: net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}, tls: &tls.Config{},
		maxConns: MaxConns, maxAnswer: MaxAnswer, memory: cfg.Memory,
	}
	if d.memory == nil {
		d.memory = func() Memory { return unbounded{} }
	}
	d.open = d.dial
	if cfg.TLS != nil {
		d.tls = cfg.TLS.Clone()
	}
	d.tls.MinVersion = max(d.tls.MinVersion, tls.VersionTLS12)
	if d.tls.ClientSessionCache == nil {
		d.tls.ClientSessionCache = tls.NewLRUClientSessionCache(1024)
	}
	if !cfg.AllowPrivate {
		d.net.Control = guard
	}
	return d
}

// dial opens one connection and, for https, completes the TLS handshake.
func (d *Dialer) dial(ctx context.Context, t *Target) (net.Conn, error) {
	dialer := d.net
	if t.guarded {
		dialer.Control = guard
	}
	c, err := dialer.DialContext(ctx, "tcp", t.addr)
	if err != nil || !t.tls {
		return c, err
	}
	host, _, err := net.SplitHostPort(t.addr)
	if err != nil {
		c.Close()
		return nil, err
	}
	cfg := d.tls.Clone()
	cfg.ServerName = host
	tc := tls.Client(c, cfg)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return tc, nil
}

// errUnfair marks a dial that was cut short by its requester.
var errUnfair = errors.New("the requester did not wait for the connection")

// newPool makes the pool for the host of t. Its breaker guards dialling only:
// while a host refuses connections, requests to it fail at once, and a host
// that is up costs nothing.
func (d *Dialer) newPool(t Target, guarded bool) *pool {
	t.guarded = guarded
	breaker := gobreaker.NewCircuitBreaker[net.Conn](gobreaker.Settings{
		Timeout:     breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errUnfair) },
	})
	dial := func(ctx context.Context) (net.Conn, error) {
		start := time.Now()
		c, err := d.open(ctx, &t)
		deadline, _ := ctx.Deadline()
		tooLate := !time.Now().Before(deadline) && time.Since(start) < fairDial
		if err != nil && (tooLate || errors.Is(ctx.Err(), context.Canceled)) {
			err = fmt.Errorf("%w: %w", errUnfair, err)
		}
		return c, err
	}
	return &pool{
		max: d.maxConns, idleFor: idleTimeout,
		dial: func(ctx context.Context) (net.Conn, error) {
			return breaker.Execute(func() (net.Conn, error) { return dial(ctx) })
		},
	}
}
