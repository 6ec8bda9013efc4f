package rediscache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// health is how Redis answers the signs of life.
type health struct {
	logger *slog.Logger
	// bound is what a beat may take, so that the next is answered before the term
	// is over.
	bound time.Duration

	mu sync.Mutex
	// err is why the last beat was not answered, took how long it was under way.
	err  error
	took time.Duration
	// late counts those that took too long, one after the other. The first may have
	// made a connection.
	late int
	// begun tells that there was one.
	begun bool
}

// ErrSlow says that no replica can hold partitions.
var ErrSlow = errors.New("redis answers too slowly for broadcasts to be sent; they wait")

// well tells that the last beat was answered in time.
func (h *health) well() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.begun && h.err == nil && h.late == 0
}

func (h *health) slow() bool { return h.late > 1 }

// tooSlow tells that leases would be over before the next beat is answered.
func (h *health) tooSlow() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slow()
}

// tell takes note of a beat. The log has one line when Redis goes or becomes slow,
// and one when that is over.
func (h *health) tell(ctx context.Context, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	failed, slow := h.err != nil, h.slow()
	h.begun, h.took, h.err = true, took, err
	switch {
	case err != nil:
	case took > h.bound:
		h.late++
	default:
		h.late = 0
	}
	switch {
	case err != nil && !failed:
		h.logger.WarnContext(ctx, "redis does not answer: broadcasts are accepted and wait", "error", err)
	case err == nil && failed:
		h.logger.InfoContext(ctx, "redis answers again: broadcasts go on")
	}
	switch {
	case h.slow() && !slow:
		h.logger.WarnContext(ctx, ErrSlow.Error(), "took", took, "at_most", h.bound)
	case !h.slow() && slow:
		h.logger.InfoContext(ctx, "redis answers fast enough for broadcasts again", "took", took)
	}
}

// last is how long the last beat took, and why broadcasts wait, if they do.
func (h *health) last() (took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.err != nil:
		return h.took, h.err
	case h.slow():
		return h.took, fmt.Errorf("%w: %s, at most %s", ErrSlow, h.took.Round(time.Millisecond), h.bound)
	}
	return h.took, nil
}

// Ready tells why Redis does not carry broadcasts, if it does not: it may answer all
// the same, too slowly or as a server that takes no writes. It asks nobody; whether
// there is a connection, whoever asks Redis learns sooner.
func (b *Broadcasts) Ready() error {
	_, err := b.heart.health.last()
	var refusal redis.Error
	if errors.Is(err, ErrSlow) || errors.As(err, &refusal) {
		return err
	}
	return nil
}
