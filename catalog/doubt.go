package catalog

import (
	"bytes"
	"context"
	"slices"
)

// maxDoubts bounds what is remembered of commits that failed, each of which may
// hold a batch. The oldest is given up: what the record has of it after all is
// sent when this replica has ended, since the record knows it as not ended.
const maxDoubts = 4

// doubt is a commit that failed in a way that leaves open whether the record has
// it, now or in a moment. Its senders were told that nothing was sent.
type doubt struct {
	*overlay
	batch []*waiter
}

func (c *Catalog) doubt(o *overlay, batch []*waiter) {
	c.doubtful = true
	if len(c.doubts) == maxDoubts {
		c.doubts = slices.Delete(c.doubts, 0, 1)
	}
	c.doubts = append(c.doubts, doubt{o, batch[:o.taken]})
}

// settleDoubts looks through what came from the record up to c.revision, which
// memory has, for commits in doubt. One that is there is sent like any other: a
// sender that repeats its push would change nothing that could be sent.
func (c *Catalog) settleDoubts(ctx context.Context, rows []Row) {
	open := c.doubts[:0]
	for _, d := range c.doubts {
		switch {
		case d.wrote(rows):
			c.cfg.Logger.WarnContext(ctx, "catalog: the record has a commit that seemed to have failed; its pushes are sent now",
				"pushes", len(d.batch), "revision", d.revision)
			for _, w := range d.batch {
				w.then()
			}
			c.settled(d.revision)
		case d.revision > c.revision:
			open = append(open, d)
		}
	}
	clear(c.doubts[len(open):])
	c.doubts = open
}

// wrote tells whether rows are in the record by this commit. If it failed, the
// revision may be another replica's.
func (o *overlay) wrote(rows []Row) bool {
	return slices.ContainsFunc(rows, o.wroteRow)
}

func (o *overlay) wroteRow(r Row) bool {
	d := o.drafts[r.Key]
	return r.Revision == o.revision && d != nil && d.writes > 0 &&
		r.Seq == d.Seq && r.Deleted == d.Deleted && bytes.Equal(r.Document, d.Document)
}
