package routing

import (
	"context"

	"busbar/ocpi"
	"busbar/parties"
)

// Explanation is what the router would do with a request, and why.
type Explanation struct {
	Plan PlanKind
	// Targets are who would be sent to; URL is the one that would be called.
	Targets  []ExplainedTarget
	Excluded []Exclusion
	// Refusal is the answer that a refused request would get.
	Refusal *ocpi.Error
}

// ExplainedTarget is one receiver.
type ExplainedTarget struct {
	Party    ocpi.PartyKey
	Platform parties.PlatformID
	URL      string
}

// Explain decides on a request as Route would, and sends nothing. The caller is
// the platform that speaks for req.From on the other side of the module.
func (r *Router) Explain(ctx context.Context, req *ocpi.Request) Explanation { panic("not built") }
