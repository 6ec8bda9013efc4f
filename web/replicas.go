package web

import (
	"busbar/journal"
	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// replicaJSON is one replica's part of the overview.
type replicaJSON struct {
	ID         routing.ReplicaID `json:"id"`
	Since      string            `json:"since"`
	Queue      int               `json:"queue"`
	LastMinute figuresJSON       `json:"last_minute"`
}

// replicas shows each replica, the one that answers first, and sums up what waits
// at all of them.
func (s *Server) replicas(list []journal.Replica) (lanes map[parties.PlatformID]int, queue int, out []replicaJSON) {
	lanes, queue = s.cfg.Fanout.Lanes(), s.cfg.Fanout.Queued()
	for i, r := range list {
		own := queue
		if i > 0 {
			own = 0
			for id, n := range r.Lanes {
				lanes[id] += n
				own += n
			}
			queue += own
		}
		out = append(out, replicaJSON{r.ID, ocpi.FormatTime(r.Since), own, showFigures(r.Own)})
	}
	return lanes, queue, out
}
