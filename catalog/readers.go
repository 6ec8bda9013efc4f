package catalog

import (
	"sync"

	"busbar/ocpi"
)

// readers remembers whose objects somebody may read: a page that lies ready is
// found faster than a thousand owners are asked for.
type readers struct {
	mu    sync.RWMutex
	known map[readerKey]allowance
}

// mostReaders bounds them. All are forgotten then: most belong to what readers
// were before something changed.
const mostReaders = 128

type readerKey struct {
	module ocpi.ModuleID
	reader any
}

// allowance is what Query.Owners answered for the owners of a shelf, by number.
// It is not changed.
type allowance struct {
	shelf     *shelf
	allowed   []bool
	everybody bool
}

// allowance asks once for each owner, unless the same reader was asked for the
// same owners before. It is called without the catalog's lock: what it asks
// belongs to others.
func (r *readers) allowance(q Query, s *shelf, owners []ocpi.PartyKey) allowance {
	key := readerKey{q.Module, q.Reader}
	if q.Reader != nil {
		r.mu.RLock()
		a, ok := r.known[key]
		r.mu.RUnlock()
		if ok && a.shelf == s && len(a.allowed) == len(owners) {
			return a
		}
	}
	a := allowance{shelf: s, allowed: make([]bool, len(owners)), everybody: true}
	for i, owner := range owners {
		a.allowed[i] = q.Owners == nil || q.Owners(owner)
		a.everybody = a.everybody && a.allowed[i]
	}
	if q.Reader != nil {
		r.mu.Lock()
		if r.known == nil || len(r.known) >= mostReaders {
			r.known = make(map[readerKey]allowance)
		}
		r.known[key] = a
		r.mu.Unlock()
	}
	return a
}
