package parties

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"busbar/ocpi"
)

// Monitor watches that platforms are alive (2.2.1 mod_hub_client_info, Still
// alive check) and tells every platform of changes to the parties of the others.
//
// A platform that was silent for an interval is asked for its versions. Who does
// not answer is OFFLINE, and is asked again, soon at first and then every
// interval; any call of its own makes it CONNECTED. Of several replicas the one
// asks whose the platform is, and whoever could not reach it; a platform that
// called another one is not asked.
type Monitor struct {
	cfg MonitorConfig
	// heard and suspects wait for Run.
	heard, suspects *inbox
	// pushing orders the pushes, so that the newest state of a party goes last.
	// Neither Heard nor Suspect wait for it: Push may call them.
	pushing sync.Mutex
	// seed spreads platforms over time, otherwise on every replica.
	seed maphash.Seed
	// ask is Registrar.askVersions; tests set their own.
	ask func(context.Context, *Platform) error
}

// MonitorConfig wires a Monitor. Every field but Interval, Alone and Mine is needed.
type MonitorConfig struct {
	Directory *Directory
	Registrar *Registrar
	Store     Store
	Logger    *slog.Logger
	// Interval is the silence after which a platform is checked; zero means 5
	// minutes.
	Interval time.Duration
	// Push sends a ClientInfo to a platform; it must not block.
	Push func(to *Entry, info ocpi.ClientInfo)
	// Back is told of a platform that is connected for the first time (zero
	// since) or again, and since when it may have been missed. It must not block.
	Back func(id PlatformID, since time.Time)
	// Alone tells that there is no other replica: while this one is away,
	// however briefly, nobody takes pushes.
	Alone bool
	// Mine tells whether this replica is the one that asks a silent platform. Nil:
	// it is, for all.
	Mine func(PlatformID) bool
}

// defaultInterval is what the specification advises to start with (2.2.1
// mod_hub_client_info, Still alive check).
const defaultInterval = 5 * time.Minute

// NewMonitor makes a Monitor, which hears of the Registrar's changes from now
// on. A Registrar has one Monitor, made before it is used.
func NewMonitor(cfg MonitorConfig) *Monitor {
	if cfg.Interval <= 0 {
		cfg.Interval = defaultInterval
	}
	m := &Monitor{
		cfg: cfg, heard: newInbox(), suspects: newInbox(), seed: maphash.MakeSeed(), ask: cfg.Registrar.askVersions,
	}
	cfg.Registrar.observer = m
	return m
}

// Heard notes that a platform that is not CONNECTED called. It does not block.
// One that is PLANNED or SUSPENDED stays it.
func (m *Monitor) Heard(id PlatformID) {
	if e := m.cfg.Directory.Snapshot().Platform(id); e != nil && e.Platform.Status == ocpi.Offline && e.Platform.Unopened == "" {
		m.heard.add(id)
	}
}

// Suspect asks for a check of the platform now, though not more often than
// every few seconds. It does not block.
func (m *Monitor) Suspect(id PlatformID) {
	if e := m.cfg.Directory.Snapshot().Platform(id); e != nil && e.Reachable() {
		m.suspects.add(id)
	}
}

// Run checks until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { m.welcome(ctx) })
	running.Go(func() { m.catchUp(ctx) })
	running.Go(func() { m.watch(ctx) })
	running.Wait()
}

// storeFailurePause keeps a database that is down from being asked by every
// call of an OFFLINE platform.
const storeFailurePause = time.Second

// welcome makes the platforms CONNECTED again that were heard.
func (m *Monitor) welcome(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.heard.wake:
		}
		for id := range m.heard.take() {
			err := m.cfg.Registrar.revive(ctx, id)
			if err == nil || ctx.Err() != nil {
				continue
			}
			m.cfg.Logger.Warn("note that a platform is back", "platform", id, "error", err)
			if !pause(ctx, storeFailurePause) {
				return
			}
		}
	}
}

// pause waits, and tells whether ctx is still going on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// inbox collects platforms, each once, for a goroutine that waits on wake. Only
// platforms of the directory are added, which bounds it.
type inbox struct {
	mu  sync.Mutex
	ids map[PlatformID]bool
	// wake holds a value while ids may not be empty.
	wake chan struct{}
}

func newInbox() *inbox {
	return &inbox{ids: make(map[PlatformID]bool), wake: make(chan struct{}, 1)}
}

func (i *inbox) add(id PlatformID) {
	i.mu.Lock()
	i.ids[id] = true
	i.mu.Unlock()
	select {
	case i.wake <- struct{}{}:
	default: // it has not yet seen the last wake
	}
}

func (i *inbox) take() map[PlatformID]bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	ids := i.ids
	i.ids = make(map[PlatformID]bool)
	return ids
}
