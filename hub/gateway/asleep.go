package gateway

import (
	"context"
	"sync/atomic"
	"time"
)

// asleep notices that the whole process stood still: it was stopped, or its machine
// was. What wakes up finds requests whose senders have given up long ago and sent
// something newer to another replica.
type asleep struct {
	born time.Time
	// beat is when the process last beat, doubtful until when senders are looked
	// after, both since born.
	beat, doubtful atomic.Int64
}

const (
	beatEvery = 500 * time.Millisecond
	// stoodStill is a pause between two beats that no busy machine makes.
	stoodStill = 3 * time.Second
	// wakingUp is how long requests may still be old ones after that.
	wakingUp = 5 * time.Second
)

func newAsleep() *asleep { return &asleep{born: time.Now()} }

// run beats until ctx ends.
func (a *asleep) run(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		now := time.Since(a.born)
		a.wasAt(now)
		a.beat.Store(int64(now))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// wasAt tells whether the process stood still a moment ago.
func (a *asleep) wasAt(now time.Duration) bool {
	if now-time.Duration(a.beat.Load()) > stoodStill {
		a.doubtful.Store(int64(now + wakingUp))
		return true
	}
	return now < time.Duration(a.doubtful.Load())
}
