package simulator

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"busbar/ocpi"
)

// document is an object as it was made or received.
type document struct {
	body    json.RawMessage
	updated time.Time
	// audience is the party that may see it in a list; zero means everybody.
	audience ocpi.PartyKey
	// from is who brought it: its owner, or the hub.
	from ocpi.PartyKey
}

// shelf keeps documents in the order in which they came, which is the order in
// which OCPI wants lists (2.2.1 transport_and_format, Paginated Response:
// oldest first, stable).
type shelf struct {
	// most is how many documents are kept: the oldest goes. 0 is no bound.
	most int

	mu    sync.RWMutex
	order []string
	docs  map[string]document
}

func newShelf(most int) *shelf { return &shelf{most: most, docs: map[string]document{}} }

// fold makes a key of ids, which are CiStrings (2.2.1 types).
func fold(ids ...string) string { return strings.ToUpper(strings.Join(ids, "/")) }

func (s *shelf) put(key string, d document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, d)
}

// putNewer is put, unless what is there is newer; it tells whether it stored.
func (s *shelf) putNewer(key string, d document) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, known := s.docs[key]; known && before.updated.After(d.updated) {
		return false
	}
	s.store(key, d)
	return true
}

func (s *shelf) store(key string, d document) {
	if _, known := s.docs[key]; !known {
		s.order = append(s.order, key)
		if s.most > 0 && len(s.order) > s.most {
			delete(s.docs, s.order[0])
			s.order = s.order[1:]
		}
	}
	s.docs[key] = d
}

func (s *shelf) get(key string) (document, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.docs[key]
	return d, ok
}

// edit changes one document while nobody else can. known is false when there is
// none; an error leaves it as it was.
func (s *shelf) edit(key string, change func(document) (document, error)) (known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.docs[key]
	if !ok {
		return false, nil
	}
	if d, err = change(d); err == nil {
		s.docs[key] = d
	}
	return true, err
}

func (s *shelf) remove(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.docs[key]; !ok {
		return false
	}
	delete(s.docs, key)
	if i := slices.Index(s.order, key); i >= 0 {
		s.order = slices.Delete(s.order, i, i+1)
	}
	return true
}

func (s *shelf) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.docs)
}

// keys lists what is there, in the order in which it came.
func (s *shelf) keys() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.order)
}

// page returns the documents in w that reader may see, and how many match w
// without its offset and limit. A zero reader sees everything.
func (s *shelf) page(w window, reader ocpi.PartyKey) (docs []json.RawMessage, total int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range s.order {
		d := s.docs[key]
		if !w.holds(d.updated) || !d.visibleTo(reader) {
			continue
		}
		if total >= w.offset && len(docs) < w.limit {
			docs = append(docs, d.body)
		}
		total++
	}
	return docs, total
}

func (d document) visibleTo(reader ocpi.PartyKey) bool {
	return reader.IsZero() || d.audience.IsZero() || d.audience == reader
}
