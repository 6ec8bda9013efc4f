package routing

import (
	"context"

	"busbar/ocpi"
)

// ask sends an authorisation to every eMSP of the plan at once; the first that
// knows the token answers it (2.2.1 mod_tokens, Real-time authorization).
func (r *Router) ask(ctx context.Context, plan *Plan, req *ocpi.Request, m *Message) Reply {
	panic("not built")
}
