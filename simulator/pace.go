package simulator

import (
	"context"
	"sync"
	"time"
)

// Pace is called before every message that a driver of the simulator starts. It
// returns when the message may go, or with ctx's error. Answers and results of
// commands are not paced.
type Pace func(ctx context.Context) error

// noPace lets everything go at once.
func noPace(ctx context.Context) error { return ctx.Err() }

// EvenPace lets messagesPerSecond messages go, one after the other, without
// saving up for bursts. It may be shared.
func EvenPace(messagesPerSecond float64) Pace {
	var mu sync.Mutex
	var next time.Time
	gap := time.Duration(float64(time.Second) / messagesPerSecond)
	turn := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if next.Before(now) {
			next = now
		}
		wait := next.Sub(now)
		next = next.Add(gap)
		return wait
	}
	return func(ctx context.Context) error { return wait(ctx, turn()) }
}

// wait pauses for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
