package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// heart gives a replica's signs of life, and hears those of the others. What it
// hears is passed on to whoever needs it, after each beat.
type heart struct {
	log *Broadcasts
	// began is where the replica's clock counts from.
	began time.Time
	// term is the time in which this replica may hold partitions.
	term atomic.Pointer[term]
	// told counts the answers.
	told atomic.Int64
	// soon asks for a beat at once.
	soon chan struct{}

	// The rest is the beating goroutine's own.
	beats    int64
	answered int64 // the last beat that Redis has answered
	epoch    string
	// settled is when partitions may be taken that this replica did not hold:
	// after Redis lost something, their owners may not know it yet.
	settled time.Duration
	// heard is when the last answer came; failing tells that none came since.
	heard   time.Duration
	failing bool
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
	h := &heart{log: b, began: time.Now(), soon: make(chan struct{}, 1)}
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
		began := h.clock()
		view, err := h.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		h.tell(ctx, err)
		if err == nil {
			h.learn(ctx, began, view)
		}
		pause := time.NewTimer(min(notSooner, h.log.cfg.Pace.Beat))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.soon:
		}
	}
}

// tell logs when Redis goes and comes back.
func (h *heart) tell(ctx context.Context, err error) {
	switch {
	case err != nil && !h.failing:
		h.failing = true
		h.log.fleet.unheard()
		h.log.cfg.Logger.WarnContext(ctx, "redis does not answer: broadcasts are accepted and wait", "error", err)
	case err == nil && h.failing:
		h.failing = false
		h.log.cfg.Logger.InfoContext(ctx, "redis answers again: broadcasts go on")
	}
}

// view is what a beat is answered.
type view struct {
	epoch, before string
	beats, leases map[string]string
}

// beat is given up early enough for another before the term is over.
func (h *heart) beat(ctx context.Context) (view, error) {
	b := h.log
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Pace.Fence/2)
	defer cancel()
	h.beats++
	arguments := []any{string(b.cfg.Replica), sign(h.beats, b.works()), rand.Text(), b.keys.channel}
	for id, beat := range b.fleet.longDead() {
		arguments = append(arguments, string(id), beat)
	}
	keys := []string{b.keys.epoch, b.keys.beats, b.keys.leases, b.keys.calls(b.cfg.Replica)}
	reply, err := b.scripts.beat.Run(ctx, b.client, keys, arguments...).Slice()
	if err != nil {
		return view{}, fmt.Errorf("give a sign of life: %w", err)
	}
	if len(reply) != 4 {
		return view{}, errUnexpected
	}
	var v view
	v.epoch, _ = reply[0].(string)
	v.before, _ = reply[1].(string)
	beats, err1 := readPairs(reply[2])
	leases, err2 := readPairs(reply[3])
	v.beats, v.leases = beats, leases
	return v, errors.Join(err1, err2)
}

// sign is a beat: its number, and the format of the streams that the replica
// works, or - when it works none.
func sign(n int64, works bool) string {
	if works {
		return strconv.FormatInt(n, 10) + " " + logFormat
	}
	return strconv.FormatInt(n, 10) + " -"
}

func readSign(beat string) (n int64, works string) {
	number, works, _ := strings.Cut(beat, " ")
	n, _ = strconv.ParseInt(number, 10, 64)
	return n, works
}

// learn passes on what a beat was answered, which began at a time.
func (h *heart) learn(ctx context.Context, began time.Duration, v view) {
	b, now := h.log, h.clock()
	emptied := h.epoch != "" && v.epoch != h.epoch
	before, _ := readSign(v.before)
	wentBack := v.before != "" && before < h.answered
	if emptied || wentBack {
		// Others may hold what no longer stands there, for as long as a term.
		h.settled = now + b.cfg.Pace.Fence
		b.cfg.Logger.WarnContext(ctx, "redis has lost what it had; what has not ended is appended again", "everything", emptied)
	}
	another := v.epoch != h.epoch
	b.acks.learn(v.epoch)
	h.epoch, h.answered = v.epoch, h.beats
	b.appender.learn(v.epoch)
	b.fleet.observe(now, v.beats, emptied || now-h.heard > b.cfg.Pace.Fence)
	h.heard = now
	h.extend(began + b.cfg.Pace.Fence)
	b.divide(ctx, v, emptied || wentBack, emptied)
	h.told.Add(1)
	if another {
		b.warnOfEviction(ctx)
	}
}

// extend lets the term last until a time, or begins another if it is over.
func (h *heart) extend(until time.Duration) {
	t := h.term.Load()
	if !h.held(t) {
		t = &term{}
		h.term.Store(t)
	}
	t.until.Store(int64(until))
}
