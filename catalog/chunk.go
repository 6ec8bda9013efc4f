package catalog

import "slices"

// chunkSize is the most objects in a chunk.
const chunkSize = 512

// chunk holds objects that follow each other by Seq, field by field: what a
// query reads of all of them lies together, and a page far behind skips chunks
// by their summaries.
type chunk struct {
	seqs []int64 // rising
	// revisions are those that last wrote each object.
	revisions []int64
	updated   []instant
	owners    []ownerNo
	// blobs are the ids and documents; see shelf.blob. Their bytes never change.
	blobs [][]byte
	// counts are the objects of each owner. earliest and latest bound updated;
	// they may be wider than they need be.
	counts           []ownerCount
	earliest, latest instant
}

// ownerNo numbers the owners of a shelf, from 0.
type ownerNo uint32

type ownerCount struct {
	owner ownerNo
	n     int32
}

// entry is an object in a chunk.
type entry struct {
	seq, revision int64
	updated       instant
	owner         ownerNo
	blob          []byte
}

func newChunk() *chunk {
	return &chunk{
		seqs: make([]int64, 0, chunkSize), revisions: make([]int64, 0, chunkSize), updated: make([]instant, 0, chunkSize),
		owners: make([]ownerNo, 0, chunkSize), blobs: make([][]byte, 0, chunkSize),
		earliest: lastInstant, latest: firstInstant,
	}
}

func (c *chunk) len() int { return len(c.seqs) }

func (c *chunk) last() int64 { return c.seqs[len(c.seqs)-1] }

func (c *chunk) entry(i int) entry {
	return entry{c.seqs[i], c.revisions[i], c.updated[i], c.owners[i], c.blobs[i]}
}

func (c *chunk) insert(i int, e entry) {
	c.seqs = slices.Insert(c.seqs, i, e.seq)
	c.revisions = slices.Insert(c.revisions, i, e.revision)
	c.updated = slices.Insert(c.updated, i, e.updated)
	c.owners = slices.Insert(c.owners, i, e.owner)
	c.blobs = slices.Insert(c.blobs, i, e.blob)
	c.count(e.owner, 1)
	c.widen(e.updated)
}

// set replaces an object by a newer state of it.
func (c *chunk) set(i int, e entry) {
	c.revisions[i], c.updated[i], c.blobs[i] = e.revision, e.updated, e.blob
	c.widen(e.updated)
}

func (c *chunk) remove(i int) {
	c.count(c.owners[i], -1)
	c.seqs = slices.Delete(c.seqs, i, i+1)
	c.revisions = slices.Delete(c.revisions, i, i+1)
	c.updated = slices.Delete(c.updated, i, i+1)
	c.owners = slices.Delete(c.owners, i, i+1)
	c.blobs = slices.Delete(c.blobs, i, i+1)
}

// split moves the upper half into a new chunk.
func (c *chunk) split() *chunk {
	half, upper := c.len()/2, newChunk()
	for i := half; i < c.len(); i++ {
		upper.insert(i-half, c.entry(i))
	}
	for c.len() > half {
		c.remove(c.len() - 1)
	}
	return upper
}

// take moves everything of the chunk behind this one into it.
func (c *chunk) take(next *chunk) {
	for i := range next.len() {
		c.insert(c.len(), next.entry(i))
	}
}

func (c *chunk) widen(updated instant) {
	c.earliest, c.latest = min(c.earliest, updated), max(c.latest, updated)
}

func (c *chunk) count(owner ownerNo, by int32) {
	for i := range c.counts {
		if c.counts[i].owner != owner {
			continue
		}
		if c.counts[i].n += by; c.counts[i].n == 0 {
			c.counts = slices.Delete(c.counts, i, i+1)
		}
		return
	}
	c.counts = append(c.counts, ownerCount{owner, by})
}
