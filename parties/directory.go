package parties

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// Directory answers from memory who calls and who is called. Readers take a
// Snapshot and never wait; writers replace it.
type Directory struct {
	dialer *peer.Dialer
	snap   atomic.Pointer[Snapshot]

	mu sync.Mutex // serialises writers
}

// NewDirectory makes an empty directory, whose platforms are called through
// dialer.
func NewDirectory(dialer *peer.Dialer) *Directory {
	d := &Directory{dialer: dialer}
	d.snap.Store(newSnapshot())
	return d
}

// Snapshot is the directory at one moment. Whoever asks twice in one request
// asks the same snapshot.
func (d *Directory) Snapshot() *Snapshot { return d.snap.Load() }

// Replace makes the directory hold exactly the record. What this replica itself
// committed later stays.
func (d *Directory) Replace(record Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.snap.Load(); record.Revision >= old.revision {
		d.replace(old, record)
	} // else a slower reader's older news
}

// Restart is Replace for a record that went back to an older revision: a
// restored database. Nothing newer stays.
func (d *Directory) Restart(record Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.snap.Load().clone()
	clear(old.removed)
	old.agreements = newAgreements(nil, 0)
	for id, e := range old.byID {
		older := *e
		older.Platform.Revision = min(older.Platform.Revision, record.Revision)
		old.byID[id] = &older
	}
	d.replace(old, record)
}

func (d *Directory) replace(old *Snapshot, record Record) {
	next, revision := newSnapshot(), record.Revision
	next.revision, next.policy, next.agreements = revision, old.policy, old.agreements
	if old.agreements.revision <= revision {
		next.agreements = newAgreements(record.Agreements, revision)
	}
	for _, p := range record.Platforms {
		have := old.byID[p.ID]
		switch {
		case old.removed[p.ID] > revision:
		case have != nil && have.Platform.Revision > revision:
			next.add(have)
		default:
			next.add(d.entry(have, p))
		}
	}
	for id, e := range old.byID {
		switch {
		case next.byID[id] != nil:
		case e.Platform.Revision > revision && old.removed[id] == 0:
			next.add(e)
		default:
			e.Client.Close()
		}
	}
	for id, at := range old.removed {
		if at > revision {
			next.removed[id] = at
		}
	}
	d.snap.Store(next)
}

// Apply brings one platform into the directory, unless a newer state of it is
// already there. revision is the change that this is the news of; p may be
// newer.
func (d *Directory) Apply(p Platform, revision int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.snap.Load().clone()
	next.advance(revision)
	have := next.byID[p.ID]
	if next.removed[p.ID] < p.Revision && (have == nil || have.Platform.Revision < p.Revision) {
		if have != nil {
			next.drop(have)
		}
		next.add(d.entry(have, p))
	}
	d.snap.Store(next)
}

// Remove takes a platform out; revision is the one that deleted it.
func (d *Directory) Remove(id PlatformID, revision int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.snap.Load().clone()
	next.advance(revision)
	next.removed[id] = revision
	if e := next.byID[id]; e != nil {
		next.drop(e)
		e.Client.Close()
	}
	d.snap.Store(next)
}

// entry makes the platform's entry, with the connections and the presence of
// the one before.
func (d *Directory) entry(old *Entry, p Platform) *Entry {
	e := &Entry{
		reachable: p.Reachable(), registered: p.Registered(), renewing: p.renewing(),
		Platform: p, parties: make(map[ocpi.PartyKey]struct{}), targets: make(map[endpointKey]*peer.Target),
	}
	if old != nil {
		e.Client, e.seen, e.proven = old.Client, old.seen, old.proven
		if old.Platform.Outbound != p.Outbound || old.Platform.Quirks.TokenForm != p.Quirks.TokenForm {
			e.Client.SetToken(p.Outbound, p.Quirks.TokenForm)
		}
	} else {
		e.Client, e.seen = d.dialer.NewClient(p.Outbound, p.Quirks.TokenForm), new(atomic.Int64)
		e.proven = new(atomic.Pointer[ocpi.TokenHash])
	}
	if !p.LastSeen.IsZero() && e.seen.Load() == 0 {
		e.seen.Store(p.LastSeen.UnixNano())
	}
	for _, key := range p.Parties() {
		e.parties[key] = struct{}{}
	}
	if len(e.parties) == 1 {
		e.only = p.Parties()[0]
	}
	for _, ep := range p.Endpoints {
		// Endpoints were checked when the platform registered.
		if t, err := peer.ParseTarget(ep.URL); err == nil {
			e.targets[endpointKey{ep.Identifier, ep.Role}] = &t
		}
	}
	return e
}

// Entry is one platform as a request finds it. It never changes, except for
// the presence and the connections behind it.
//
// What every message asks stands first and together: with thousands of platforms
// an entry is in no cache when it is needed.
type Entry struct {
	Client *peer.Client

	targets map[endpointKey]*peer.Target
	parties map[ocpi.PartyKey]struct{}
	// seen is when the platform last called, in Unix nanoseconds.
	seen *atomic.Int64
	only ocpi.PartyKey
	// reachable and registered are the Platform's; renewing tells that the use
	// of a token may end another.
	reachable, registered, renewing bool

	Platform Platform
	// proven is the access token that the platform has last shown to hold.
	proven *atomic.Pointer[ocpi.TokenHash]
}

type endpointKey struct {
	module ocpi.ModuleID
	role   ocpi.InterfaceRole
}

// SpeaksFor tells whether the party is one of the platform's (R9).
func (e *Entry) SpeaksFor(party ocpi.PartyKey) bool {
	_, ok := e.parties[party]
	return ok
}

// OnlyParty is the platform's party, if it has just one.
func (e *Entry) OnlyParty() (ocpi.PartyKey, bool) { return e.only, !e.only.IsZero() }

// Reachable tells that the hub may send to the platform.
func (e *Entry) Reachable() bool { return e.reachable }

// IsHub tells a peer hub, which speaks for parties that are not its own (R10).
func (e *Entry) IsHub() bool {
	return slices.ContainsFunc(e.Platform.Roles, func(r ocpi.CredentialsRole) bool { return r.Role == ocpi.RoleHub })
}

// Endpoint is where the platform serves the interface; nil when it does not.
func (e *Entry) Endpoint(m ocpi.ModuleID, i ocpi.InterfaceRole) *peer.Target {
	return e.targets[endpointKey{m, i}]
}

// Hosts tells whether the platform registered an endpoint on the target's host:
// only there may its token be sent (U4).
func (e *Entry) Hosts(t *peer.Target) bool {
	for _, own := range e.targets {
		if own.SameHost(t) {
			return true
		}
	}
	return false
}

// Names tells whether the platform registered an endpoint on a host of the target's
// name, whatever the port.
func (e *Entry) Names(t *peer.Target) bool {
	for _, own := range e.targets {
		if own.SameName(t) {
			return true
		}
	}
	return false
}

// Seen notes that the platform called now.
func (e *Entry) Seen(now time.Time) { e.seen.Store(now.UnixNano()) }

// wasSeen is Seen for a time that may not be the newest.
func (e *Entry) wasSeen(at time.Time) {
	for n := e.seen.Load(); n < at.UnixNano(); n = e.seen.Load() {
		if e.seen.CompareAndSwap(n, at.UnixNano()) {
			return
		}
	}
}

// LastSeen is when the platform last called this replica or answered its
// still-alive check or, before it did, the time in the record; zero for never.
func (e *Entry) LastSeen() time.Time {
	if n := e.seen.Load(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}
