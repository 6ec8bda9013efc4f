package journal

import "github.com/cespare/xxhash/v2"

// filter is a Bloom filter: it tells which keys cannot be among those that it
// was made of, and is wrong about one in a hundred others. Its first byte is the
// number of probes, the rest the bits.
type filter []byte

const (
	filterProbes = 7
	filterBits   = 10 // for each key
)

// newFilter makes a filter of hashed keys.
func newFilter(hashes []uint64) filter {
	f := make(filter, 1+max(8, (len(hashes)*filterBits+7)/8))
	f[0] = filterProbes
	for _, h := range hashes {
		f.each(h, func(at *byte, bit byte) bool { *at |= bit; return true })
	}
	return f
}

// mayHold is false when the key is certainly not in it. A filter that cannot be
// read says nothing.
func (f filter) mayHold(hash uint64) bool {
	if len(f) < 2 {
		return true
	}
	holds := true
	f.each(hash, func(at *byte, bit byte) bool { holds = *at&bit != 0; return holds })
	return holds
}

func (f filter) each(hash uint64, visit func(at *byte, bit byte) bool) {
	bits := f[1:]
	n := uint64(len(bits)) * 8
	// Kirsch and Mitzenmacher: two halves of one hash make all probes.
	step := hash>>32 | 1
	for i, at := byte(0), hash; i < f[0]; i, at = i+1, at+step {
		place := at % n
		if !visit(&bits[place/8], 1<<(place%8)) {
			return
		}
	}
}

// What a key is of: a request id that equals a correlation id is another key.
const (
	keyCorrelation = 'c'
	keyRequest     = 'r'
	keyFrom        = 'f'
	keyTo          = 't'
	keyToken       = 'k'
)

func hashKey(kind byte, value []byte) uint64 {
	return xxhash.Sum64(value) ^ uint64(kind)*0x9e3779b97f4a7c15
}
