package parties

import (
	"slices"
	"time"

	"busbar/ocpi"
)

// ClientInfos lists the parties of other platforms with their connection
// status, one object for each role, the oldest platform first (2.2.1
// mod_hub_client_info). When agreements are required, it lists only those that
// are acquainted with a party of the caller's. It returns the page and the
// number of objects that match.
//
// A deleted platform's parties, and roles that a platform gave up, are not in
// the list any more: what a whole list leaves out "is considered as no longer
// valid" (same chapter, GET, Response Data). Who does not read it was told by a
// push that they are SUSPENDED.
func (s *Snapshot) ClientInfos(caller *Entry, page ocpi.Paging) ([]ocpi.ClientInfo, int) {
	infos := []ocpi.ClientInfo{}
	total := 0
	for _, e := range s.Platforms() {
		if e.Platform.ID == caller.Platform.ID || !page.Contains(lastUpdated(e.Platform.StatusSince)) {
			continue
		}
		for _, pr := range visible(&e.Platform) {
			if !s.knows(caller, pr.Party) {
				continue
			}
			if total >= page.Offset && len(infos) < page.Limit {
				infos = append(infos, clientInfo(pr, e.Platform.Status, e.Platform.StatusSince))
			}
			total++
		}
	}
	return infos, total
}

// lastUpdated is a time as a ClientInfo shows it, so that a poller's date_from
// means what it read.
func lastUpdated(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

func clientInfo(pr ocpi.PartyRole, status ocpi.ConnectionStatus, since time.Time) ocpi.ClientInfo {
	return ocpi.ClientInfo{
		PartyID: pr.Party.PartyID(), CountryCode: pr.Party.CountryCode(), Role: pr.Role,
		Status: status, LastUpdated: ocpi.FormatTime(lastUpdated(since)),
	}
}

// visible are the roles of a platform that others see, each once; none of no
// platform.
func visible(p *Platform) []ocpi.PartyRole {
	if p == nil {
		return nil
	}
	var once []ocpi.PartyRole
	for _, pr := range p.PartyRoles() {
		if !slices.Contains(once, pr) {
			once = append(once, pr)
		}
	}
	return once
}

// changed are the roles of which others see something else than before: that
// came, went, or have another status.
func changed(before, after *Platform) []ocpi.PartyRole {
	were, are := visible(before), visible(after)
	var news []ocpi.PartyRole
	for _, pr := range are {
		if !slices.Contains(were, pr) || before.Status != after.Status {
			news = append(news, pr)
		}
	}
	for _, pr := range were {
		if !slices.Contains(are, pr) {
			news = append(news, pr)
		}
	}
	return news
}

// holder is the platform whose party others see in the role; nil when there is
// none.
func (s *Snapshot) holder(pr ocpi.PartyRole) *Entry {
	for _, e := range s.byParty[pr.Party] {
		if slices.Contains(e.Platform.PartyRoles(), pr) {
			return e
		}
	}
	return nil
}
