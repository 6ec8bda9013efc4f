package catalog

import (
	"math"
	"slices"
	"time"

	"github.com/klauspost/compress/s2"

	"busbar/ocpi"
)

// maxPageBytes ends a page before its limit: objects may be as large as bodies.
const maxPageBytes = 16 << 20

// AppendPage appends the documents of a page to buf, with commas between them,
// by rising Seq: what was listed before stays before, whatever changes between
// two pages (P1). A page may have fewer objects than Limit when they are large.
// Documents of a page that was asked for before are not appended: they lie ready
// in Page.Shared. It fails with a 4003 while the catalog is not loaded, with a 2001 for a module
// that is not kept.
func (c *Catalog) AppendPage(buf []byte, q Query) ([]byte, Page, error) {
	if !Keeps(q.Module) {
		return buf, Page{}, notKept(q.Module)
	}
	var room [ocpi.MaxPage][]byte
	for {
		s, owners, loaded := c.owners(q.Module)
		if !loaded {
			return buf, Page{}, errLoading()
		}
		f := newFilter(q, c.readers.allowance(q, s, owners))
		c.mu.RLock()
		if c.shelves[q.Module] != s { // loaded anew: owners have other numbers
			c.mu.RUnlock()
			continue
		}
		f.everybody = f.everybody && len(f.allowed) == len(s.owners)
		page := Page{Total: f.total(s)}
		found, size, next := f.collect(s, q, room[:0])
		dicts := s.packer.dicts
		c.mu.RUnlock()

		page.Objects, page.Next = len(found), next
		buf, page.Shared = c.pages.documents(buf, dicts, found, size)
		return buf, page, nil
	}
}

// owners are those with objects of the module, now or before. The slice only
// grows, so what is here may be read without the lock.
func (c *Catalog) owners(m ocpi.ModuleID) (s *shelf, owners []ocpi.PartyKey, loaded bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s = c.shelves[m]
	return s, slices.Clip(s.owners), c.loaded
}

// appendDocuments puts commas between them. size is their length.
func appendDocuments(buf []byte, dicts []*s2.Dict, blobs [][]byte, size int) []byte {
	buf = slices.Grow(buf, size+len(blobs))
	for i, blob := range blobs {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = unpackBlob(buf, dicts, blob)
	}
	return buf
}

// filter is what a query asks of objects, whatever the page.
type filter struct {
	// allowed tells of owners by number; none of the later ones are.
	allowed []bool
	// everybody tells that all are, and that there are no later ones.
	everybody bool
	from, to  instant // half-open
}

// boundOf rounds up, so that the comparison of whole microseconds is exact.
func boundOf(t time.Time, open int64) instant {
	if t.IsZero() {
		return instant(open)
	}
	return instantOf(t.Add(time.Microsecond - 1))
}

func newFilter(q Query, a allowance) *filter {
	return &filter{
		allowed: a.allowed, everybody: a.everybody,
		from: boundOf(q.From, math.MinInt64), to: boundOf(q.To, math.MaxInt64),
	}
}

func (f *filter) undated() bool { return f.from == math.MinInt64 && f.to == math.MaxInt64 }

func (f *filter) allows(owner ownerNo) bool { return int(owner) < len(f.allowed) && f.allowed[owner] }

// total is how many objects match.
func (f *filter) total(s *shelf) (n int) {
	if f.undated() {
		for owner, allowed := range f.allowed {
			if allowed {
				n += s.totals[owner].objects
			}
		}
		return n
	}
	for _, c := range s.chunks {
		n += f.matching(c)
	}
	return n
}

// matching is how many objects of a chunk match, by its summaries if they
// suffice.
func (f *filter) matching(c *chunk) (n int) {
	switch {
	case c.latest < f.from || c.earliest >= f.to:
		return 0
	case c.earliest >= f.from && c.latest < f.to:
		if f.everybody {
			return c.len()
		}
		for _, count := range c.counts {
			if f.allows(count.owner) {
				n += int(count.n)
			}
		}
		return n
	}
	for i, updated := range c.updated {
		if f.from <= updated && updated < f.to && f.allows(c.owners[i]) {
			n++
		}
	}
	return n
}

func (f *filter) matches(c *chunk, i int) bool {
	return f.from <= c.updated[i] && c.updated[i] < f.to && f.allows(c.owners[i])
}

// collect gathers the page's blobs, the length of their documents, and the Seq
// that the next one begins behind.
func (f *filter) collect(s *shelf, q Query, found [][]byte) (_ [][]byte, size int, next int64) {
	skip, limit, last := max(q.Offset, 0), max(q.Limit, 0), int64(0)
	if limit == 0 {
		return found, 0, 0
	}
	first := s.chunkOf(q.After + 1)
	for n, c := range s.chunks[min(first, len(s.chunks)):] {
		i := 0
		if n == 0 { // the only one that may begin before the page
			i, _ = slices.BinarySearch(c.seqs, q.After+1)
		}
		if i == 0 { // by its summaries, a chunk may be passed over at once
			matching := f.matching(c)
			if matching <= skip {
				skip -= matching
				continue
			}
		}
		for ; i < c.len(); i++ {
			if !f.matches(c, i) {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if len(found) == limit || len(found) > 0 && size >= maxPageBytes {
				return found, size, last // there is more
			}
			found, last = append(found, c.blobs[i]), c.seqs[i]
			size += unpackedLen(packedOf(c.blobs[i]))
		}
	}
	return found, size, 0
}
