package routing

import (
	"context"
	"log/slog"
	"time"

	"busbar/catalog"
	"busbar/parties"
)

// Puller fetches the Locations and Tariffs of CPOs into the catalog, after an
// outage of the hub or of theirs, and after a first registration (O2).
type Puller struct{ cfg PullerConfig }

// PullerConfig wires a Puller.
type PullerConfig struct {
	Directory  *parties.Directory
	Hub        parties.Identity
	Catalog    *catalog.Catalog
	Broadcasts BroadcastLog
	Logger     *slog.Logger
	Timeout    time.Duration
	// NewPlatforms pulls after a first registration too.
	NewPlatforms bool
}

// NewPuller makes a Puller.
func NewPuller(cfg PullerConfig) *Puller { return &Puller{cfg: cfg} }

// Refresh asks for a pull of what changed at the platform since the time; zero
// is everything. It does not block.
func (p *Puller) Refresh(id parties.PlatformID, since time.Time) {}

// Run pulls until ctx ends.
func (p *Puller) Run(ctx context.Context) { <-ctx.Done() }
