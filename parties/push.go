package parties

import (
	"slices"
	"time"

	"busbar/ocpi"
)

// platformChanged pushes what others see of the platform's parties, and tells
// of a platform that is there (again). The parties of a platform that is gone,
// and roles that it gave up, become SUSPENDED: a ClientInfo is never deleted
// (O4). It comes before the platform can use what the change gave it, so that
// nobody hears of an object before its owner (O5).
//
// The replica that makes a change pushes it, and no other; one that dies in
// between leaves it to the receivers' GET.
func (m *Monitor) platformChanged(before, after *Platform) {
	if roles := changed(before, after); len(roles) > 0 {
		m.pushRoles(roles, before)
	}
	if since, ok := returned(before, after, m.cfg.Interval); ok {
		m.cfg.Back(after.ID, since)
	}
}

// pushRoles pushes how things stand with roles that a platform has, or had
// before: another change may have overtaken the one that this is about.
func (m *Monitor) pushRoles(roles []ocpi.PartyRole, before *Platform) {
	m.pushing.Lock()
	defer m.pushing.Unlock()
	s := m.cfg.Directory.Snapshot()
	receivers := s.informed()
	for _, pr := range roles {
		// What is gone has no time of its own, and is no news to its platform.
		info, owner := clientInfo(pr, ocpi.Suspended, m.cfg.Registrar.now()), PlatformID("")
		if e := s.holder(pr); e != nil {
			info, owner = clientInfo(pr, e.Platform.Status, e.Platform.StatusSince), e.Platform.ID
		} else if before != nil {
			owner = before.ID
		}
		for _, to := range receivers {
			if to.Platform.ID != owner && s.knows(to, pr.Party) {
				m.cfg.Push(to, info)
			}
		}
	}
}

// informed are the platforms that want to be told of ClientInfos: those that
// the hub may send to and that have the Receiver interface.
func (s *Snapshot) informed() []*Entry {
	var all []*Entry
	for _, e := range s.byID {
		if e.wantsClientInfo() {
			all = append(all, e)
		}
	}
	return all
}

func (e *Entry) wantsClientInfo() bool {
	return e.Reachable() && e.Endpoint(ocpi.ModuleHubClientInfo, ocpi.Receiver) != nil
}

// agreementChanged pushes the parties that a platform can see now and could not
// before and, as SUSPENDED, those that it cannot see any more.
func (m *Monitor) agreementChanged(before, after *Snapshot, pair [2]ocpi.PartyKey) {
	if !after.closed {
		return
	}
	m.pushing.Lock()
	defer m.pushing.Unlock()
	now := m.cfg.Directory.Snapshot()
	directions := [][2]ocpi.PartyKey{{pair[0], pair[1]}, {pair[1], pair[0]}}
	for _, d := range slices.Compact(directions) { // every party with every party is one
		receivers := slices.DeleteFunc(now.speaking(d[0]), func(e *Entry) bool { return !e.wantsClientInfo() })
		for _, of := range now.speaking(d[1]) {
			for _, to := range receivers {
				m.pushSight(sight{before, after, now}, to, of, d[1])
			}
		}
	}
}

// sight is the directory before and after a change of agreements, and now.
type sight struct{ before, after, now *Snapshot }

// pushSight pushes the roles of a platform's party, or of all its parties, that
// came into or went out of another platform's sight.
func (m *Monitor) pushSight(s sight, to, of *Entry, party ocpi.PartyKey) {
	if to.Platform.ID == of.Platform.ID {
		return
	}
	for _, pr := range visible(&of.Platform) {
		if !party.IsZero() && pr.Party != party || s.before.knows(to, pr.Party) == s.after.knows(to, pr.Party) {
			continue
		}
		if s.now.knows(to, pr.Party) {
			m.cfg.Push(to, clientInfo(pr, of.Platform.Status, of.Platform.StatusSince))
		} else {
			m.cfg.Push(to, clientInfo(pr, ocpi.Suspended, m.cfg.Registrar.now()))
		}
	}
}

// speaking are the platforms that speak for a party, or all for every party.
func (s *Snapshot) speaking(party ocpi.PartyKey) []*Entry {
	if !party.IsZero() {
		return slices.Clone(s.byParty[party])
	}
	return s.Platforms()
}

// returned tells that a change made a platform one that the hub can reach, and
// since when it may have been missed: zero for a new registration.
func returned(before, after *Platform, interval time.Duration) (since time.Time, ok bool) {
	if after == nil || !after.Reachable() || before == nil || before.Reachable() {
		return time.Time{}, false
	}
	if !before.Registered() {
		return time.Time{}, true
	}
	since = before.StatusSince
	if before.Status == ocpi.Offline {
		since = since.Add(-interval) // it may have been away since the check before
	}
	if seen := before.LastSeen; !seen.IsZero() && seen.Before(since) {
		since = seen
	}
	return since, true
}
