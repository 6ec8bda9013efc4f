package parties

import (
	"context"
	"log/slog"
	"time"

	"busbar/ocpi"
)

// Monitor watches that platforms are alive (2.2.1 mod_hub_client_info, Still
// alive check) and tells every platform of changes to the parties of the others.
type Monitor struct{ cfg MonitorConfig }

// MonitorConfig wires a Monitor.
type MonitorConfig struct {
	Directory *Directory
	Registrar *Registrar
	Store     Store
	Logger    *slog.Logger
	// Interval is the silence after which a platform is checked.
	Interval time.Duration
	// Push sends a ClientInfo to a platform; it must not block.
	Push func(to *Entry, info ocpi.ClientInfo)
	// Back is told of a platform that is connected for the first time (zero
	// since) or again, and since when it may have been missed.
	Back func(id PlatformID, since time.Time)
}

// NewMonitor makes a Monitor.
func NewMonitor(cfg MonitorConfig) *Monitor { return &Monitor{cfg: cfg} }

// Heard notes that a platform that is not CONNECTED called. It does not block.
func (m *Monitor) Heard(id PlatformID) {}

// Suspect asks for a check of the platform now. It does not block.
func (m *Monitor) Suspect(id PlatformID) {}

// Run checks until ctx ends.
func (m *Monitor) Run(ctx context.Context) { <-ctx.Done() }
