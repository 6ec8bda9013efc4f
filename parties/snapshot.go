package parties

import (
	"maps"
	"slices"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// Snapshot is an immutable state of the directory.
type Snapshot struct {
	policy
	agreements *agreements

	revision int64
	byID     map[PlatformID]*Entry
	byParty  map[ocpi.PartyKey][]*Entry
	byToken  map[ocpi.TokenHash]inbound
	// removed remembers deletions, so that late news brings nothing back.
	removed map[PlatformID]int64

	roll roll
}

type inbound struct {
	entry *Entry
	token InboundToken
}

func newSnapshot() *Snapshot {
	return &Snapshot{
		agreements: newAgreements(nil, 0),
		byID:       make(map[PlatformID]*Entry), byParty: make(map[ocpi.PartyKey][]*Entry),
		byToken: make(map[ocpi.TokenHash]inbound), removed: make(map[PlatformID]int64),
	}
}

func (s *Snapshot) clone() *Snapshot {
	return &Snapshot{
		policy: s.policy, agreements: s.agreements,
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

// Implements tells whether any role of the party, on any platform, has the
// interface.
func (s *Snapshot) Implements(party ocpi.PartyKey, m ocpi.ModuleID, i ocpi.InterfaceRole) bool {
	return slices.ContainsFunc(s.byParty[party], func(e *Entry) bool { return e.implements(party, m, i) })
}

// Connects tells whether any platform speaks for the party.
func (s *Snapshot) Connects(party ocpi.PartyKey) bool { return len(s.byParty[party]) > 0 }
