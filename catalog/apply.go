package catalog

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"busbar/ocpi"
)

// maxWaiting is the most pushes that wait for the committer, maxWaitingBytes the
// most bytes of their bodies, with those that are being committed. One push is
// taken however large it is.
const (
	maxWaiting      = 10_000
	maxWaitingBytes = 256 << 20
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
		return Applied{}, c.full("the record has not got to it within %s", maxWait)
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
	if bytes := c.waitingBytes.Add(w.size()); bytes > maxWaitingBytes && bytes > w.size() {
		c.waitingBytes.Add(-w.size())
		return c.full("%d bytes of pushes are waiting already", bytes-w.size())
	}
	select {
	case c.waiting <- w:
		return nil
	default:
		c.waitingBytes.Add(-w.size())
		return c.full("%d pushes are waiting already", maxWaiting)
	}
}

// full refuses a push for which there is no room.
func (c *Catalog) full(format string, args ...any) *ocpi.Error {
	c.metrics.refused.Inc()
	return ocpi.Errorf(ocpi.HubError, "the hub could not keep the object, so nothing was sent: "+format, args...)
}

// size is what a push takes of the room that waiting ones have, in bytes.
func (w *waiter) size() int64 { return int64(len(w.Body)) }
