package catalog

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"busbar/ocpi"
)

// maxBatch is the most pushes that are committed together. What arrives
// meanwhile waits for the next batch, so that batches grow with the load and no
// push waits for company.
const maxBatch = 500

// maxBatchBytes ends a batch before maxBatch: documents may be as large as
// bodies, the record takes all of a batch in one statement, and whoever comes
// meanwhile waits for it. One larger document is a batch of its own.
const maxBatchBytes = 4 << 20

// mostFollows is how often a commit follows the record first because others wrote
// too much meanwhile.
const mostFollows = 5

const (
	// pushTimeout bounds what a push waits in all: for others, for its commit with
	// every repetition, and for the look at what became of it. The hub's own shutdown
	// does not cut it off: a commit under way is finished.
	pushTimeout = 15 * time.Second
	// maxWait bounds what it waits for others, so that there is time for the rest.
	maxWait = 9 * time.Second
	// storeTimeout bounds every other call of the record but the load, lookTimeout the
	// look whether there is anything new, for which pushes wait.
	storeTimeout = 15 * time.Second
	lookTimeout  = 5 * time.Second
)

// commit takes pushes into the record, then into memory, then answers. The error
// is the record's, and logged.
func (c *Catalog) commit(ctx context.Context, batch []*waiter) error {
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), due(batch).Add(-settleTimeout))
	defer cancel()
	for live := batch; len(live) > 0; {
		o, err := c.commitOnce(ctx, live)
		if errors.Is(err, errRestored) {
			if err = c.reload(ctx); err == nil {
				o, err = c.commitOnce(ctx, live)
			}
		}
		if errors.Is(err, ErrInterrupted) {
			o, err = c.commitOnce(ctx, live)
		}
		for tries := 0; errors.Is(err, ErrBehind) && tries < mostFollows; tries++ {
			if err = c.follow(ctx); err == nil {
				o, err = c.commitOnce(ctx, live)
			}
		}
		if err != nil {
			c.fail(ctx, live, err)
			return err
		}
		c.works(ctx)
		c.metrics.batch.Observe(float64(o.taken))
		c.metrics.finished(o)
		c.publish(o.newer, o.rows)
		c.catchUps.reach(c.revision)
		c.answer(live[:o.taken], o)
		c.settled(c.revision)
		live = live[o.taken:]
	}
	return nil
}

// due is when the first of them has to be answered.
func due(batch []*waiter) time.Time {
	return slices.MinFunc(batch, func(a, b *waiter) int { return a.due.Compare(b.due) }).due
}

// answer tells the outcomes, in the order in which the pushes took effect.
func (c *Catalog) answer(batch []*waiter, o *overlay) {
	for _, w := range batch {
		if len(o.rows) == 0 {
			w.applied.Revision = c.revision // the record has had it since
		}
		w.then()
		w.reply()
	}
}

// then tells what becomes of pushes that the record has.
func (w *waiter) then() {
	if w.Then != nil && w.refusal == nil {
		w.Then(w.applied)
	}
}

func (c *Catalog) settled(revision int64) {
	if c.cfg.Settled != nil {
		c.cfg.Settled(revision)
	}
}

// reply answers, once what was found is the truth.
func (w *waiter) reply() {
	if w.refusal != nil {
		w.answer <- answer{err: w.refusal}
		return
	}
	w.answer <- answer{applied: w.applied}
}

// works notes that the record takes pushes.
func (c *Catalog) works(ctx context.Context) {
	if c.failing {
		c.failing = false
		c.cfg.Logger.InfoContext(ctx, "catalog: pushes are kept again")
	}
}

// fail refuses pushes. A record that is down would refuse each: only the first is
// logged, the others the metrics count.
func (c *Catalog) fail(ctx context.Context, batch []*waiter, err error) {
	c.metrics.failed.Inc()
	if !c.failing {
		c.failing = true
		c.cfg.Logger.ErrorContext(ctx, "catalog: pushes cannot be kept and are refused", "pushes", len(batch), "error", err)
	}
	said := "the hub could not keep the object, so nothing was sent"
	if errors.Is(err, errInDoubt) {
		said = "the hub could not tell whether it kept the object: send it again"
	}
	for _, w := range batch {
		w.answer <- answer{err: ocpi.Errorf(ocpi.HubError, "%s", said)}
	}
}

// errRestored tells that the record is older than memory: somebody restored a
// backup. What memory has is void.
var errRestored = errors.New("the record is older than what the catalog holds")

// commitOnce merges a batch, or as much of it as is written at once, and commits
// it; memory is as before.
func (c *Catalog) commitOnce(ctx context.Context, batch []*waiter) (*overlay, error) {
	if err := c.settleDoubt(ctx); err != nil {
		return nil, err
	}
	if c.behind() {
		if err := c.follow(ctx); err != nil {
			return nil, err
		}
	}
	var o *overlay
	_, err := c.cfg.Store.Commit(ctx, c.revision, func(newer []Row, revision, lastSeq int64) []Row {
		o = newOverlay(c, newer, revision, lastSeq)
		if revision > c.revision {
			o.merge(batch)
		}
		return o.rows
	})
	if err != nil && o != nil && len(o.rows) > 0 {
		err = c.findOut(ctx, o, batch, err)
	}
	switch {
	case err != nil:
		return nil, err
	case o == nil:
		return nil, errors.New("the record decided nothing")
	case o.revision <= c.revision:
		return nil, errRestored
	case len(o.rows) == 0:
		// Nothing was committed: the newer rows reach to the revision before.
		c.revision = o.revision - 1
	default:
		c.revision = o.revision
	}
	c.followed = now()
	return o, nil
}

