package rediscache

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// heart gives a replica's signs of life, and hears those of the others. What it
// hears is passed on to whoever needs it, after each beat.
type heart struct {
	log *Broadcasts
	// client has one connection, which nothing else delays.
	client *redis.Client
	// began is where the replica's clock counts from.
	began time.Time
	// term is the time in which this replica may hold partitions.
	term atomic.Pointer[term]
	// told counts the answers.
	told atomic.Int64
	// soon asks for a beat at once.
	soon chan struct{}
	// broken tells that a key of the log is of another kind than it must be.
	broken atomic.Bool
	// hopeless tells that it could not be seen to, which is logged once.
	hopeless bool
	health   health

	// The rest is the beating goroutine's own.
	beats    int64
	answered int64 // the last beat that Redis has answered
	epoch    string
	// since is when it was first answered in this epoch, with nothing lost.
	since time.Duration
	// settled is when partitions may be taken that this replica did not hold: their
	// owners may not know yet what Redis has lost.
	settled time.Duration
	// believes tells that Redis knows whether that is so already: not when it has
	// lost the tail only.
	believes bool
	// heard is when the last answer came.
	heard time.Duration
	// wants and leaves are the leases that the next beat takes and gives back.
	wants  wants
	leaves []any
	// leases counts those of this replica.
	leases int64
}

// term is a time in which no sign of life was late. Once it is over it does not
// come back; the next one is another.
type term struct {
	until atomic.Int64
	over  atomic.Bool
}

// notSooner is the least time between beats that were asked for.
const notSooner = 20 * time.Millisecond

func newHeart(b *Broadcasts) *heart {
	h := &heart{log: b, client: ownClient(b.cfg.Client, 1), began: time.Now(), soon: make(chan struct{}, 1)}
	h.health.logger, h.health.bound = b.cfg.Logger, b.cfg.Pace.Fence/2
	h.term.Store(&term{})
	return h
}

// clock is the time since the heart was made, by the monotonic clock.
func (h *heart) clock() time.Duration { return time.Since(h.began) }

// held tells whether the term is not over. It is asked for each leg, and never
// says yes after a no: what was dropped then would be forgotten.
func (h *heart) held(t *term) bool {
	if t.over.Load() {
		return false
	}
	if int64(h.clock()) < t.until.Load() {
		return true
	}
	t.over.Store(true)
	return false
}

// hurry asks for a beat at once, because something has changed.
func (h *heart) hurry() {
	select {
	case h.soon <- struct{}{}:
	default: // one is asked for
	}
}

// run beats until ctx ends.
func (h *heart) run(ctx context.Context) {
	tick := time.NewTicker(h.log.cfg.Pace.Beat)
	defer tick.Stop()
	for {
		h.once(ctx)
		if ctx.Err() != nil {
			return
		}
		pause(ctx, min(notSooner, h.log.cfg.Pace.Beat))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.soon:
		}
	}
}

// once beats, and passes on what it heard.
func (h *heart) once(ctx context.Context) {
	if h.broken.Swap(false) {
		h.log.repair(ctx)
	}
	began := h.clock()
	view, err := h.beat(ctx)
	if ctx.Err() != nil {
		return
	}
	h.health.tell(ctx, h.clock()-began, err)
	if err != nil {
		h.wants, h.leaves = wants{}, nil // by then others may stand there
		h.log.suspect(err)
		h.log.fleet.unheard()
		h.log.appender.deaf()
		return
	}
	h.learn(ctx, began, view)
}

// beat gives a sign of life, with the leases that are to be taken and given back.
// It is given up early enough for another before the term is over; unless none was
// answered so soon, as when the connection has to be made first.
func (h *heart) beat(ctx context.Context) (view, error) {
	b := h.log
	patience := b.cfg.Pace.Fence / 2
	if !h.health.well() {
		patience = max(patience, readTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	h.beats++
	// By their sources: they go together, in one round trip.
	pipe := h.client.Pipeline()
	taken := redis.NewCmd(ctx)
	if len(h.wants.arguments) > 0 {
		taken = b.scripts.lease.Eval(ctx, pipe, []string{b.keys.epoch, b.keys.beats, b.keys.leases}, h.wants.arguments...)
	}
	if len(h.leaves) > 0 {
		b.scripts.free.Eval(ctx, pipe, []string{b.keys.leases}, append([]any{b.keys.channel}, h.leaves...)...)
	}
	keys := []string{b.keys.epoch, b.keys.settled, b.keys.beats, b.keys.leases, b.keys.calls(b.cfg.Replica)}
	told := b.scripts.beat.Eval(ctx, pipe, keys, h.sign()...)
	if _, err := pipe.Exec(ctx); err != nil {
		return view{}, fmt.Errorf("give a sign of life: %w", err)
	}
	v, err := readView(told)
	if err != nil || len(h.wants.arguments) == 0 {
		return v, err
	}
	v.taken, err = taken.StringSlice()
	return v, err
}

// learn passes on what a beat was answered, which began at a time.
func (h *heart) learn(ctx context.Context, began time.Duration, v view) {
	b, now := h.log, h.clock()
	before, _ := readSign(v.before)
	l := loss{emptied: h.epoch != "" && v.epoch != h.epoch, tail: v.before != "" && before < h.answered}
	if l.any() {
		b.cfg.Logger.WarnContext(ctx, "redis has lost what it had; what has not ended is appended again", "everything", l.emptied)
	}
	another := v.epoch != h.epoch
	if another || l.any() {
		// Others may hold what no longer stands there, for as long as a term.
		h.since, h.settled, h.believes = now, now+b.cfg.Pace.Fence, !l.tail
	}
	if v.settled && h.believes {
		h.settled = min(h.settled, now)
	}
	b.acks.learn(v.epoch)
	h.epoch, h.answered = v.epoch, h.beats
	b.appender.learn(v.epoch)
	b.appender.hears(now - began)
	b.fleet.observe(now, v.beats, l.emptied || now-h.heard > b.cfg.Pace.Fence)
	h.heard = now
	h.extend(began + b.cfg.Pace.Fence)
	if !l.any() { // else the leases may be those of others
		b.begin(h.wants, v)
	}
	h.wants, h.leaves = b.divide(v, l)
	if len(h.wants.arguments)+len(h.leaves) > 0 {
		h.hurry()
	}
	h.told.Add(1)
	if another {
		b.ended.Go(func() { b.warnOfEviction(ctx) })
	}
}

// loss is what Redis has lost since the last beat.
type loss struct{ emptied, tail bool }

func (l loss) any() bool { return l.emptied || l.tail }

// extend lets the term last until a time, or begins another if it is over.
func (h *heart) extend(until time.Duration) {
	t := h.term.Load()
	if !h.held(t) {
		t = &term{}
		h.term.Store(t)
	}
	t.until.Store(int64(until))
}
