package access_test

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"busbar/access"
)

// memory is a TokenStore and an AuditStore for tests of what stands above them.
// The stores that hubs use are tested in package storage.
type memory struct {
	mu      sync.Mutex
	tokens  map[string]access.Token
	entries map[string]access.Entry
	// down, when it is set, is what every call fails with.
	down error
	// asked counts the tokens that were looked up.
	asked int
}

func newMemory() *memory {
	return &memory{tokens: make(map[string]access.Token), entries: make(map[string]access.Entry)}
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// looked is how many tokens were looked up.
func (m *memory) looked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *memory) CreateToken(_ context.Context, t access.Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[t.ID] = t
	return m.down
}

func (m *memory) Tokens(context.Context, access.Token, int) ([]access.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.tokens)), m.down
}

func (m *memory) Token(_ context.Context, id string) (access.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.tokens[id]; ok || m.down != nil {
		return t, m.down
	}
	return access.Token{}, access.ErrNotFound
}

func (m *memory) TokenOf(_ context.Context, hash [sha256.Size]byte) (access.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.down != nil {
		return access.Token{}, m.down
	}
	for _, t := range m.tokens {
		if t.Hash == hash {
			return t, nil
		}
	}
	return access.Token{}, access.ErrNotFound
}

func (m *memory) RenewToken(_ context.Context, id string, hash [sha256.Size]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tokens[id]
	t.Hash = hash
	m.tokens[id] = t
	return m.down
}

func (m *memory) DeleteToken(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tokens, id)
	return m.down
}

func (m *memory) TokensUsed(_ context.Context, used map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	for id, at := range used {
		t := m.tokens[id]
		t.LastUsed = at
		m.tokens[id] = t
	}
	return nil
}

func (m *memory) SaveEntry(_ context.Context, e access.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	if was, ok := m.entries[e.ID]; !ok || was.Outcome == access.Attempted {
		m.entries[e.ID] = e
	}
	return nil
}

func (m *memory) Entries(_ context.Context, q access.Query) ([]access.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.SortedFunc(maps.Values(m.entries), func(a, b access.Entry) int { return strings.Compare(b.ID, a.ID) })
	if q.Before != "" {
		list = slices.DeleteFunc(list, func(e access.Entry) bool { return e.ID >= q.Before })
	}
	return list[:min(q.Limit, len(list))], m.down
}

func (m *memory) ForgetEntries(_ context.Context, before time.Time) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, e := range m.entries {
		if e.Time.Before(before) {
			delete(m.entries, id)
			n++
		}
	}
	return n, m.down
}
