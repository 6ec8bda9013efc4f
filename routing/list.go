package routing

import (
	"context"

	"busbar/ocpi"
	"busbar/parties"
)

// Sealer keeps what a cursor holds from those who carry it.
type Sealer interface {
	// Seal makes text that only Open with the same context can read.
	Seal(text, context string) (string, error)
	Open(sealed, context string) (string, error)
}

// list answers GET All: from the catalog, or gathered live from the parties
// whose objects the hub does not keep.
func (r *Router) list(ctx context.Context, caller *parties.Entry, req *ocpi.Request, m *Message) Reply {
	panic("not built")
}
