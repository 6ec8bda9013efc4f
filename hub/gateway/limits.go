package gateway

import (
	"context"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"busbar/parties"
)

// Limits bound what one platform may take of the hub; zero is no limit.
type Limits struct {
	// Concurrency is how many requests of a platform this replica works on at
	// once.
	Concurrency int
	// Rate is how many requests per second all replicas together take of a
	// platform, with a burst of one second's worth or of leastBurst.
	Rate int
}

// Shares carries between the replicas what platforms ask of each. Without it,
// or while it fails, each replica allows the whole rate.
type Shares interface {
	// Exchange tells how many requests each platform made to this replica in the
	// last second, and learns how many these made to the others in theirs.
	Exchange(ctx context.Context, asked map[parties.PlatformID]int64) (others map[parties.PlatformID]int64, err error)
}

const (
	leastBurst = 10
	// shareEvery is how often the replicas tell each other.
	shareEvery = time.Second
	// unseenPart of the rate may be asked of a replica without the others
	// hearing of it: twenty replicas can pass no limit unseen, and quiet
	// platforms cost nothing.
	unseenPart = 20
)

// limits knows the allowance of each platform. A request finds it by one look
// into a map that never changes, and takes no lock that platforms share.
type limits struct {
	Limits
	directory *parties.Directory
	shares    Shares

	byID atomic.Pointer[map[parties.PlatformID]*allowance]
	mu   sync.Mutex // serialises writers
}

// allowance is what one platform takes of this replica.
type allowance struct {
	running atomic.Int64
	// asked counts the requests since the last exchange, refused ones too.
	asked atomic.Int64
	// pace is nil without a rate.
	pace *rate.Limiter
}

func newLimits(l Limits, d *parties.Directory, s Shares) *limits {
	all := &limits{Limits: l, directory: d, shares: s}
	all.byID.Store(&map[parties.PlatformID]*allowance{})
	return all
}

// enter lets a request in, or says why not. What it returns must leave.
func (l *limits) enter(id parties.PlatformID, now time.Time) (*allowance, error) {
	if l.Limits == (Limits{}) {
		return nil, nil
	}
	a := (*l.byID.Load())[id]
	if a == nil {
		a = l.add(id)
	}
	if a.pace != nil {
		a.asked.Add(1)
		if !a.pace.AllowN(now, 1) {
			return nil, overRate(l.Rate, untilNext(a.pace))
		}
	}
	if n := a.running.Add(1); l.Concurrency > 0 && n > int64(l.Concurrency) {
		a.running.Add(-1)
		return nil, overConcurrency(l.Concurrency)
	}
	return a, nil
}

// leave ends what enter let in.
func (a *allowance) leave() {
	if a != nil {
		a.running.Add(-1)
	}
}

// untilNext is the time between two requests at the present rate.
func untilNext(l *rate.Limiter) time.Duration {
	return time.Duration(float64(time.Second) / max(float64(l.Limit()), 1e-3))
}

// add makes the allowances of all platforms that have none, so that a hub with
// thousands copies the map once and not for each.
func (l *limits) add(id parties.PlatformID) *allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := maps.Clone(*l.byID.Load())
	for _, e := range l.directory.Snapshot().Platforms() {
		if next[e.Platform.ID] == nil {
			next[e.Platform.ID] = l.fresh()
		}
	}
	if next[id] == nil {
		next[id] = l.fresh() // it was deleted a moment ago
	}
	l.byID.Store(&next)
	return next[id]
}

func (l *limits) fresh() *allowance {
	a := &allowance{}
	if l.Rate > 0 {
		a.pace = rate.NewLimiter(rate.Limit(l.Rate), burst(float64(l.Rate)))
	}
	return a
}

func burst(perSecond float64) int { return max(leastBurst, int(math.Ceil(perSecond))) }

// forget takes the allowances of deleted platforms away.
func (l *limits) forget() {
	snapshot := l.directory.Snapshot()
	gone := func(id parties.PlatformID, a *allowance) bool {
		return snapshot.Platform(id) == nil && a.running.Load() == 0
	}
	for id, a := range *l.byID.Load() {
		if !gone(id, a) {
			continue
		}
		l.mu.Lock()
		next := maps.Clone(*l.byID.Load())
		maps.DeleteFunc(next, gone)
		l.byID.Store(&next)
		l.mu.Unlock()
		return
	}
}

// run shares the rates between the replicas until ctx ends. No request waits for
// it.
func (l *limits) run(ctx context.Context) {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			l.forget()
			l.share(ctx, now)
		}
	}
}

// share tells the other replicas what was asked of this one in the last second,
// and gives every platform its part of the rate here: in the proportion in which
// it asks the replicas, so that the sum keeps to the limit wherever its requests
// arrive.
func (l *limits) share(ctx context.Context, now time.Time) {
	if l.Rate == 0 || l.shares == nil {
		return
	}
	asked := make(map[parties.PlatformID]int64)
	for id, a := range *l.byID.Load() {
		if n := a.asked.Swap(0); n*unseenPart > int64(l.Rate) {
			asked[id] = n
		}
	}
	var others map[parties.PlatformID]int64
	if len(asked) > 0 {
		bounded, cancel := context.WithTimeout(ctx, shareEvery)
		defer cancel()
		var err error
		if others, err = l.shares.Exchange(bounded, asked); err != nil {
			others = nil // each for itself until the replicas hear of each other again
		}
	}
	for id, a := range *l.byID.Load() {
		part := localRate(l.Rate, asked[id], others[id])
		if a.pace.Limit() != rate.Limit(part) {
			a.pace.SetLimitAt(now, rate.Limit(part))
			a.pace.SetBurstAt(now, burst(part))
		}
	}
}

// localRate is this replica's part of a limit: what the others leave of it or,
// when all together ask for more, its part of what is asked.
func localRate(limit int, own, others int64) float64 {
	if own == 0 || others == 0 {
		return float64(limit)
	}
	return max(float64(limit)-float64(others), float64(limit)*float64(own)/float64(own+others))
}
