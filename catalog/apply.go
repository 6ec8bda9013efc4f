package catalog

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"busbar/ocpi"
)

// waiter is a push on its way through the committer.
type waiter struct {
	*push
	claim atomic.Int32
	// answer is read by Apply; it has room, so that nobody waits for that.
	answer chan answer
	// due is when Apply has to have the answer.
	due time.Time

	// What the committer found, until the commit has succeeded.
	applied Applied
	refusal *ocpi.Error
	// writes are how many pushes of the batch had written the object by then.
	writes int
}

type answer struct {
	applied Applied
	err     error
}

// A push is claimed once: by the committer that merges it, or by the sender
// that does not wait any longer.
const (
	unclaimed int32 = iota
	merging
	abandoned
)

// Apply takes a push in and returns when it is durable. The error is an
// *ocpi.Error for what the sender did wrong, 4003 while the catalog is not
// loaded, 4000 when the record failed. It says whether nothing was kept or the hub
// cannot tell: then the push may be kept, and sent, later.
//
// When ctx ends, or maxWait has passed, before the push was merged, it is dropped;
// after that Apply still waits for the outcome, since the record may have it. No
// push waits longer than pushTimeout.
func (c *Catalog) Apply(ctx context.Context, w Write) (Applied, error) {
	// Looking through a large body costs more than anything else here.
	if refusal := c.counted(c.queue.room(w.Sender, int64(len(w.Body)))); refusal != nil {
		return Applied{}, refusal
	}
	p, refusal := check(w)
	if refusal != nil {
		return Applied{}, refusal
	}
	mine := &waiter{push: p, answer: make(chan answer, 1), due: time.Now().Add(pushTimeout)}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	if refusal := c.enqueue(mine); refusal != nil {
		return Applied{}, refusal
	}
	select {
	case a := <-mine.answer:
		return a.applied, a.err
	case <-ctx.Done():
	case <-patience.C:
	}
	switch {
	case !mine.claim.CompareAndSwap(unclaimed, abandoned):
	case ctx.Err() != nil:
		return Applied{}, ocpi.Errorf(ocpi.HubError, "the request ended before the hub could keep the object, so nothing was sent")
	default:
		return Applied{}, c.counted(full("the record has not got to it within %s", maxWait))
	}
	a := <-mine.answer // the committer's own deadline bounds this
	return a.applied, a.err
}

// Check tells what Apply would refuse now, and keeps nothing.
func (c *Catalog) Check(w Write) *ocpi.Error {
	p, refusal := check(w)
	if refusal != nil {
		return refusal
	}
	if !c.Loaded() {
		return errLoading()
	}
	old, there := c.Document(p.key)
	if p.Method == http.MethodDelete {
		if !there {
			return p.unknown(objectDepth)
		}
		return nil
	}
	m, refusal := p.merge(old)
	if refusal != nil {
		return refusal
	}
	return c.checkSize(p, m.document)
}

// checkSize refuses a document that is too large to be kept.
func (c *Catalog) checkSize(p *push, document []byte) *ocpi.Error {
	if n := len(document); n > c.cfg.MaxDocument {
		return ocpi.Errorf(ocpi.InvalidParameters, "the %s would have %d bytes: the hub keeps at most %d",
			shapes(p.Module)[0].name, n, c.cfg.MaxDocument)
	}
	return nil
}

func (c *Catalog) enqueue(w *waiter) *ocpi.Error {
	c.mu.RLock() // against Run, which closes
	defer c.mu.RUnlock()
	switch {
	case c.closed:
		return ocpi.Errorf(ocpi.ConnectionProblem, "the hub is stopping")
	case !c.loaded:
		return errLoading()
	}
	return c.counted(c.queue.add(w))
}

// counted counts a refusal for want of room.
func (c *Catalog) counted(refusal *ocpi.Error) *ocpi.Error {
	if refusal != nil {
		c.metrics.refused.Inc()
	}
	return refusal
}

// bytes is what a push takes of the room that waiting ones have: one without a
// body takes some, too.
func (w *waiter) bytes() int64 { return max(1, int64(len(w.Body))) }

// size is what a push costs the record: it writes the whole object, of which a
// part may be pushed. It is the committer's, which alone writes to the shelves.
func (c *Catalog) size(w *waiter) int64 {
	n := int64(len(w.Body))
	if w.Method == http.MethodPut && w.depth == objectDepth || w.Method == http.MethodDelete {
		return n
	}
	if e, there := c.shelves[w.Module].get(w.key); there {
		n += int64(unpackedLen(packedOf(e.blob)))
	}
	return n
}
