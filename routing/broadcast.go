package routing

import (
	"context"

	"busbar/ocpi"
	"busbar/parties"
)

// broadcast validates and keeps a push that is meant for all, appends it to the
// log, and answers at once (S5).
func (r *Router) broadcast(ctx context.Context, caller *parties.Entry, req *ocpi.Request, m *Message) Reply {
	panic("not built")
}
