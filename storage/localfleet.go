package storage

import "busbar/routing"

// localFleet is the fleet of a single replica: whatever others there were are
// gone, and everything is its to do.
type localFleet struct{ self routing.ReplicaID }

var _ routing.Fleet = localFleet{}

// Gone are all but this one.
func (f localFleet) Gone(ids []routing.ReplicaID) []routing.ReplicaID {
	var gone []routing.ReplicaID
	for _, id := range ids {
		if id != f.self {
			gone = append(gone, id)
		}
	}
	return gone
}

// Mine is always true.
func (localFleet) Mine(string) bool { return true }
