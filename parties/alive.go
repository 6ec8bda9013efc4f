package parties

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"busbar/ocpi"
)

const (
	// mostChecks are the platforms that are asked at once: with hundreds that hang,
	// the others still have their turn.
	mostChecks = 32
	// offlinePause is the time to the first check of a platform that became
	// OFFLINE, perhaps by mistake: nothing is sent to it meanwhile. It doubles, up
	// to an interval, with every check that fails.
	offlinePause = 10 * time.Second
	// suspectPause is the least time between two checks of a platform. It
	// doubles, up to an interval, with every time that the platform was lost
	// since it last answered: one that calls, but cannot be called, would come
	// and go for all others to hear.
	suspectPause = 5 * time.Second
	// finestTick is the least time between two looks at who is due.
	finestTick = 10 * time.Millisecond
)

// askVersions asks the platform for its versions, as a still-alive check does
// (2.2.1 mod_hub_client_info). Any other answer than a good one is an error:
// the hub's requests would fare no better.
func (r *Registrar) askVersions(ctx context.Context, p *Platform) error {
	talk := r.handshake(p.ID, p.Outbound, p.Quirks.TokenForm)
	defer talk.client.Close()
	return talk.get(ctx, p.VersionsURL, nil)
}

// revive makes a platform CONNECTED that was OFFLINE.
func (r *Registrar) revive(ctx context.Context, id PlatformID) error {
	return r.setPresence(ctx, id, func(p *Platform) bool {
		if p.Status != ocpi.Offline || p.Unopened != "" {
			return false
		}
		p.setStatus(ocpi.Connected, r.now())
		return true
	})
}

// lose makes a platform OFFLINE that was CONNECTED, unless it changed since it
// was asked or called another replica.
func (r *Registrar) lose(ctx context.Context, asked *Platform, at time.Time) error {
	return r.setPresence(ctx, asked.ID, func(p *Platform) bool {
		if p.Status != ocpi.Connected || p.LastSeen.After(at) ||
			p.Outbound != asked.Outbound || p.VersionsURL != asked.VersionsURL {
			return false
		}
		p.setStatus(ocpi.Offline, r.now())
		return true
	})
}

// setPresence changes the status of a registered platform that the operator did
// not suspend. change tells whether there is anything to change.
func (r *Registrar) setPresence(ctx context.Context, id PlatformID, change func(*Platform) bool) error {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	_, err := r.update(ctx, id, func(p *Platform) error {
		if !p.Registered() || p.Held || !change(p) {
			return errNothingToDo
		}
		return nil
	})
	if errors.Is(err, errNothingToDo) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// pulse is what decides when a platform is checked.
type pulse struct {
	// seen is its last sign of life: a call, a good answer, the change to its
	// status.
	seen time.Time
	// checked is when this replica last began a check; zero for never.
	checked time.Time
	// suspected tells that somebody could not reach it since.
	suspected bool
	// losses is how often it became OFFLINE since it last answered, failures how
	// many checks failed since.
	losses, failures int
	// offline tells what it is now.
	offline bool
	// phase is the platform's own fraction of an interval, in [0, 1).
	phase float64
}

// due is when the platform is to be checked next, by a replica that watches
// since begin. A check is due after an interval of silence and up to an eighth
// more, so that platforms that fell silent together are not checked together; of
// one that became OFFLINE sooner, at first. What was overdue in the beginning is
// spread over a whole interval.
func (p pulse) due(begin time.Time, interval time.Duration) time.Time {
	if p.suspected {
		return p.checked.Add(min(suspectPause<<min(p.losses, 20), max(interval, suspectPause)))
	}
	if p.offline && !p.checked.IsZero() {
		pause := min(offlinePause<<min(max(p.failures-1, 0), 20), interval)
		return p.checked.Add(pause + time.Duration(p.phase*float64(pause)/8))
	}
	last := p.seen
	if p.checked.After(last) {
		last = p.checked
	}
	own := time.Duration(p.phase * float64(interval))
	if due := last.Add(interval + own/8); !due.Before(begin) {
		return due
	}
	return begin.Add(own)
}

// watched tells that a platform is to be watched: it may be there, and nobody
// says that it must not be.
func (e *Entry) watched() bool {
	p := &e.Platform
	return p.Registered() && !p.Held && p.Unopened == "" && (p.Status == ocpi.Connected || p.Status == ocpi.Offline)
}

// phase spreads platforms over [0, 1).
func (m *Monitor) phase(id PlatformID) float64 {
	return float64(maphash.String(m.seed, string(id))>>11) / (1 << 53)
}

// rounds is the state of the checks. One goroutine has it.
type rounds struct {
	*Monitor
	begin   time.Time
	watches map[PlatformID]*watch
	// queue are the platforms that are due, the longest first.
	queue   []PlatformID
	running int
	done    chan checked
}

// watch is what a replica remembers of a platform between checks.
type watch struct {
	checked            time.Time
	suspected, waiting bool
	losses, failures   int
}

// checked is a check that ended.
type checked struct {
	*watch
	outcome outcome
}

// outcome is what a check found out.
type outcome int

const (
	nothingNew outcome = iota
	spared
	answered
	// silent is one that is OFFLINE still, lost one that is from now on.
	silent
	lost
)

// watch checks platforms until ctx ends, and waits for the last checks.
func (m *Monitor) watch(ctx context.Context) {
	r := &rounds{Monitor: m, begin: time.Now(), watches: make(map[PlatformID]*watch), done: make(chan checked)}
	tick := time.NewTicker(min(time.Second, max(m.cfg.Interval/20, finestTick)))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			r.look(time.Now())
		case <-m.suspects.wake:
			for id := range m.suspects.take() {
				r.suspect(id, time.Now())
			}
		case c := <-r.done:
			r.running--
			c.waiting = false
			switch c.outcome {
			case spared:
				c.checked = time.Time{} // due an interval after what was heard elsewhere
			case answered:
				c.losses, c.failures = 0, 0
			case silent:
				c.failures++
			case lost:
				c.losses, c.failures = c.losses+1, max(c.failures, c.losses)+1
			}
		}
		r.dispatch(ctx)
	}
	for ; r.running > 0; r.running-- {
		<-r.done
	}
}

