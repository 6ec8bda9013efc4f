package parties

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"busbar/ocpi"
)

// Member is a party on one platform, with the roles that it has there.
type Member struct {
	Party ocpi.PartyKey
	Roles []ocpi.Role
	Entry *Entry
}

// roll is made when it is first asked for, once per snapshot.
type roll struct {
	once    sync.Once
	members []Member
}

// Roll lists every party on every platform, sorted by party and, for a party on
// several platforms, the oldest platform first. It must not be changed.
func (s *Snapshot) Roll() []Member {
	s.roll.once.Do(func() { s.roll.members = s.callRoll() })
	return s.roll.members
}

func (s *Snapshot) callRoll() []Member {
	members := make([]Member, 0, len(s.byParty))
	for _, e := range s.byID {
		for _, party := range e.Platform.Parties() {
			m := Member{Party: party, Entry: e}
			for _, pr := range e.Platform.PartyRoles() {
				if pr.Party == party {
					m.Roles = append(m.Roles, pr.Role)
				}
			}
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(
			bytes.Compare(a.Party[:], b.Party[:]),
			a.Entry.Platform.CreatedAt.Compare(b.Entry.Platform.CreatedAt),
			cmp.Compare(a.Entry.Platform.ID, b.Entry.Platform.ID),
		)
	})
	return members
}
