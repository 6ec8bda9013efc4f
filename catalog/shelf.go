package catalog

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"

	"busbar/ocpi"
)

// shelf holds the objects of one module, by Seq. One goroutine changes it, the
// committer, and takes the Catalog's lock to do so; it needs none to read. Half a
// million objects stand here, so there is one pointer for each, and no string.
type shelf struct {
	packer packer
	// chunks are never empty, and rise by Seq.
	chunks  []*chunk
	objects int

	// owners only grows; an owner's number is its place.
	owners  []ocpi.PartyKey
	numbers map[ocpi.PartyKey]ownerNo
	totals  []ownerTotal

	seed maphash.Seed
	// byKey finds objects by owner and id, byID by id alone.
	byKey, byID seqIndex
}

type ownerTotal struct {
	objects   int
	changedAt time.Time
}

func newShelf() *shelf {
	return &shelf{
		numbers: make(map[ocpi.PartyKey]ownerNo), seed: maphash.MakeSeed(),
		byKey: newSeqIndex(), byID: newSeqIndex(),
	}
}

// put takes a state of an object in: a new one, or another of one that is
// there. blob is of the row.
func (s *shelf) put(r Row, blob []byte) {
	owner := s.number(r.Key.Owner)
	s.touched(owner, r.ChangedAt)
	e := entry{r.Seq, r.Revision, instantOf(r.LastUpdated), owner, blob}
	c, i, ok := s.find(owner, r.Key.ID)
	if ok && s.chunks[c].seqs[i] == r.Seq {
		s.chunks[c].set(i, e)
		return
	}
	if ok {
		s.removeAt(c, i)
	}
	s.insert(r.Key.ID, e)
}

// drop takes an object out, if it is there.
func (s *shelf) drop(r Row) {
	owner := s.number(r.Key.Owner)
	s.touched(owner, r.ChangedAt)
	if c, i, ok := s.find(owner, r.Key.ID); ok {
		s.removeAt(c, i)
	}
}

func (s *shelf) number(owner ocpi.PartyKey) ownerNo {
	n, ok := s.numbers[owner]
	if !ok {
		n = ownerNo(len(s.owners))
		s.numbers[owner] = n
		s.owners = append(s.owners, owner)
		s.totals = append(s.totals, ownerTotal{})
	}
	return n
}

func (s *shelf) touched(owner ownerNo, at time.Time) {
	if t := &s.totals[owner]; at.After(t.changedAt) {
		t.changedAt = at
	}
}

// insert puts an object at the place of its Seq: the end, but for news of other
// replicas, which come in the order of their last change.
func (s *shelf) insert(id string, e entry) {
	c := max(0, min(s.chunkOf(e.seq), len(s.chunks)-1))
	if len(s.chunks) == 0 {
		s.chunks = append(s.chunks, newChunk())
	}
	if at := s.chunks[c]; at.len() == chunkSize {
		if e.seq > at.last() { // at the very end: leave the full one full
			s.chunks = append(s.chunks, newChunk())
			c++
		} else {
			s.chunks = slices.Insert(s.chunks, c+1, at.split())
			if e.seq > at.last() {
				c++
			}
		}
	}
	i, _ := slices.BinarySearch(s.chunks[c].seqs, e.seq)
	s.chunks[c].insert(i, e)
	s.byKey.add(s.keyHash(e.owner, id), e.seq)
	s.byID.add(maphash.String(s.seed, id), e.seq)
	s.totals[e.owner].objects++
	s.objects++
}

