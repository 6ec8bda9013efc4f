package catalog

import (
	"container/list"
	"hash/maphash"
	"sync"

	"github.com/klauspost/compress/s2"
)

// pageCache holds the unpacked documents of pages that were asked for lately:
// unpacking is nearly all that a page costs, and the same pages are asked for
// by one platform after the other.
//
// It knows nothing of queries. Which blobs a page has is looked up in the
// shelves every time; a blob is never changed, only replaced by another, so
// documents that were made of the very same blobs are the same documents. No
// change needs to be told to the cache, and nothing in it can be stale.
type pageCache struct {
	bound int // bytes
	seed  maphash.Seed

	mu   sync.Mutex
	held int
	// pages are elements of used, which begins with the page used last.
	pages map[pageKey]*list.Element
	used  list.List
	// once are hashes of keys that were asked for and are not held. They are
	// hints: a collision keeps a page that need not be kept.
	once [2048]uint64
}

const (
	// defaultPageCache is the bound in bytes when nothing else is said: some 230
	// pages of 100 Locations. Only what is asked for twice takes it.
	defaultPageCache = 64 << 20
	// smallestKept is the least bytes of documents that are kept: less is
	// unpacked as fast as it is found.
	smallestKept = 16 << 10
	// mostOfCache is the part of the bound that a single page may take.
	mostOfCache = 8
)

// pageKey names a page by its first blob and how many it has. As a pointer it
// keeps the blob, so that no other can come to its place.
type pageKey struct {
	first *byte
	n     int
}

// keptPage is a page in the cache.
type keptPage struct {
	key       pageKey
	blobs     []*byte // the first byte of each
	documents []byte  // never changed
	size      int     // what the cache holds because of it
}

func newPageCache(bound int) *pageCache {
	if bound == 0 {
		bound = defaultPageCache
	}
	return &pageCache{bound: max(bound, 0), seed: maphash.MakeSeed(), pages: make(map[pageKey]*list.Element)}
}

func keyOf(blobs [][]byte) pageKey { return pageKey{&blobs[0][0], len(blobs)} }

// get finds the documents of a page; nil when they are not there. keep tells
// that they are worth to be put there: they were asked for before, so that
// somebody who reads the whole list once drives nothing out.
func (p *pageCache) get(blobs [][]byte, size int) (documents []byte, keep bool) {
	if size < smallestKept || size > p.bound/mostOfCache {
		return nil, false
	}
	key := keyOf(blobs)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.pages[key]; e != nil {
		p.used.MoveToFront(e)
		if page := e.Value.(*keptPage); page.has(blobs) {
			return page.documents, false
		}
		return nil, true // it was changed since
	}
	h := maphash.Comparable(p.seed, key)
	slot := &p.once[h%uint64(len(p.once))]
	if *slot == h {
		*slot = 0
		return nil, true
	}
	*slot = h
	return nil, false
}

func (k *keptPage) has(blobs [][]byte) bool {
	for i, blob := range blobs {
		if k.blobs[i] != &blob[0] {
			return false
		}
	}
	return true
}

// put keeps documents, which must not be changed any more.
func (p *pageCache) put(blobs [][]byte, documents []byte) {
	page := &keptPage{key: keyOf(blobs), blobs: make([]*byte, len(blobs)), documents: documents, size: cap(documents)}
	for i, blob := range blobs {
		page.blobs[i] = &blob[0]
		page.size += len(blob) // it may be replaced, and is held here
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.pages[page.key]; e != nil {
		p.remove(e)
	}
	p.pages[page.key] = p.used.PushFront(page)
	for p.held += page.size; p.held > p.bound; {
		p.remove(p.used.Back())
	}
}

func (p *pageCache) remove(e *list.Element) {
	page := p.used.Remove(e).(*keptPage)
	delete(p.pages, page.key)
	p.held -= page.size
}

// documents are appended to buf, or, when they were asked for before, shared.
// size is their length.
func (p *pageCache) documents(buf []byte, dicts []*s2.Dict, blobs [][]byte, size int) (own, shared []byte) {
	shared, keep := p.get(blobs, size)
	switch {
	case shared != nil:
		return buf, shared
	case keep:
		shared = appendDocuments(nil, dicts, blobs, size)
		p.put(blobs, shared)
		return buf, shared
	}
	return appendDocuments(buf, dicts, blobs, size), nil
}
