package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// doubt is a commit that ended in a way that leaves open whether the record has it,
// now or in a moment, while the record could not be asked. Its senders were told so.
// There is one at most: until the record was asked, nothing else is committed.
type doubt struct {
	*overlay
	batch []*waiter
}

// errInDoubt is the error of a commit that the record may have, or get.
var errInDoubt = errors.New("the record may have the commit")

// settleTimeout bounds the look for a commit whose answer was lost.
const settleTimeout = 3 * time.Second

// findOut tells what became of a commit that decided to write and ended with an
// error: the connection may have broken behind it. nil is that the record has it.
// Else its senders would be told that nothing was sent, and a repetition of theirs
// would change nothing that could be sent.
func (c *Catalog) findOut(ctx context.Context, o *overlay, batch []*waiter, err error) error {
	if errors.Is(err, ErrNothingWritten) || errors.Is(err, ErrInterrupted) || errors.Is(err, ErrBehind) {
		return err
	}
	written, asking := c.has(ctx, o)
	switch {
	case asking != nil:
		c.doubt = &doubt{o, batch[:o.taken]}
		return fmt.Errorf("%w: %w", errInDoubt, err)
	case written:
		c.cfg.Logger.WarnContext(ctx, "catalog: the record has a commit whose answer was lost", "error", err)
		return nil
	}
	return err
}

// has tells whether the record has a commit; if not, it will not get it either.
func (c *Catalog) has(ctx context.Context, o *overlay) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return c.cfg.Store.Settle(ctx, o.revision)
}

// settleDoubt finds out what became of the commit in doubt. If the record has it, it
// is sent like any other, once memory has it, too.
func (c *Catalog) settleDoubt(ctx context.Context) error {
	d := c.doubt
	if d == nil {
		return nil
	}
	written, err := c.has(ctx, d.overlay)
	if err == nil && written {
		err = c.follow(ctx)
	}
	if err != nil {
		return err
	}
	c.doubt = nil
	if !written {
		return nil
	}
	c.cfg.Logger.WarnContext(ctx, "catalog: the record has a commit that seemed to have failed; its pushes are sent now",
		"pushes", len(d.batch), "revision", d.revision)
	for _, w := range d.batch {
		w.then()
	}
	c.settled(d.revision)
	return nil
}
