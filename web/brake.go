package web

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// guessesAtOnce and guessEvery are how many wrong tokens an address may
	// present: ten, and then one every six seconds.
	guessesAtOnce = 10
	guessEvery    = 6 * time.Second
	// maxGuessers bounds the addresses that are kept. Those beyond share one
	// allowance.
	maxGuessers = 4096
	// sweepEvery bounds what looking for forgettable addresses costs.
	sweepEvery = time.Second
)

// brake slows down who guesses tokens. It counts nothing but wrong ones, so that
// whoever holds a token is let in whatever others do from the same address.
type brake struct {
	mu       sync.Mutex
	guessers map[netip.Prefix]*rate.Limiter
	beyond   *rate.Limiter
	swept    time.Time
}

func newBrake() *brake {
	return &brake{guessers: make(map[netip.Prefix]*rate.Limiter), beyond: newAllowance()}
}

func newAllowance() *rate.Limiter { return rate.NewLimiter(rate.Every(guessEvery), guessesAtOnce) }

// guessed takes note of a wrong token, and tells how long the address has to
// wait. Zero: its guesses are not too many yet.
func (b *brake) guessed(address string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	guess := b.allowance(neighbourhood(address), now).ReserveN(now, 1)
	if wait = guess.DelayFrom(now); wait > 0 {
		guess.CancelAt(now)
	}
	return wait
}

// neighbourhood is the address or, of IPv6, the network that one host has to
// itself. What is no address is one neighbourhood too.
func neighbourhood(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	network, _ := ip.Prefix(bits)
	return network
}

func (b *brake) allowance(from netip.Prefix, now time.Time) *rate.Limiter {
	if l := b.guessers[from]; l != nil {
		return l
	}
	if len(b.guessers) >= maxGuessers {
		b.sweep(now)
	}
	if len(b.guessers) >= maxGuessers {
		return b.beyond
	}
	l := newAllowance()
	b.guessers[from] = l
	return l
}

// sweep forgets who has its whole allowance again.
func (b *brake) sweep(now time.Time) {
	if now.Sub(b.swept) < sweepEvery {
		return
	}
	b.swept = now
	for from, l := range b.guessers {
		if l.TokensAt(now) >= guessesAtOnce {
			delete(b.guessers, from)
		}
	}
}
