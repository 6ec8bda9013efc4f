package parties

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// memory is a Store for tests of what stands above it. The stores that hubs use
// are tested in package storage.
type memory struct {
	mu         sync.Mutex
	platforms  map[PlatformID]Platform
	agreements map[[2]ocpi.PartyKey]Agreement
	revision   int64
	// down, when it is set, is what every call fails with.
	down error
	// refuseSeen is what Seen alone fails with.
	refuseSeen error
	// The readings of everything, of one platform, and of the agreements.
	read, gets, lists int
}

func newMemory() *memory {
	return &memory{platforms: make(map[PlatformID]Platform), agreements: make(map[[2]ocpi.PartyKey]Agreement)}
}

// asked is how often one platform was read.
func (m *memory) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gets
}

func (m *memory) Revision(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revision, m.down
}

func (m *memory) All(context.Context) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read++
	return Record{
		Platforms:  slices.Collect(maps.Values(m.platforms)),
		Agreements: slices.Collect(maps.Values(m.agreements)), Revision: m.revision,
	}, m.down
}

func (m *memory) Get(_ context.Context, id PlatformID) (Platform, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	p, ok := m.platforms[id]
	switch {
	case m.down != nil:
		return Platform{}, m.down
	case !ok:
		return Platform{}, ErrNotFound
	}
	return p.Clone(), nil
}

// change runs do, and raises the revision when it succeeds.
func (m *memory) change(do func(revision int64) error) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return 0, m.down
	}
	if err := do(m.revision + 1); err != nil {
		return 0, err
	}
	m.revision++
	return m.revision, nil
}

func (m *memory) Create(_ context.Context, p Platform) (int64, error) {
	return m.change(func(revision int64) error {
		p.Revision = revision
		m.platforms[p.ID] = p.Clone()
		return nil
	})
}

func (m *memory) Update(_ context.Context, p Platform) (int64, error) {
	return m.change(func(revision int64) error {
		stored, ok := m.platforms[p.ID]
		if !ok {
			return ErrNotFound
		}
		if stored.Revision != p.Revision {
			return ErrStale
		}
		p.Revision, p.LastSeen = revision, stored.LastSeen
		m.platforms[p.ID] = p.Clone()
		return nil
	})
}

func (m *memory) Delete(_ context.Context, id PlatformID) (int64, error) {
	return m.change(func(int64) error {
		if _, ok := m.platforms[id]; !ok {
			return ErrNotFound
		}
		delete(m.platforms, id)
		return nil
	})
}

func (m *memory) Seen(_ context.Context, seen map[PlatformID]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuseSeen != nil {
		return m.refuseSeen
	}
	for id, at := range seen {
		if p, ok := m.platforms[id]; ok && at.After(p.LastSeen) {
			p.LastSeen = at
			m.platforms[id] = p
		}
	}
	return m.down
}

func (m *memory) Agreements(context.Context) ([]Agreement, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	return slices.Collect(maps.Values(m.agreements)), m.revision, m.down
}

func (m *memory) PutAgreement(_ context.Context, a Agreement) (all []Agreement, revision int64, err error) {
	revision, err = m.change(func(int64) error {
		m.agreements[a.Parties] = a
		all = slices.Collect(maps.Values(m.agreements))
		return nil
	})
	return all, revision, err
}

func (m *memory) DeleteAgreement(_ context.Context, pair [2]ocpi.PartyKey) (left []Agreement, revision int64, err error) {
	revision, err = m.change(func(int64) error {
		if _, ok := m.agreements[pair]; !ok {
			return ErrNoAgreement
		}
		delete(m.agreements, pair)
		left = slices.Collect(maps.Values(m.agreements))
		return nil
	})
	return left, revision, err
}

// wire is a Cache that keeps no copy and calls its watchers itself.
type wire struct {
	mu       sync.Mutex
	watchers []func(Change)
	forgot   []int64
}

func (*wire) Load(context.Context) (Record, bool, error) { return Record{}, false, nil }
func (*wire) Fill(context.Context, Record) error         { return nil }
func (*wire) Get(context.Context, PlatformID) (Platform, int64, error) {
	return Platform{}, 0, nil
}
func (*wire) Revision(context.Context) (int64, bool, error)          { return 0, false, nil }
func (*wire) Agreements(context.Context) ([]Agreement, int64, error) { return nil, 0, nil }

func (w *wire) ForgetBeyond(_ context.Context, newest int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgot = append(w.forgot, newest)
	return nil
}

func (w *wire) Announce(_ context.Context, c Change, _ *Platform) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, news := range w.watchers {
		news(c)
	}
	return nil
}

func (w *wire) AnnounceAgreements(ctx context.Context, _ []Agreement, revision int64) error {
	return w.Announce(ctx, Change{Revision: revision, Agreements: true}, nil)
}

func (w *wire) Watch(ctx context.Context, news func(Change)) error {
	w.mu.Lock()
	w.watchers = append(w.watchers, news)
	w.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// replica is a directory with all that changes it, on a store that others may
// share.
type replica struct {
	*testing.T
	store     *memory
	directory *Directory
	registrar *Registrar
	follower  *Follower
}

var discard = slog.New(slog.DiscardHandler)

func newReplica(t *testing.T, store *memory, cache *wire) *replica {
	t.Helper()
	dialer := peer.NewDialer(peer.DialerConfig{AllowPrivate: true})
	r := &replica{T: t, store: store, directory: NewDirectory(dialer)}
	r.registrar = NewRegistrar(RegistrarConfig{
		Store: store, Cache: cache, Directory: r.directory, Dialer: dialer, Logger: discard,
		Hub: Identity{Party: key(t, "EUBUS"), PublicURL: "https://hub.test"},
	})
	r.follower = NewFollower(FollowerConfig{
		Store: store, Cache: cache, Directory: r.directory, Registrar: r.registrar, Logger: discard,
	})
	return r
}

// has stores a platform, as if it had been there for long, and loads it.
func (r *replica) has(p Platform) {
	r.Helper()
	if _, err := r.store.Create(r.Context(), p); err != nil {
		r.Fatal(err)
	}
	if err := r.follower.Load(r.Context()); err != nil {
		r.Fatal(err)
	}
}
