package parties

import (
	"time"

	"busbar/ocpi"
)

// ClientInfos lists the parties of other platforms with their connection
// status, one object for each role, the oldest platform first (2.2.1
// mod_hub_client_info). It returns the page and the number of objects that
// match.
func (s *Snapshot) ClientInfos(caller *Entry, page ocpi.Paging) ([]ocpi.ClientInfo, int) {
	infos := []ocpi.ClientInfo{}
	total := 0
	for _, e := range s.Platforms() {
		// DateTime has seconds or milliseconds; filter on what is shown.
		updated := e.Platform.StatusSince.Truncate(time.Millisecond)
		if e.Platform.ID == caller.Platform.ID || !page.Contains(updated) {
			continue
		}
		for _, pr := range e.Platform.PartyRoles() {
			if total >= page.Offset && len(infos) < page.Limit {
				infos = append(infos, ocpi.ClientInfo{
					PartyID: pr.Party.PartyID(), CountryCode: pr.Party.CountryCode(), Role: pr.Role,
					Status: e.Platform.Status, LastUpdated: ocpi.FormatTime(updated),
				})
			}
			total++
		}
	}
	return infos, total
}
