package routing

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

const (
	// askTimeout bounds one question of what is the newest state; then it is looked
	// again whether the broadcast is still this replica's.
	askTimeout = 5 * time.Second
	// firstAsk and lastAsk are the pauses after a question that failed.
	firstAsk = 50 * time.Millisecond
	lastAsk  = 2 * time.Second
)

// everything is a revision beyond all.
const everything = math.MaxInt64

// Present is the catalog, as far as the Fanout needs it: the present state of
// objects.
type Present interface {
	// Stored is an object's document and the revision that last wrote it.
	Stored(catalog.Key) (document []byte, revision int64, ok bool)
	// CatchUp returns when the catalog has everything up to the revision or, if
	// there is none so high, everything that was accepted.
	CatchUp(ctx context.Context, revision int64) error
	// Reached is the revision up to which the catalog has everything.
	Reached() int64
}

// newest is what is to be sent for a broadcast that was handed over. One that is
// fresh goes as it is. One that comes again is compared with the newest state: if
// it made that itself, it goes as it is, else the state goes in its place, so that
// no receiver goes back; what follows and is in that state already ends without
// being sent, see Tenure. Then there is nothing to send, and no Method. It is false
// when the broadcast is not this replica's any more, or the Fanout has stopped.
func (f *Fanout) newest(h Handed) (*Broadcast, bool) {
	b := h.Broadcast
	if f.cfg.Present == nil && !b.Present {
		return b, true
	}
	tenure := f.tenureOf(h)
	if !tenure.begin(f, h) {
		return nil, false
	}
	passed, doubtful := tenure.passed(b)
	switch {
	case passed:
		return b.with("", nil), true
	case !h.Again && !b.Present && !doubtful:
		return b, true
	case !f.catchUp(h, max(b.Revision, h.Newest)):
		return nil, false
	}
	state, revision, there := f.present(b)
	asItWas := there && revision <= b.Revision || !there && b.Method == "DELETE"
	if asItWas && !b.Present && !b.Overtaken {
		return b, true
	}
	if b.olderThan(revision) {
		tenure.goAhead(b.Object, revision)
		state.Revision = revision
	}
	return state, true
}

func (f *Fanout) tenureOf(h Handed) *Tenure {
	if h.Tenure == nil {
		return &f.tenure
	}
	return h.Tenure
}

// catchUp brings the catalog to a revision.
func (f *Fanout) catchUp(h Handed, revision int64) bool {
	if f.cfg.Present == nil || f.reached.Load() >= revision {
		return true
	}
	ok := f.insist(h, func(ctx context.Context) error { return f.cfg.Present.CatchUp(ctx, revision) })
	// To have everything that there was says nothing of what comes later.
	if ok && revision != everything {
		raise(&f.reached, revision)
	}
	return ok
}

func raise(to *atomic.Int64, revision int64) {
	for old := to.Load(); old < revision && !to.CompareAndSwap(old, revision); old = to.Load() {
	}
}

// insist asks until there is an answer. It is false when the broadcast is not
// this replica's any more, or the Fanout has stopped.
func (f *Fanout) insist(h Handed, ask func(context.Context) error) bool {
	for wait := firstAsk; ; wait = min(2*wait, lastAsk) {
		ctx, cancel := context.WithTimeout(f.ctx, askTimeout)
		err := ask(ctx)
		cancel()
		if err == nil {
			f.asking.report(nil)
			return true
		}
		if f.ctx.Err() != nil || h.Held != nil && !h.Held() {
			return false
		}
		f.asking.report(err)
		select {
		case <-f.ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// present makes a broadcast of what its object is now, which the revision wrote;
// there tells whether there is one. Whatever was delivered before is in it, if the
// catalog has reached that. It has no Method when there is nothing to send.
func (f *Fanout) present(b *Broadcast) (state *Broadcast, revision int64, there bool) {
	if f.cfg.Present != nil {
		if document, revision, there := f.cfg.Present.Stored(b.key()); there {
			return b.with("PUT", document), revision, true
		}
	}
	if b.Module == ocpi.ModuleTariffs { // a Location is never deleted
		return b.with("DELETE", nil), 0, false
	}
	return b.with("", nil), 0, false
}

// with is a broadcast of the whole object in the place of b. Strings are cloned:
// the sender's may be parts of larger ones, and a state waits long.
func (b *Broadcast) with(method string, body []byte) *Broadcast {
	now := *b
	now.Method, now.Body, now.Present, now.Overtaken = method, body, false, false
	now.Path, now.Query, now.CorrelationID = strings.Clone(topPath(b.Path)), "", strings.Clone(b.CorrelationID)
	return &now
}

// Whole is the broadcast of what its object will be when it is delivered, in the
// place of b: it needs no body.
func (b *Broadcast) Whole() *Broadcast {
	whole := *b
	whole.Method, whole.Path, whole.Query, whole.Body, whole.Present = "PUT", topPath(b.Path), "", nil, true
	return &whole
}

// key is the object in the catalog.
func (b *Broadcast) key() catalog.Key {
	id := strings.TrimPrefix(b.Object, objectName(b.Module, b.Owner, ""))
	return catalog.Key{Module: b.Module, Owner: b.Owner, ID: id}
}

// topPath is the path of the object that a path is of or inside of:
// /{country_code}/{party_id}/{id}.
func topPath(path string) string {
	slashes := 0
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			if slashes++; slashes == 3 {
				return path[:i]
			}
		}
	}
	return path
}

// pursuit brings the catalog to what lanes owe, without holding them up: one
// goroutine while there are lanes that wait.
type pursuit struct {
	mu    sync.Mutex
	lanes map[*lane]int64
	// underWay tells that there is the goroutine; closed that there is none any
	// more.
	underWay, closed bool
}

// pursue lets the lane settle once the catalog has the revision.
func (f *Fanout) pursue(l *lane, revision int64) {
	p := &f.pursuit
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.lanes == nil {
		p.lanes = make(map[*lane]int64)
	}
	p.lanes[l] = revision
	if !p.underWay {
		p.underWay = true
		f.running.Go(f.runPursuit)
	}
}

func (f *Fanout) runPursuit() {
	for {
		p := &f.pursuit
		p.mu.Lock()
		lanes := p.lanes
		if p.lanes = nil; len(lanes) == 0 || p.closed {
			p.underWay = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		var revision int64
		for _, wanted := range lanes {
			revision = max(revision, wanted)
		}
		if !f.catchUp(Handed{}, revision) {
			continue // the Fanout has stopped: it closes the pursuit
		}
		for l := range lanes {
			l.resume()
		}
	}
}

// closePursuit ends it; the Fanout's context has ended.
func (f *Fanout) closePursuit() {
	f.pursuit.mu.Lock()
	f.pursuit.closed = true
	f.pursuit.mu.Unlock()
}
