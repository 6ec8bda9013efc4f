package routing

import (
	"slices"
	"sync"
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// Bounds of one lane.
const (
	// laneWidth is how many legs are in flight to one platform at most: enough
	// for a receiver 50 ms away to take 300 updates a second, and no more than a
	// small one can bear.
	laneWidth = 16
	// maxQueued and maxQueuedBytes bound the legs that wait, and their bodies:
	// half a minute of a whole country's status changes.
	maxQueued      = 10_000
	maxQueuedBytes = 64 << 20
	// maxHeldBytes bounds the bodies of all broadcasts under way, each of which all
	// lanes share. Beyond it a lane in which anything waits has no room: lanes that
	// filled up at different times hold different broadcasts.
	maxHeldBytes = 1 << 30
	// suspectPause is the least time between two suspicions of one platform.
	suspectPause = 5 * time.Second
)

// lane is the way to one receiving platform: legs that wait, and those in
// flight. An idle lane has no goroutine.
type lane struct {
	fanout *Fanout
	id     parties.PlatformID

	mu      sync.Mutex
	objects map[objectKey]*chain
	ready   chains
	gates   map[ocpi.PartyKey]*gate
	debts   debts
	ahead   map[objectKey]lead
	// freed are receipts that unlock releases, written the legs of debts that it ends,
	// linked by next.
	freed   []*receipt
	written *leg
	// crew are the workers, each with a leg in flight.
	crew []*worker
	// queued and bytes are the legs that wait, and their bodies.
	queued, bytes int
	// overflowing is an episode in which legs found no room.
	overflowing bool
	suspectedAt time.Time
	// closed lanes end every leg at once; retired ones have left the Fanout.
	closed, retired bool
}

// objectKey is what keeps an order: an object on its way to a party. The party
// is zero for a ClientInfo, which is the platform's.
type objectKey struct {
	to     ocpi.PartyKey
	object string
}

// chain are the legs of one object to one party, in their order. It is in ready,
// behind a gate, or has one leg in flight; then the others wait for that.
type chain struct {
	key         objectKey
	first, last *leg
	inFlight    bool
	next        *chain // in ready
}

// gate holds a party's objects back until its ClientInfo has been sent (O5).
type gate struct {
	pending int
	waiting []*chain
	// opened is closed when it opens; nil while nobody asks.
	opened chan struct{}
}

// chains is a queue.
type chains struct{ first, last *chain }

func (q *chains) push(c *chain) {
	if q.first == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
}

func (q *chains) pop() *chain {
	c := q.first
	if c != nil {
		q.first, c.next = c.next, nil
	}
	return c
}

func newLane(f *Fanout, id parties.PlatformID, closed bool) *lane {
	return &lane{fanout: f, id: id, closed: closed, objects: make(map[objectKey]*chain)}
}

// add queues a leg, or ends it when there is no room. It is false, and nothing
// happened, when the lane is retired.
func (l *lane) add(g *leg) bool {
	l.mu.Lock()
	if l.retired {
		l.mu.Unlock()
		return false
	}
	overflowed := l.overflowing
	ended := l.queue(g)
	overflowed = l.overflowing && !overflowed
	l.staff()
	l.unlock()
	if overflowed {
		l.fanout.cfg.Logger.Warn("a platform takes broadcasts too slowly; of objects that find no room it gets their last state, of Tokens nothing",
			"platform", l.id, "queued", maxQueued)
	}
	l.end(ended)
	return true
}

// queue appends the leg to its chain. It returns the legs that this ended: those
// that it supersedes, or itself, when the lane owes the object or has no room.
func (l *lane) queue(g *leg) (ended *leg) {
	if l.closed {
		g.outcome = OutcomeCancelled
		return g
	}
	key := objectKey{g.to, g.of.Object}
	if l.absorb(key, g) {
		g.outcome = owedLater
		return g
	}
	if l.passed(key, g) {
		g.outcome = OutcomeSuperseded
		return g
	}
	l.approach(g) // first: a gate stays shut when a newer ClientInfo supersedes the only one
	c := l.objects[key]
	pointless := c.pointless(g)
	if !l.hasRoom(g, pointless) {
		l.overflowing = true
		l.pass(g)
		if g.outcome = OutcomeOverflow; l.owe(key, g) {
			g.outcome = owedLater
		}
		return g
	}
	ended = l.supersede(c, pointless)
	l.put(c, key, g)
	return ended
}

// put appends the leg to its chain.
func (l *lane) put(c *chain, key objectKey, g *leg) {
	if c == nil {
		c = &chain{key: key}
		l.objects[key] = c
		l.ready.push(c)
	}
	c.append(g)
	l.queued++
	l.bytes += len(g.of.Body)
}

// pointless are the legs of the chain, the newest first, that need not be sent
// when the leg is. A PUT stays as long as something behind it goes to a part of
// its object: an EVSE cannot arrive before its Location.
func (c *chain) pointless(g *leg) (pointless []*leg) {
	if c == nil {
		return nil
	}
	var parts []string
	for older := c.last; older != nil; older = older.previous {
		switch {
		case !g.of.supersedes(older.of):
			parts = append(parts, older.of.Path)
		case older.of.Method == "PUT" && slices.ContainsFunc(parts, older.of.holds):
		default:
			pointless = append(pointless, older)
		}
	}
	return pointless
}

// hasRoom tells whether the leg may wait, once those are gone that it makes
// pointless. Otherwise they stay: an older state arrives rather than none.
func (l *lane) hasRoom(g *leg, pointless []*leg) bool {
	queued, bytes := l.queued-len(pointless), l.bytes+len(g.of.Body)
	for _, older := range pointless {
		bytes -= len(older.of.Body)
	}
	return queued == 0 || queued < maxQueued && bytes <= maxQueuedBytes && l.fanout.held.Load() <= maxHeldBytes
}

// supersede takes legs out of their chain. They end, linked by next.
func (l *lane) supersede(c *chain, pointless []*leg) (ended *leg) {
	for _, older := range pointless {
		l.take(c, older)
		l.pass(older)
		older.outcome, older.next = OutcomeSuperseded, ended
		ended = older
	}
	return ended
}

// take takes a leg that waits out of its chain.
func (l *lane) take(c *chain, g *leg) {
	c.remove(g)
	l.queued--
	l.bytes -= len(g.of.Body)
	if l.relieved() && l.debts.first == nil {
		l.overflowing = false
	}
}

// staff puts workers on what may start.
func (l *lane) staff() {
	for len(l.crew) < laneWidth {
		g := l.next()
		if g == nil {
			return
		}
		l.fanout.hire(l, g)
	}
}

// next takes the leg that waits longest of those that may start; nil when there
// is none.
func (l *lane) next() *leg {
	for c := l.ready.pop(); c != nil; c = l.ready.pop() {
		g := c.first
		if g.behind != nil && g.behind.pending > 0 && g.of.announces == "" {
			g.behind.waiting = append(g.behind.waiting, c)
			continue
		}
		l.take(c, g)
		c.inFlight, g.chain = true, c
		return g
	}
	return nil
}

// turn notes that the worker's leg has landed and gives it another; nil sends
// the worker home.
func (l *lane) turn(w *worker, landed *leg) *leg {
	l.mu.Lock()
	defer l.unlock()
	c := landed.chain
	c.inFlight = false
	if c.first == nil {
		delete(l.objects, c.key)
	} else {
		l.ready.push(c)
	}
	l.pass(landed)
	l.settle()
	g := l.next()
	if g == nil {
		last := len(l.crew) - 1
		l.crew[w.place] = l.crew[last]
		l.crew[w.place].place = w.place
		l.crew[last] = nil
		l.crew = l.crew[:last]
		return nil
	}
	if l.ready.first != nil {
		l.staff() // a gate may have let several go
	}
	return g
}

// approach puts a leg behind the gate of its party, or adds a ClientInfo to what
// the gate waits for.
func (l *lane) approach(g *leg) {
	at := l.gates[g.of.Owner]
	if g.of.announces != "" {
		if at == nil {
			at = &gate{}
			if l.gates == nil {
				l.gates = make(map[ocpi.PartyKey]*gate)
			}
			l.gates[g.of.Owner] = at
		}
		at.pending++
	}
	g.behind = at
}

// pass notes that a leg has ended; the last ClientInfo opens the gate.
func (l *lane) pass(g *leg) {
	if g.of.announces == "" {
		return
	}
	at := g.behind
	if at.pending--; at.pending > 0 {
		return
	}
	delete(l.gates, g.of.Owner)
	for _, c := range at.waiting {
		l.ready.push(c)
	}
	at.waiting = nil
	if at.opened != nil {
		close(at.opened)
	}
}

// opened is closed when the party's ClientInfos have been sent; nil when none is
// under way.
func (l *lane) opened(party ocpi.PartyKey) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.gates[party]
	if at == nil {
		return nil
	}
	if at.opened == nil {
		at.opened = make(chan struct{})
	}
	return at.opened
}

