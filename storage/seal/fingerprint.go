package seal

import (
	"crypto/hmac"
	"crypto/sha256"
)

// fingerprintSize is the length of a fingerprint in bytes.
const fingerprintSize = 16

// Fingerprints stand for text where equal text must be found and none can be
// read: short texts, like the uid of an RFID card, could be guessed from a plain
// hash. There is one by each key; that of the sealing key, which is written, is the
// first. Equal text under another purpose has others.
func (s *Sealer) Fingerprints(text, purpose string) [][]byte {
	list := make([][]byte, len(s.fingerprintKeys))
	for i, key := range s.fingerprintKeys {
		h := hmac.New(sha256.New, key)
		h.Write(bound(purpose, text))
		list[i] = h.Sum(nil)[:fingerprintSize]
	}
	return list
}
