package rediscache_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

// swallower is the network to a Redis, which can swallow what is sent.
type swallower struct {
	swallows atomic.Bool
	// swallowed has a value for the first calls that were.
	swallowed chan struct{}
}

type swallowingConn struct {
	net.Conn
	*swallower
}

func (s *swallower) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return swallowingConn{conn, s}, err
}

func (c swallowingConn) Write(call []byte) (int, error) {
	if !c.swallows.Load() {
		return c.Conn.Write(call)
	}
	select {
	case c.swallowed <- struct{}{}:
	default: // enough are known
	}
	return len(call), nil
}

// TestRunEndsSoonThoughRedisHangs: all partitions ask a Redis that does not answer,
// a few at a time. Those that still wait for their turn when Run is to end do not
// ask any more.
func TestRunEndsSoonThoughRedisHangs(t *testing.T) {
	t.Parallel()
	plain := client(t, storagetest.Redis(t))
	wire := &swallower{swallowed: make(chan struct{}, 8)}
	options := *plain.Options()
	options.Dialer = wire.dial
	through := redis.NewClient(&options)
	t.Cleanup(func() { through.Close() })
	sealer, err := seal.New([]string{storagetest.Secret(0)})
	if err != nil {
		t.Fatal(err)
	}
	namespace := storagetest.Namespace(t)
	log := rediscache.NewBroadcasts(rediscache.BroadcastsConfig{
		Client: through, Namespace: namespace, Replica: "hangs", Sealer: sealer, Fresh: true,
		Pace: rediscache.Pace{Fence: time.Second, Dead: 2 * time.Second, HandOver: 100 * time.Millisecond, Look: 50 * time.Millisecond},
	})
	log.Start()
	t.Cleanup(func() { log.Close() })
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); log.Run(ctx, func(routing.Handed) {}) }()
	storagetest.Eventually(t, "all partitions are held", func() bool {
		return plain.HLen(t.Context(), "busbar:{"+namespace+"}:broadcasts:1:leases").Val() == 32
	})

	wire.swallows.Store(true)
	for range cap(wire.swallowed) {
		<-wire.swallowed
	}
	end()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Error("Run has not ended after 15 s")
	}
}