// overlay is memory as it will be: with what other replicas committed, and the
// batch.
type overlay struct {
	c        *Catalog
	revision int64
	lastSeq  int64
	at       time.Time
	newer    []Row
	drafts   map[Key]*draft
	order    []*draft
	// rows are what is written.
	rows []Row
	// taken are how many pushes were merged, size the bytes of what they made.
	taken, size int
}

// draft is the state of one object. Its row has no document while there is no
// object.
type draft struct {
	Row
	// writes are how many pushes have written it.
	writes int
}

func newOverlay(c *Catalog, newer []Row, revision, lastSeq int64) *overlay {
	o := &overlay{c: c, revision: revision, lastSeq: lastSeq, at: now(), newer: newer, drafts: make(map[Key]*draft)}
	for _, r := range newer {
		if r.Deleted {
			r.Document = nil
		}
		o.drafts[r.Key] = &draft{Row: r}
	}
	return o
}

// draft finds the object's state. The committer alone writes to memory, so it
// reads without the lock.
func (o *overlay) draft(k Key) *draft {
	if d, ok := o.drafts[k]; ok {
		return d
	}
	d := &draft{Row: Row{Key: k}}
	s := o.c.shelves[k.Module]
	if e, ok := s.get(k); ok {
		d.Seq, d.LastUpdated = e.seq, e.updated.time()
		d.Document = unpackBlob(nil, s.packer.dicts, e.blob)
	}
	o.drafts[k] = d
	return d
}

// merge merges pushes, or as many of them as are written at once.
func (o *overlay) merge(batch []*waiter) {
	for o.taken < len(batch) && o.size < maxBatchBytes {
		w := batch[o.taken]
		w.applied, w.refusal = o.apply(w.push)
		w.writes = o.draft(w.key).writes
		o.taken++
	}
	o.tellOvertaken(batch[:o.taken])
	o.rows = o.written()
}

// apply merges one push.
func (o *overlay) apply(p *push) (Applied, *ocpi.Error) {
	d := o.draft(p.key)
	a := Applied{Key: p.key, Revision: o.revision, Changed: true}
	if p.Method == http.MethodDelete {
		if d.Document == nil {
			return Applied{}, p.unknown(objectDepth)
		}
		o.write(d, nil, 0)
		return a, nil
	}
	if p.IfNotOlder && d.Document != nil && instantOf(d.LastUpdated) > p.updatedAt {
		return Applied{Key: p.key, Revision: o.revision, Older: true}, nil
	}
	m, refusal := p.merge(d.Document)
	if refusal != nil {
		return Applied{}, refusal
	}
	if refusal := o.c.checkSize(p, m.document); refusal != nil {
		return Applied{}, refusal
	}
	a.Created, a.Changed = d.Document == nil, m.changed
	if !bytes.Equal(d.Document, m.document) { // else the record has it already
		o.write(d, m.document, m.updated)
	}
	return a, nil
}

func (o *overlay) write(d *draft, document []byte, updated instant) {
	if document != nil && d.Document == nil {
		o.lastSeq++
		d.Seq = o.lastSeq
	}
	d.Document, d.Deleted = document, document == nil
	o.size += len(document)
	if document != nil {
		d.LastUpdated = updated.time()
	}
	d.ChangedAt, d.Revision = o.at, o.revision
	if d.writes++; d.writes == 1 {
		o.order = append(o.order, d)
	}
}

// tellOvertaken tells those behind which the batch has written their object again.
func (o *overlay) tellOvertaken(batch []*waiter) {
	for _, w := range batch {
		w.applied.Overtaken = w.refusal == nil && o.drafts[w.key].writes > w.writes
	}
}

// written are the rows for the record: one for each object that was written. One
// that came and went in this batch is among them: its PUT may be on its way, and
// whoever recovers that must find that the object is gone.
func (o *overlay) written() []Row {
	var rows []Row
	for _, d := range o.order {
		rows = append(rows, d.Row)
	}
	return rows
}

// publish brings rows into memory, in their order.
func (c *Catalog) publish(batches ...[]Row) {
	for _, rows := range batches {
		blobs := c.shelves.pack(rows)
		c.mu.Lock()
		for i, r := range rows {
			c.shelves.place(r, blobs[i])
		}
		c.mu.Unlock()
	}
	for _, s := range c.shelves {
		s.learn(&c.mu)
	}
}

// now has no monotonic part: that one stands still while a machine sleeps, and
// others may have gone on.
func now() time.Time { return time.Now().Round(0) }
