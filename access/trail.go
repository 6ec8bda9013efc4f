package access

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Trail takes note of changes.
//
// A change is begun before anything is changed, and what cannot be begun must
// not be done: so no change is without its entry. How it ended is recorded before
// the answer is given. If that fails, the change cannot be undone any more: the
// entry stays Attempted, and the trail goes on trying to end it.
type Trail struct {
	cfg TrailConfig
	// late are the entries that could not be recorded when it was time.
	late chan Entry

	mu sync.Mutex
	// last is the moment in the newest id, in microseconds.
	last int64
}

// TrailConfig wires a Trail.
type TrailConfig struct {
	// Store and Logger are needed.
	Store  AuditStore
	Logger *slog.Logger
	// Retention is how long entries are kept; zero is forever.
	Retention time.Duration
}

// maxLate bounds the entries that wait for the record to be there again.
const maxLate = 1000

// NewTrail makes a Trail. Run keeps its books.
func NewTrail(cfg TrailConfig) *Trail {
	return &Trail{cfg: cfg, late: make(chan Entry, maxLate)}
}

// Begin records that something is attempted. It must not be done if that fails.
func (t *Trail) Begin(ctx context.Context, e Entry) (Entry, error) {
	e = t.named(e)
	e.Outcome = Attempted
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := t.cfg.Store.SaveEntry(ctx, e.bounded()); err != nil {
		return e, fmt.Errorf("begin an entry of the audit trail: %w", err)
	}
	return e, nil
}

// Record records how something ended, whether it was begun or not, also for a
// caller who went away. After an error the trail goes on trying.
func (t *Trail) Record(ctx context.Context, e Entry) error {
	e = t.named(e).bounded()
	err := t.save(ctx, e)
	if err == nil {
		return nil
	}
	select {
	case t.late <- e:
		return err
	default:
		return errors.Join(err, fmt.Errorf("%d entries wait already, so this one is given up", maxLate))
	}
}

func (t *Trail) save(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := t.cfg.Store.SaveEntry(ctx, e); err != nil {
		return fmt.Errorf("record %s by %s in the audit trail: %w", e.Action, e.Actor.Name, err)
	}
	return nil
}

// named gives an entry its time and id, unless it has them.
func (t *Trail) named(e Entry) Entry {
	if e.ID != "" {
		return e
	}
	e.Time = recorded(time.Now())
	t.mu.Lock()
	// Two entries of this process are in order also when the clock was set back.
	t.last = max(t.last+1, e.Time.UnixMicro())
	at := t.last
	t.mu.Unlock()
	var raw [6]byte
	rand.Read(raw[:])
	e.ID = fmt.Sprintf("%016x", at) + hex.EncodeToString(raw[:])
	return e
}

// idLength is that of an ID.
const idLength = 28

// ErrCursor refuses a cursor that the trail did not give.
var ErrCursor = errors.New("is not one that this API gave")

// Search finds entries, the newest first; next is the Before of the next page,
// and empty on the last one. It fails with ErrCursor.
func (t *Trail) Search(ctx context.Context, q Query) (entries []Entry, next string, err error) {
	if q.Before != "" {
		if _, err := strconv.ParseUint(q.Before[:min(16, len(q.Before))], 16, 64); err != nil || len(q.Before) != idLength {
			return nil, "", ErrCursor
		}
	}
	limit := q.Limit
	q.Limit++ // to see whether there is more
	entries, err = t.cfg.Store.Entries(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("search the audit trail: %w", err)
	}
	if len(entries) > limit {
		entries = slices.Clip(entries[:limit])
		next = entries[limit-1].ID
	}
	return entries, next, nil
}

const (
	retryEvery    = time.Second
	forgetEvery   = time.Hour
	forgetTimeout = 5 * time.Minute
)

// Run records what came late, and forgets what is older than the retention,
// until ctx ends; then it tries once more to record what is left.
func (t *Trail) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { t.recordLate(ctx) })
	if t.cfg.Retention > 0 {
		running.Go(func() { t.forget(ctx) })
	}
	running.Wait()
}

func (t *Trail) recordLate(ctx context.Context) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.recordLast(ctx)
			return
		case e := <-t.late:
			for t.save(ctx, e) != nil {
				select {
				case <-ctx.Done():
					t.giveUp(e, t.save(ctx, e))
					t.recordLast(ctx)
					return
				case <-tick.C:
				}
			}
		}
	}
}

// recordLast stops at the first entry that the record does not take.
func (t *Trail) recordLast(ctx context.Context) {
	var err error
	for range len(t.late) {
		e := <-t.late
		if err == nil {
			err = t.save(ctx, e)
		}
		t.giveUp(e, err)
	}
}

func (t *Trail) giveUp(e Entry, err error) {
	if err != nil {
		t.cfg.Logger.Error("an entry of the audit trail is lost", "entry", e.ID, "action", e.Action, "actor", e.Actor.Name,
			"target", e.Target, "outcome", e.Outcome, "error", err)
	}
}

func (t *Trail) forget(ctx context.Context) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, forgetTimeout)
		n, err := t.cfg.Store.ForgetEntries(asking, time.Now().Add(-t.cfg.Retention))
		cancel()
		if err != nil && ctx.Err() == nil {
			t.cfg.Logger.Warn("forget old entries of the audit trail", "error", err)
		} else if n > 0 {
			t.cfg.Logger.Debug("old entries of the audit trail forgotten", "entries", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
