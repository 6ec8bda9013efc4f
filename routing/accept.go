package routing

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"busbar/ocpi"
)

const (
	// mostSaves and mostSaveBytes bound the pushes that wait to be saved, and their
	// bodies; more are refused.
	mostSaves     = 5_000
	mostSaveBytes = 64 << 20
	// acceptTimeout bounds what a push waits in all: for others, for being saved,
	// repetitions included, and for the look whether it was, which is saveSettling.
	// mostSaveWait bounds what it waits for others, so that there is time for the rest.
	acceptTimeout = 15 * time.Second
	mostSaveWait  = 9 * time.Second
	saveSettling  = 3 * time.Second
	// saveAtOnce is the most pushes that are saved in one transaction. What
	// arrives meanwhile waits for the next, so no push waits for company.
	saveAtOnce = 500
)

// saving are the broadcasts that wait to be saved. While there are any, one
// goroutine saves them.
type saving struct {
	mu    sync.Mutex
	queue []*save
	bytes int
	// underWay tells that there is the goroutine.
	underWay bool
}

// save is a broadcast that is to be saved. It is claimed once: by the goroutine
// that saves it, or by the sender that does not wait any longer.
type save struct {
	*Broadcast
	claimed atomic.Bool
	// due is when Accept has to have the answer.
	due time.Time
	// saved is read by Accept; it has room, so that nobody waits for that. taken is
	// the log's, once it was told without an error.
	saved chan error
	taken <-chan struct{}
}

func (s *saving) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underWay
}

// Accept saves a broadcast that the catalog does not keep, together with those
// that are accepted at the same time, passes it on, and waits for the log as long as
// that wants. When it returns without an error, the record has the broadcast. When
// ctx ends, or mostSaveWait has passed, before the broadcast was about to be saved, it
// is dropped; after that Accept waits for the outcome. Nobody waits longer for the
// record than acceptTimeout. With another error than an *ocpi.Error the record may
// have it: see doubtSaved.
func (o *Outbox) Accept(ctx context.Context, b *Broadcast) error {
	mine := &save{Broadcast: b, saved: make(chan error, 1), due: time.Now().Add(acceptTimeout)}
	if refusal := o.enqueue(mine); refusal != nil {
		return refusal
	}
	if err := mine.await(ctx); err != nil {
		return err
	}
	await(ctx, mine.taken)
	return nil
}

// await waits until the broadcast is saved.
func (s *save) await(ctx context.Context) error {
	patience := time.NewTimer(mostSaveWait)
	defer patience.Stop()
	select {
	case err := <-s.saved:
		return err
	case <-ctx.Done():
	case <-patience.C:
	}
	switch {
	case !s.claimed.CompareAndSwap(false, true):
		return <-s.saved // due bounds this
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return ocpi.Errorf(ocpi.HubError, "the hub could not keep the object within %s, so nothing was sent; send it again later", mostSaveWait)
	}
}

func (o *Outbox) enqueue(s *save) *ocpi.Error {
	o.saving.mu.Lock()
	defer o.saving.mu.Unlock()
	if n := len(o.saving.queue); n >= mostSaves || n > 0 && o.saving.bytes+len(s.Body) > mostSaveBytes {
		return ocpi.Errorf(ocpi.HubError, "the hub has too many broadcasts to take in; send it again later")
	}
	o.saving.queue = append(o.saving.queue, s)
	o.saving.bytes += len(s.Body)
	if !o.saving.underWay {
		o.saving.underWay = true
		go o.saveAll() // Settle waits for it
	}
	return nil
}

// saveAll saves and passes on until nobody waits.
func (o *Outbox) saveAll() {
	for {
		batch, more := o.nextSaves()
		if !more {
			tell(o.idle)
			return
		}
		if len(batch) > 0 {
			o.save(batch)
		}
	}
}

// nextSaves takes those out that wait longest, but those whose sender has left.
func (o *Outbox) nextSaves() (batch []*save, more bool) {
	o.saving.mu.Lock()
	defer o.saving.mu.Unlock()
	n := min(len(o.saving.queue), saveAtOnce)
	if n == 0 {
		o.saving.queue, o.saving.underWay = nil, false
		return nil, false
	}
	for _, s := range o.saving.queue[:n] {
		o.saving.bytes -= len(s.Body)
		if s.claimed.CompareAndSwap(false, true) {
			batch = append(batch, s)
		}
	}
	clear(o.saving.queue[:n])
	o.saving.queue = o.saving.queue[n:]
	return batch, true
}

// save saves a batch. No sender's leaving ends it. The log has each broadcast
// before a later one can be saved, so that its order is the record's.
func (o *Outbox) save(batch []*save) {
	due := batch[0].due // it has waited longest
	broadcasts := make([]*Broadcast, len(batch))
	for i, s := range batch {
		broadcasts[i] = s.Broadcast
	}
	ctx, cancel := context.WithDeadline(context.Background(), due.Add(-saveSettling))
	defer cancel()
	err := o.cfg.Store.Save(ctx, o.cfg.Replica, broadcasts)
	o.refusal.report(err)
	if err != nil {
		o.doubt(doubtSaved)
	} else {
		slices.SortStableFunc(batch, func(a, b *save) int { return cmp.Compare(a.Parcel, b.Parcel) })
		for _, s := range batch {
			s.taken = o.Append(s.Broadcast)
		}
	}
	for _, s := range batch {
		s.saved <- err
	}
}