func (s *shelf) removeAt(c, i int) {
	e, id := s.chunks[c].entry(i), string(blobID(s.chunks[c].blobs[i]))
	s.byKey.remove(s.keyHash(e.owner, id), e.seq)
	s.byID.remove(maphash.String(s.seed, id), e.seq)
	s.totals[e.owner].objects--
	s.objects--
	s.chunks[c].remove(i)
	switch {
	case s.chunks[c].len() == 0:
		s.chunks = slices.Delete(s.chunks, c, c+1)
	case c+1 < len(s.chunks) && s.chunks[c].len()+s.chunks[c+1].len() <= chunkSize/2:
		s.chunks[c].take(s.chunks[c+1])
		s.chunks = slices.Delete(s.chunks, c+1, c+2)
	case c > 0 && s.chunks[c-1].len()+s.chunks[c].len() <= chunkSize/2:
		s.chunks[c-1].take(s.chunks[c])
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
}

// chunkOf is the first chunk that ends at or behind the Seq; len(chunks) when
// there is none.
func (s *shelf) chunkOf(seq int64) int {
	return sort.Search(len(s.chunks), func(c int) bool { return s.chunks[c].last() >= seq })
}

func (s *shelf) keyHash(owner ownerNo, id string) uint64 {
	return maphash.String(s.seed, id) ^ (uint64(owner)+1)*0x9e3779b97f4a7c15
}

// at is the place of a Seq that an index gave.
func (s *shelf) at(seq int64) (c, i int) {
	c = s.chunkOf(seq)
	i, _ = slices.BinarySearch(s.chunks[c].seqs, seq)
	return c, i
}

func (s *shelf) find(owner ownerNo, id string) (c, i int, ok bool) {
	for seq := range s.byKey.all(s.keyHash(owner, id)) {
		c, i = s.at(seq)
		if s.chunks[c].owners[i] == owner && string(blobID(s.chunks[c].blobs[i])) == id {
			return c, i, true
		}
	}
	return 0, 0, false
}

// get finds an object by its key.
func (s *shelf) get(k Key) (entry, bool) {
	owner, ok := s.numbers[k.Owner]
	if !ok {
		return entry{}, false
	}
	c, i, ok := s.find(owner, k.ID)
	if !ok {
		return entry{}, false
	}
	return s.chunks[c].entry(i), true
}

// ownersOf are those with an object of the folded id, in order.
func (s *shelf) ownersOf(id string) []ocpi.PartyKey {
	var owners []ocpi.PartyKey
	for seq := range s.byID.all(maphash.String(s.seed, id)) {
		c, i := s.at(seq)
		if string(blobID(s.chunks[c].blobs[i])) == id {
			owners = append(owners, s.owners[s.chunks[c].owners[i]])
		}
	}
	slices.SortFunc(owners, func(a, b ocpi.PartyKey) int { return bytes.Compare(a[:], b[:]) })
	return owners
}

// learn makes a dictionary when it is due, and packs what is plain with it, so
// that all pages cost the same. Readers are kept out by lock as briefly as can
// be.
func (s *shelf) learn(lock sync.Locker) {
	if !s.packer.due(s.objects) {
		return
	}
	s.packer.next = s.objects * dictGrowth
	dict := makeDictionary(s.samples())
	if dict == nil {
		return
	}
	lock.Lock()
	s.packer.use(dict)
	lock.Unlock()
	for _, c := range s.chunks {
		for i, blob := range c.blobs {
			if packed := packedOf(blob); packed[0] == plainForm {
				blob = s.blob(string(blobID(blob)), packed[1:])
				lock.Lock()
				c.blobs[i] = blob
				lock.Unlock()
			}
		}
	}
}

// samples are documents at even distances.
func (s *shelf) samples() [][]byte {
	step, skip := max(1, s.objects/dictSamples), 0
	var out [][]byte
	for _, c := range s.chunks {
		for ; skip < c.len(); skip += step {
			out = append(out, unpackBlob(nil, s.packer.dicts, c.blobs[skip]))
		}
		skip -= c.len()
	}
	return out
}

// blob is what is kept of an object in one piece: the length of its folded id,
// the id, and the packed document. Only the committer calls it, without the
// lock.
func (s *shelf) blob(id string, document []byte) []byte {
	var room [2 + 2*maxID]byte
	prefix := binary.AppendUvarint(room[:0], uint64(len(id)))
	return s.packer.pack(append(prefix, id...), document)
}

func blobID(blob []byte) []byte {
	n, used := binary.Uvarint(blob)
	return blob[used : used+int(n)]
}

// packedOf is the document in a blob, as pack made it.
func packedOf(blob []byte) []byte {
	n, used := binary.Uvarint(blob)
	return blob[used+int(n):]
}

func unpackBlob(buf []byte, dicts []*s2.Dict, blob []byte) []byte {
	return unpack(buf, dicts, packedOf(blob))
}

// seqIndex finds Seqs by a hash. Nearly all hashes have one, which costs no
// pointer.
type seqIndex struct {
	one  map[uint64]int64
	more map[uint64][]int64
}

func newSeqIndex() seqIndex {
	return seqIndex{make(map[uint64]int64), make(map[uint64][]int64)}
}

func (x *seqIndex) add(h uint64, seq int64) {
	if _, taken := x.one[h]; taken {
		x.more[h] = append(x.more[h], seq)
		return
	}
	x.one[h] = seq
}

func (x *seqIndex) remove(h uint64, seq int64) {
	more := x.more[h]
	switch i := slices.Index(more, seq); {
	case i >= 0:
		more = slices.Delete(more, i, i+1)
	case x.one[h] != seq:
		return
	case len(more) == 0:
		delete(x.one, h)
		return
	default:
		x.one[h] = more[len(more)-1]
		more = more[:len(more)-1]
	}
	if len(more) == 0 {
		delete(x.more, h)
	} else {
		x.more[h] = more
	}
}

// all are the Seqs of a hash.
func (x *seqIndex) all(h uint64) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		seq, ok := x.one[h]
		if !ok || !yield(seq) {
			return
		}
		for _, seq := range x.more[h] {
			if !yield(seq) {
				return
			}
		}
	}
}