// clear ends everything that waits for a platform that is not reachable. What is
// in flight ends by itself. It looks at the directory again: the platform may be
// back by now, and what was queued since is not lost.
func (l *lane) clear() {
	l.mu.Lock()
	if e := l.fanout.cfg.Directory.Snapshot().Platform(l.id); e != nil && e.Reachable() {
		l.mu.Unlock()
		return
	}
	ended := l.empty(OutcomeOffline)
	l.unlock()
	l.end(ended)
}

func (l *lane) empty(o Outcome) (ended *leg) {
	l.forgive(o)
	l.ready, l.ahead = chains{}, nil
	for _, at := range l.gates {
		at.waiting = nil
	}
	for key, c := range l.objects {
		for c.first != nil {
			g := c.first
			l.take(c, g)
			l.pass(g)
			g.outcome, g.next = o, ended
			ended = g
		}
		if c.next = nil; !c.inFlight {
			delete(l.objects, key)
		}
	}
	return ended
}

// end settles legs that ended without being sent, linked by next.
func (l *lane) end(legs *leg) {
	for g := legs; g != nil; {
		ended := g
		g = g.next
		switch ended.outcome {
		case owedLater:
			ended.of.leave()
		case OutcomeSuperseded:
			ended.of.end(ended.outcome, nil)
		default:
			ended.of.end(ended.outcome, &FailedLeg{To: ended.to, Platform: l.id, Outcome: ended.outcome, Detail: unsent[ended.outcome]})
		}
	}
}

// unsent says why a leg was not sent.
var unsent = map[Outcome]string{
	OutcomeOffline:   "not sent: the platform is not connected",
	OutcomeOverflow:  "not sent: too much is waiting for the platform already",
	OutcomeCancelled: "not sent: the hub is stopping",
}

// close ends everything, now and from now on.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	ended := l.empty(OutcomeCancelled)
	for _, w := range l.crew {
		w.cutOff()
	}
	l.unlock()
	l.end(ended)
}

// retire makes the lane useless if nothing is in it.
func (l *lane) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = l.queued == 0 && len(l.crew) == 0 && l.debts.first == nil
	return l.retired
}

func (l *lane) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued + len(l.crew) + len(l.debts.of)
}

// suspect tells the monitor that the platform could not be reached.
func (l *lane) suspect(now time.Time) {
	if l.fanout.cfg.Suspect == nil {
		return
	}
	l.mu.Lock()
	due := l.suspectedAt.IsZero() || now.Sub(l.suspectedAt) >= suspectPause
	if due {
		l.suspectedAt = now
	}
	l.mu.Unlock()
	if due {
		l.fanout.cfg.Suspect(l.id)
	}
}
