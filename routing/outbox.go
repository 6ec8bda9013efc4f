package routing

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
	"busbar/parties"
)

const (
	// mostOpen bounds the broadcasts of this replica that have not ended, wherever
	// they wait: half a gigabyte, beside the bodies. Beyond it nothing is accepted.
	mostOpen = 500_000
	// mostAdopted is how many may be open before more of what another replica left
	// is adopted, and begun.
	mostAdopted = 100_000
	// endEvery is how often what has ended is deleted from the record: so much is
	// sent twice after a crash.
	endEvery = time.Second
	// endBatch is the most that is deleted at once.
	endBatch = 1000
	// outboxTimeout bounds one question to the record.
	outboxTimeout = 15 * time.Second
	// lastEnd bounds what is still deleted when Run ends.
	lastEnd = 5 * time.Second
	// settleLook is how often Settle looks whether anything has ended since; after
	// settlePatience looks in vain it gives up.
	settleLook     = 100 * time.Millisecond
	settlePatience = 15
	// recoverEvery is how often it is looked for what replicas that are gone left.
	recoverEvery = 5 * time.Second
	// forgetParcels is how often old parcels are forgotten.
	forgetParcels = time.Hour
	// parcelsKept is how long the record knows of a Token push that has ended. A
	// previous binary beside this one asks whether a later PUT was there; a leg waits
	// in a lane for five hours at most.
	parcelsKept = 12 * time.Hour
)

// Outbox passes accepted broadcasts to the log, and keeps account of those that
// have not ended, so that the record always knows what another replica, or the
// next process, would have to send again.
//
// It holds some bytes for each broadcast that is open, and no body. How many are
// open is bounded: nothing more is accepted then.
type Outbox struct {
	cfg     OutboxConfig
	metrics outboxMetrics
	saving  saving
	refusal outage // of the record, which refuses to save

	mu sync.Mutex
	// revisions are those of the catalog that have broadcasts under way, parcels
	// those of what it does not keep.
	revisions map[int64]openRevision
	parcels   map[int64]struct{}
	// open counts the broadcasts under way; idle is told when it falls to zero.
	open int
	idle chan struct{}
	// ended is what is to be deleted from the record.
	ended endedRows
	// frozen tells that what ends from now on was cut off.
	frozen bool
	doubts doubts

	// adopted are revisions of replicas that are gone, which are this one's now,
	// and whose broadcasts have not begun. Only Run has them; toBegin is how many.
	adopted []int64
	toBegin atomic.Int64
}

// openRevision is how many broadcasts of a revision are under way.
type openRevision struct {
	broadcasts int
	// settled tells that no further one will begin; adopted that it was another
	// replica's.
	settled, adopted bool
}

type endedRows struct{ revisions, parcels []int64 }

func (e *endedRows) len() int { return len(e.revisions) + len(e.parcels) }

// OutboxConfig wires an Outbox.
type OutboxConfig struct {
	Store OutboxStore
	Log   BroadcastLog
	// Replica is this process, Fleet what it knows of the others.
	Replica   ReplicaID
	Fleet     Fleet
	Directory *parties.Directory
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
}

// NewOutbox makes an Outbox.
func NewOutbox(cfg OutboxConfig) *Outbox {
	o := &Outbox{
		cfg: cfg, revisions: make(map[int64]openRevision), parcels: make(map[int64]struct{}), idle: make(chan struct{}, 1),
		refusal: outage{log: cfg.Logger, what: "save Token pushes; they are refused"},
	}
	o.metrics = newOutboxMetrics(cfg.Metrics, o.Open)
	return o
}

// Append passes a broadcast on that the record has, under its Revision or its
// Parcel. It does not block; taken is the log's, see BroadcastLog.
func (o *Outbox) Append(b *Broadcast) (taken <-chan struct{}) { return o.appendUnder(b.Revision, b) }

// appendUnder passes on a broadcast that is a part of what a revision left.
func (o *Outbox) appendUnder(revision int64, b *Broadcast) (taken <-chan struct{}) {
	parcel := b.Parcel // not the broadcast: the log may give its body up
	o.begin(revision, parcel)
	return o.cfg.Log.Append(b, func() { o.end(revision, parcel) })
}

// await waits until the log has a broadcast: a sender that is answered then, and
// only then sends the next, has its order at whichever replica it sends it to. The
// log bounds that.
func await(ctx context.Context, taken <-chan struct{}) {
	if taken == nil {
		return
	}
	select {
	case <-taken:
	case <-ctx.Done(): // nobody reads the answer
	}
}

func (o *Outbox) begin(revision, parcel int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	if parcel != 0 {
		o.parcels[parcel] = struct{}{}
	}
	if revision != 0 {
		r := o.revisions[revision]
		r.broadcasts++
		o.revisions[revision] = r
	}
}

// end notes that a broadcast has ended, unless it was cut off.
func (o *Outbox) end(revision, parcel int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.frozen {
		return
	}
	if o.open--; o.open == 0 {
		tell(o.idle)
	}
	if _, ok := o.parcels[parcel]; ok {
		delete(o.parcels, parcel)
		o.ended.parcels = append(o.ended.parcels, parcel)
	}
	r, ok := o.revisions[revision]
	if !ok {
		return
	}
	if r.broadcasts--; r.broadcasts > 0 {
		o.revisions[revision] = r
		return
	}
	// One that is not settled is this replica's, and will be; or it is another's
	// that a push which changed nothing has found in the record. Nor does the record
	// end another's, if it was settled for want of one's own.
	delete(o.revisions, revision)
	if r.settled {
		o.ended.revisions = append(o.ended.revisions, revision)
	}
}

