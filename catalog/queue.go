package catalog

import (
	"cmp"
	"slices"
	"sync"

	"busbar/ocpi"
)

// maxWaiting is the most pushes that wait for the committer, maxWaitingBytes the
// most bytes of their bodies, with those that are being committed. A sender never
// has more of either than it leaves free. One push is taken however large it is.
const (
	maxWaiting      = 10_000
	maxWaitingBytes = 256 << 20
)

// pushCost is what every push costs beside its bytes.
const pushCost = 1 << 10

// queue is where pushes wait for the committer: a line for each sender. The lines
// share the committer by bytes: whose line has had least goes next, so that who
// pushes little need not wait until all is done of who pushes much. The pushes of
// one sender keep their order, and with it those of an object: nobody pushes
// another platform's objects.
type queue struct {
	// wake has something when pushes may wait.
	wake chan struct{}

	mu    sync.Mutex
	lines map[string]*line
	// active are the lines in which something waits, by when that began.
	active []*line
	// clock is what the line had had that was last served. A line that becomes
	// active begins there: nobody saves up turns.
	clock int64
	load
	// size is what a push costs the record, in bytes.
	size func(*waiter) int64
}

// load is pushes that wait, and bytes of those that wait or are being committed.
type load struct{ pushes, bytes int64 }

// line are the pushes of one sender. served is what it has had, in bytes.
type line struct {
	sender  string
	waiting []*waiter
	served  int64
	load
}

func newQueue(size func(*waiter) int64) *queue {
	return &queue{wake: make(chan struct{}, 1), lines: make(map[string]*line), size: size}
}

// add takes a push in, or says why there is no room.
func (q *queue) add(w *waiter) *ocpi.Error {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[w.Sender]
	if l == nil {
		l = &line{sender: w.Sender}
	}
	if refusal := q.fits(l, w.bytes()); refusal != nil {
		return refusal
	}
	q.lines[w.Sender] = l
	if len(l.waiting) == 0 {
		l.served = max(l.served, q.clock)
		q.active = append(q.active, l)
	}
	l.waiting = append(l.waiting, w)
	for _, sum := range []*load{&q.load, &l.load} {
		sum.pushes++
		sum.bytes += w.bytes()
	}
	q.awake()
	return nil
}

// room tells whether add would take a push of n bytes now.
func (q *queue) room(sender string, n int64) *ocpi.Error {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[sender]
	if l == nil {
		l = &line{}
	}
	return q.fits(l, n)
}

func (q *queue) fits(l *line, n int64) *ocpi.Error {
	switch {
	case q.pushes >= maxWaiting, q.bytes > 0 && q.bytes+n > maxWaitingBytes:
		return full("%d pushes with %d bytes are waiting already", q.pushes, q.bytes)
	case l.bytes > 0 && l.bytes+n > maxWaitingBytes-q.bytes-n, l.pushes > 0 && l.pushes+1 > maxWaiting-q.pushes-1:
		return full("%d pushes with %d bytes of your platform are waiting already, which is its share", l.pushes, l.bytes)
	}
	return nil
}

func full(format string, args ...any) *ocpi.Error {
	return ocpi.Errorf(ocpi.HubError, "the hub could not keep the object, so nothing was sent: "+format+"; send it again later", args...)
}

// awake tells the committer.
func (q *queue) awake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// batch takes out what is to be committed together, and claims it. One that is
// large alone goes alone. done is to be called when none of it is needed any more:
// until then it takes room from what may wait.
func (q *queue) batch() (batch []*waiter, done func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := make(map[*line]int64)
	for bytes := int64(0); len(batch) < maxBatch && len(q.active) > 0; {
		l := q.next()
		w := l.waiting[0]
		cost := q.size(w)
		if len(batch) > 0 && bytes+cost > maxBatchBytes {
			break
		}
		q.pop(l)
		if !w.claim.CompareAndSwap(unclaimed, merging) {
			q.release(l, w.bytes())
			continue
		}
		q.clock = l.served
		l.served += cost + pushCost
		batch, bytes = append(batch, w), bytes+cost
		held[l] += w.bytes()
	}
	if len(q.active) > 0 {
		q.awake()
	}
	return batch, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		for l, n := range held {
			q.release(l, n)
		}
	}
}

// next is the line that has had least.
func (q *queue) next() *line {
	return slices.MinFunc(q.active, func(a, b *line) int { return cmp.Compare(a.served, b.served) })
}

// pop takes the first push out of a line.
func (q *queue) pop(l *line) {
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	l.pushes--
	q.pushes--
	if len(l.waiting) == 0 {
		i := slices.Index(q.active, l)
		q.active = slices.Delete(q.active, i, i+1)
	}
}

// release gives bytes back, and forgets a line that has nothing any more.
func (q *queue) release(l *line, bytes int64) {
	l.bytes -= bytes
	q.bytes -= bytes
	if l.load == (load{}) && q.lines[l.sender] == l {
		delete(q.lines, l.sender)
	}
}
