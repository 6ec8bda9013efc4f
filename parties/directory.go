package parties

import (
	"maps"
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

// Replace makes the directory hold exactly these platforms, which were read at
// the revision. What this replica itself committed later stays.
func (d *Directory) Replace(platforms []Platform, revision int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.snap.Load(); revision >= old.revision {
		d.replace(old, platforms, revision)
	} // else a slower reader's older news
}

// Restart is Replace for a record that went back to an older revision: a
// restored database. Nothing newer stays.
func (d *Directory) Restart(platforms []Platform, revision int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.snap.Load().clone()
	clear(old.removed)
	for id, e := range old.byID {
		older := *e
		older.Platform.Revision = min(older.Platform.Revision, revision)
		old.byID[id] = &older
	}
	d.replace(old, platforms, revision)
}

func (d *Directory) replace(old *Snapshot, platforms []Platform, revision int64) {
	next := newSnapshot()
	next.revision = revision
	for _, p := range platforms {
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
		e.Client, e.seen = old.Client, old.seen
		if old.Platform.Outbound != p.Outbound || old.Platform.Quirks.TokenForm != p.Quirks.TokenForm {
			e.Client.SetToken(p.Outbound, p.Quirks.TokenForm)
		}
	} else {
		e.Client, e.seen = d.dialer.NewClient(p.Outbound, p.Quirks.TokenForm), new(atomic.Int64)
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

// Seen notes that the platform called now.
func (e *Entry) Seen(now time.Time) { e.seen.Store(now.UnixNano()) }

// LastSeen is when the platform last called this replica or, before it did, the
// time in the record; zero for never.
func (e *Entry) LastSeen() time.Time {
	if n := e.seen.Load(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}

// Snapshot is an immutable state of the directory.
type Snapshot struct {
	revision int64
	byID     map[PlatformID]*Entry
	byParty  map[ocpi.PartyKey][]*Entry
	byToken  map[ocpi.TokenHash]inbound
	// removed remembers deletions, so that late news brings nothing back.
	removed map[PlatformID]int64
	roll    roll
}

type inbound struct {
	entry *Entry
	token InboundToken
}

func newSnapshot() *Snapshot {
	return &Snapshot{
		byID: make(map[PlatformID]*Entry), byParty: make(map[ocpi.PartyKey][]*Entry),
		byToken: make(map[ocpi.TokenHash]inbound), removed: make(map[PlatformID]int64),
	}
}

func (s *Snapshot) clone() *Snapshot {
	return &Snapshot{
		revision: s.revision, byID: maps.Clone(s.byID), byParty: maps.Clone(s.byParty),
		byToken: maps.Clone(s.byToken), removed: maps.Clone(s.removed),
	}
}

func (s *Snapshot) add(e *Entry) {
	s.byID[e.Platform.ID] = e
	for key := range e.parties {
		s.byParty[key] = append(slices.Clip(s.byParty[key]), e)
	}
	for _, t := range e.Platform.Inbound {
		s.byToken[t.Hash] = inbound{e, t}
	}
}

func (s *Snapshot) drop(e *Entry) {
	delete(s.byID, e.Platform.ID)
	for key := range e.parties {
		rest := slices.DeleteFunc(slices.Clone(s.byParty[key]), func(o *Entry) bool { return o == e })
		if len(rest) == 0 {
			delete(s.byParty, key)
		} else {
			s.byParty[key] = rest
		}
	}
	for _, t := range e.Platform.Inbound {
		delete(s.byToken, t.Hash)
	}
}

// advance notes that the snapshot holds the change of a revision. Only the next
// one counts: a replica may commit revision 7 before it hears of 6, and must not
// believe then that it has both.
func (s *Snapshot) advance(revision int64) {
	if revision == s.revision+1 {
		s.revision = revision
	}
}

// Revision is the directory revision up to which the snapshot holds every
// change.
func (s *Snapshot) Revision() int64 { return s.revision }

// Platform finds an entry by id; nil when there is none.
func (s *Snapshot) Platform(id PlatformID) *Entry { return s.byID[id] }

// Platforms are all entries, the oldest platform first.
func (s *Snapshot) Platforms() []*Entry {
	return slices.SortedFunc(maps.Values(s.byID), func(a, b *Entry) int {
		if c := a.Platform.CreatedAt.Compare(b.Platform.CreatedAt); c != 0 {
			return c
		}
		if a.Platform.ID < b.Platform.ID {
			return -1
		}
		return 1
	})
}

// Find picks the platform that serves the interface for the party. A party may
// be CPO on one platform and eMSP on another, and a TO header has no role (R8):
// the one whose role implements the interface and that has the endpoint comes
// first, then any that has it, then any at all. Both results are nil for an
// unknown party; the target is nil when no platform has the endpoint.
func (s *Snapshot) Find(party ocpi.PartyKey, m ocpi.ModuleID, i ocpi.InterfaceRole) (*Entry, *peer.Target) {
	candidates := s.byParty[party]
	if len(candidates) == 1 {
		return candidates[0], candidates[0].Endpoint(m, i)
	}
	var best *Entry
	bestRank := -1
	for _, e := range candidates {
		rank := 0
		if e.Endpoint(m, i) != nil {
			rank += 2
		}
		if e.implements(party, m, i) {
			rank++
		}
		if rank > bestRank {
			best, bestRank = e, rank
		}
	}
	if best == nil {
		return nil, nil
	}
	return best, best.Endpoint(m, i)
}

func (e *Entry) implements(party ocpi.PartyKey, m ocpi.ModuleID, i ocpi.InterfaceRole) bool {
	for _, pr := range e.Platform.PartyRoles() {
		if pr.Party == party && pr.Role.Implements(m, i) {
			return true
		}
	}
	return false
}

// Connects tells whether any platform speaks for the party.
func (s *Snapshot) Connects(party ocpi.PartyKey) bool { return len(s.byParty[party]) > 0 }