// Settled notes that all broadcasts of this replica up to a revision have begun.
// It is for catalog.Config.
func (o *Outbox) Settled(revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r, open := o.revisions[revision]; open {
		r.settled = true
		o.revisions[revision] = r
		return
	}
	o.ended.revisions = append(o.ended.revisions, revision)
}

// Freeze makes all that is under way stay open: it will be sent again. A Fanout
// calls it before it cuts off what is left.
func (o *Outbox) Freeze() {
	o.mu.Lock()
	o.frozen = true
	o.mu.Unlock()
}

// Open is how many broadcasts of this replica have not ended.
func (o *Outbox) Open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open
}

// full refuses what would be accepted beyond mostOpen. Pushes that are just being
// kept, which are bounded, may still come on top.
func (o *Outbox) full() *ocpi.Error {
	if o.begun() < mostOpen {
		return nil
	}
	o.metrics.refused.Inc()
	return ocpi.Errorf(ocpi.HubError, "%d broadcasts are on their way already, so nothing was kept or sent; send it again later", mostOpen)
}

// crowded tells that so many broadcasts are open that none should be adopted.
func (o *Outbox) crowded() bool { return o.begun() >= mostAdopted }

// begun is how many of the open broadcasts the log has: an adopted revision is
// counted itself while its own have not begun.
func (o *Outbox) begun() int { return o.Open() - int(o.toBegin.Load()) }

// Run deletes what has ended and, once ready is closed, since the catalog is
// complete, sends again what replicas that are gone left open. It ends with ctx.
func (o *Outbox) Run(ctx context.Context, ready <-chan struct{}) {
	end, look, forget := time.NewTicker(endEvery), time.NewTicker(recoverEvery), time.NewTicker(forgetParcels)
	defer end.Stop()
	defer look.Stop()
	defer forget.Stop()
	ending := outage{log: o.cfg.Logger, what: "note which broadcasts have ended; a crash would repeat them"}
	recovering := outage{log: o.cfg.Logger, what: "look for broadcasts that other replicas left"}
	loaded := false
	for {
		select {
		case <-ctx.Done():
			o.putBack()
			ending.report(o.Flush(ctx))
			return
		case <-ready:
			ready, loaded = nil, true
			recovering.unless(ctx, o.recover(ctx))
		case <-end.C:
			ending.unless(ctx, o.deleteEnded(ctx))
		case <-look.C:
			if loaded {
				recovering.unless(ctx, o.recover(ctx))
			}
		case now := <-forget.C:
			o.forget(ctx, now)
		}
	}
}

// Settle waits until everything that this replica accepted or adopted has ended,
// for as long as some of it does: a receiver that hangs is not waited for. It ends
// with ctx, too. It is called when nothing is accepted any more; what has ended is
// for Flush to delete.
func (o *Outbox) Settle(ctx context.Context) {
	look := time.NewTicker(settleLook)
	defer look.Stop()
	before, still := o.Open(), 0
	for !o.idleNow() && still < settlePatience {
		select {
		case <-o.idle:
		case <-look.C:
			still++
			if now := o.Open(); now != before {
				before, still = now, 0
			}
		case <-ctx.Done():
			return
		}
	}
}

func (o *Outbox) idleNow() bool {
	if o.saving.busy() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open == 0
}

// Flush deletes what has ended from the record, though ctx may have ended. It is
// not called while Run runs.
func (o *Outbox) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastEnd)
	defer cancel()
	return o.deleteEnded(ctx)
}

// deleteEnded deletes what has ended, in batches.
func (o *Outbox) deleteEnded(ctx context.Context) error {
	for {
		batch := o.takeEnded()
		if batch.len() == 0 {
			return nil
		}
		short, cancel := context.WithTimeout(ctx, outboxTimeout)
		err := o.cfg.Store.Ended(short, batch.revisions, batch.parcels)
		cancel()
		if err != nil {
			o.mu.Lock()
			o.ended.revisions = append(o.ended.revisions, batch.revisions...)
			o.ended.parcels = append(o.ended.parcels, batch.parcels...)
			o.mu.Unlock()
			return err
		}
	}
}

func (o *Outbox) takeEnded() (batch endedRows) {
	o.mu.Lock()
	defer o.mu.Unlock()
	cut := func(all *[]int64) []int64 {
		n := min(len(*all), endBatch)
		some := (*all)[:n:n]
		if *all = (*all)[n:]; len(*all) == 0 {
			*all = nil
		}
		return some
	}
	return endedRows{cut(&o.ended.revisions), cut(&o.ended.parcels)}
}

func (o *Outbox) forget(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	if _, err := o.cfg.Store.Forget(ctx, now.Add(-parcelsKept)); err != nil && ctx.Err() == nil {
		o.cfg.Logger.Warn("forget Token pushes that ended long ago", "error", err)
	}
}

// outage logs when something begins to fail, and when it ends.
type outage struct {
	log  *slog.Logger
	what string

	mu      sync.Mutex
	failing bool
}

func (f *outage) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil && !f.failing:
		f.log.Warn(f.what, "error", err)
	case err == nil && f.failing:
		f.log.Info(f.what + ": it works again")
	}
	f.failing = err != nil
}

// unless reports, but not what failed because ctx has ended.
func (f *outage) unless(ctx context.Context, err error) {
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		f.report(err)
	}
}