func (r *rounds) of(id PlatformID) *watch {
	w := r.watches[id]
	if w == nil {
		w = &watch{}
		r.watches[id] = w
	}
	return w
}

// look queues who is due.
func (r *rounds) look(now time.Time) {
	s := r.cfg.Directory.Snapshot()
	type overdue struct {
		id  PlatformID
		due time.Time
	}
	var all []overdue
	for id, e := range s.byID {
		if due, ok := r.due(e, now); ok {
			all = append(all, overdue{id, due})
		}
	}
	slices.SortFunc(all, func(a, b overdue) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.id, b.id))
	})
	for _, o := range all {
		r.queue = append(r.queue, o.id)
	}
	for id := range r.watches {
		if s.byID[id] == nil {
			delete(r.watches, id)
		}
	}
}

// due tells whether the platform is to be queued. If so, it counts as queued.
func (r *rounds) due(e *Entry, now time.Time) (due time.Time, ok bool) {
	w := r.of(e.Platform.ID)
	due = r.pulse(e, w).due(r.begin, r.cfg.Interval)
	if w.waiting || !e.watched() || due.After(now) || !r.mine(e, w) {
		return due, false
	}
	w.waiting = true
	return due, true
}

// mine tells whether this replica is to ask: it could not reach the platform, or
// has found it OFFLINE, or is the one that asks.
func (r *rounds) mine(e *Entry, w *watch) bool {
	lost := e.Platform.Status == ocpi.Offline && w.failures > 0
	return w.suspected || lost || r.cfg.Mine == nil || r.cfg.Mine(e.Platform.ID)
}

// suspect queues a platform before all others, or lets look find it when it was
// checked a moment ago.
func (r *rounds) suspect(id PlatformID, now time.Time) {
	r.of(id).suspected = true
	if e := r.cfg.Directory.Snapshot().Platform(id); e != nil {
		if _, ok := r.due(e, now); ok {
			r.queue = slices.Insert(r.queue, 0, id)
		}
	}
}

func (r *rounds) pulse(e *Entry, w *watch) pulse {
	p := pulse{
		seen: e.LastSeen(), checked: w.checked, suspected: w.suspected, losses: w.losses, failures: w.failures,
		offline: e.Platform.Status == ocpi.Offline, phase: r.phase(e.Platform.ID),
	}
	if since := e.Platform.StatusSince; since.After(p.seen) {
		p.seen = since
	}
	return p
}

// dispatch begins the checks that are waiting, as many as may run at once.
func (r *rounds) dispatch(ctx context.Context) {
	for r.running < mostChecks && len(r.queue) > 0 && ctx.Err() == nil {
		id := r.queue[0]
		r.queue = r.queue[1:]
		e, w := r.cfg.Directory.Snapshot().Platform(id), r.of(id)
		if e == nil || !e.watched() || r.pulse(e, w).due(r.begin, r.cfg.Interval).After(time.Now()) {
			w.waiting = false // it was heard of while it waited
			continue
		}
		suspected := w.suspected
		w.checked, w.suspected = time.Now(), false
		r.running++
		go func() { r.done <- checked{w, r.check(ctx, e, suspected)} }()
	}
}

// check asks one platform and keeps the outcome. One that is not suspected is
// spared if it called another replica meanwhile.
func (m *Monitor) check(ctx context.Context, e *Entry, suspected bool) outcome {
	begin := time.Now()
	if !suspected && m.heardElsewhere(ctx, e, begin) {
		return spared
	}
	id, failure := e.Platform.ID, m.ask(ctx, &e.Platform)
	if failure == nil {
		e.wasSeen(time.Now())
		if e.Platform.Status == ocpi.Offline {
			m.kept(ctx, id, m.cfg.Registrar.revive(ctx, id))
		}
		return answered
	}
	if e.Platform.Status == ocpi.Offline {
		return silent
	}
	if ctx.Err() != nil || e.Platform.Status != ocpi.Connected || e.LastSeen().After(begin) {
		return nothingNew // or the platform itself said otherwise
	}
	m.cfg.Logger.Info("platform does not answer its still-alive check", "platform", id, "error", failure)
	m.kept(ctx, id, m.cfg.Registrar.lose(ctx, &e.Platform, begin))
	return lost
}

// kept logs that the outcome of a check could not be kept. The next one will be.
func (m *Monitor) kept(ctx context.Context, id PlatformID, err error) {
	if err != nil && ctx.Err() == nil {
		m.cfg.Logger.Warn("note the outcome of a still-alive check", "platform", id, "error", err)
	}
}

// heardElsewhere tells that the platform is not silent: the record knows of a
// later sign of life than this replica.
func (m *Monitor) heardElsewhere(ctx context.Context, e *Entry, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	stored, err := m.cfg.Store.Get(ctx, e.Platform.ID)
	if err != nil || !stored.LastSeen.After(e.LastSeen()) {
		return false
	}
	e.wasSeen(stored.LastSeen)
	return stored.LastSeen.After(now.Add(-m.cfg.Interval))
}
