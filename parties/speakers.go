package parties

import "busbar/ocpi"

// Speakers are the platforms that speak for the party, in no order. The slice is
// the snapshot's own.
func (s *Snapshot) Speakers(party ocpi.PartyKey) []*Entry { return s.byParty[party] }
