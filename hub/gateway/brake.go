package gateway

import (
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// The brake on guessing tokens: an address may fail brakeBurst times at once, and
// once every brakePause on.
const (
	brakeBurst = 20
	brakePause = 3 * time.Second
	// brakeAddresses bounds what the brake remembers; who has failed longest ago
	// is forgotten first.
	brakeAddresses = 100_000
)

// brake slows those down who fail to authenticate, by where they call from. A
// valid token always passes it: platforms of many operators call from behind
// one address, and a guess at 160 random bits is not made likelier by letting
// the right one through.
type brake struct {
	failures *lru.Cache[netip.Prefix, *failures]
}

// failures are those of one neighbourhood.
type failures struct {
	left *rate.Limiter
	// braked is set from the first refusal until it has been quiet.
	braked atomic.Bool
}

func newBrake(addresses int) *brake {
	all, err := lru.New[netip.Prefix, *failures](addresses)
	if err != nil {
		panic(err) // only a size below one is refused
	}
	return &brake{all}
}

// fail counts a failure. When there were too many before it answers how long to
// wait, and whether this is the first refusal after a quiet time.
func (b *brake) fail(from netip.Addr, now time.Time) (wait time.Duration, first bool) {
	key := neighbourhood(from)
	f, found := b.failures.Get(key)
	if !found {
		f = &failures{left: rate.NewLimiter(rate.Every(brakePause), brakeBurst)}
		if before, raced, _ := b.failures.PeekOrAdd(key, f); raced {
			f = before
		}
	}
	if f.left.AllowN(now, 1) {
		if f.left.TokensAt(now) > brakeBurst/2 {
			f.braked.Store(false)
		}
		return 0, false
	}
	missing := 1 - f.left.TokensAt(now)
	return time.Duration(missing * float64(brakePause)), f.braked.CompareAndSwap(false, true)
}

// neighbourhood is whom a failure counts for: an IPv4 address, or the /64 that
// one customer has of IPv6.
func neighbourhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address, as of a socket that is no TCP
	}
	return p
}
