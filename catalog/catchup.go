package catalog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// errEnded answers who waits for a catalog that follows no more.
var errEnded = errors.New("the catalog has stopped following the record")

// catchUps are those who wait until memory has what the record has.
type catchUps struct {
	// reached is the revision up to which memory has everything; -1 before the
	// load.
	reached atomic.Int64
	// wake has a value when Run is to follow now; ended is closed when it ends.
	wake, ended chan struct{}

	mu      sync.Mutex
	waiting []*catchUp
	// follows counts those that began.
	follows int64
}

// catchUp waits for a revision, or for the end of a follow that began after so
// many others had begun.
type catchUp struct {
	revision, follows int64
	// answer has room, so that nobody waits for whoever gave up.
	answer chan error
}

func newCatchUps() *catchUps {
	u := &catchUps{wake: make(chan struct{}, 1), ended: make(chan struct{})}
	u.reached.Store(-1)
	return u
}

// CatchUp returns when the catalog has everything up to the revision or, if the
// record has none so high, everything that the record has. The error is the
// record's, or the context's.
func (c *Catalog) CatchUp(ctx context.Context, revision int64) error {
	u := c.catchUps
	if u.reached.Load() >= revision {
		return nil
	}
	mine := u.join(revision)
	if mine == nil {
		return nil
	}
	select {
	case err := <-mine.answer:
		return err
	case <-ctx.Done():
		u.leave(mine)
		return ctx.Err()
	case <-u.ended:
		select {
		case err := <-mine.answer:
			return err
		default:
			return errEnded
		}
	}
}

// Reached is the revision up to which the catalog has everything; -1 before the
// load.
func (c *Catalog) Reached() int64 { return c.catchUps.reached.Load() }

// join makes Run follow; nil when that is not needed any more. Before the load it
// will, once that has succeeded.
func (u *catchUps) join(revision int64) *catchUp {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reached.Load() >= revision {
		return nil
	}
	mine := &catchUp{revision, u.follows, make(chan error, 1)}
	u.waiting = append(u.waiting, mine)
	select {
	case u.wake <- struct{}{}:
	default: // it has not yet seen the last wake
	}
	return mine
}

func (u *catchUps) leave(mine *catchUp) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = slices.DeleteFunc(u.waiting, func(w *catchUp) bool { return w == mine })
}

// reach notes that memory has everything up to a revision. A restored record may
// take it back.
func (u *catchUps) reach(revision int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reached.Store(revision)
	u.answer(nil, func(w *catchUp) bool { return w.revision <= revision })
}

// begin notes that a follow begins.
func (u *catchUps) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.follows++
}

// finish answers all who came before the follow that began last, which is over.
func (u *catchUps) finish(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer(err, func(w *catchUp) bool { return w.follows < u.follows })
}

// answer is called with the lock held.
func (u *catchUps) answer(err error, whom func(*catchUp) bool) {
	u.waiting = slices.DeleteFunc(u.waiting, func(w *catchUp) bool {
		if !whom(w) {
			return false
		}
		w.answer <- err
		return true
	})
}
