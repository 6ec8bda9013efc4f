package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// TokenUID is the purpose of the pseudonym that stands for a driver's token.
const TokenUID = "token-uid"

// Lesson is the purpose of the key under which the record holds a lesson.
const Lesson = "lesson"

// Pseudonyms stand for what must not be read in the record. They are a keyed
// hash: short ids, like a token's uid, could be guessed back from a plain one by
// trying them all. It is safe for concurrent use.
type Pseudonyms struct {
	// macs has a pool of HMAC-SHA-256 for each secret, in their order.
	macs []*sync.Pool
}

// Pseudonym stands for one text and purpose under one secret.
type Pseudonym [sha256.Size]byte

// String is the pseudonym in ten characters that may stand in a URL: a tilde in
// front tells it from an id. Fifty bits let two of a million tokens share one
// with a chance of one in two thousand.
func (p Pseudonym) String() string { return "~" + short.EncodeToString(p[:])[:10] }

var short = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewPseudonyms takes the secrets of New. The first makes pseudonyms, and those
// that the others made are still found.
func NewPseudonyms(secrets []string) (*Pseudonyms, error) {
	trimmed, err := checkSecrets(secrets)
	if err != nil {
		return nil, err
	}
	p := &Pseudonyms{}
	for i, secret := range trimmed {
		key, err := derivePseudonymKey(secret)
		if err != nil {
			return nil, fmt.Errorf("derive the key of secret %d: %w", i+1, err)
		}
		p.macs = append(p.macs, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	return p, nil
}

// derivePseudonymKey is apart from the key that seals.
func derivePseudonymKey(secret string) ([]byte, error) {
	root, err := hkdf.Extract(sha256.New, []byte(secret), []byte("busbar pseudonym 1"))
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(sha256.New, root, "key", keySize)
}

// Of is the pseudonym of a text under the first secret. A purpose is a constant
// without a slash.
func (p *Pseudonyms) Of(purpose, text string) Pseudonym { return p.of(0, purpose, text) }

// All are those under each of the secrets, the first one's first.
func (p *Pseudonyms) All(purpose, text string) []Pseudonym {
	all := make([]Pseudonym, len(p.macs))
	for i := range p.macs {
		all[i] = p.of(i, purpose, text)
	}
	return all
}

func (p *Pseudonyms) of(i int, purpose, text string) (out Pseudonym) {
	mac := p.macs[i].Get().(hash.Hash)
	defer p.macs[i].Put(mac)
	mac.Reset()
	mac.Write(bound(purpose, text))
	mac.Sum(out[:0])
	return out
}

// Token is what stands for a driver's token in log, journal and admin API. Uids
// are CiStrings, so case is folded.
func (p *Pseudonyms) Token(uid string) string {
	return p.Of(TokenUID, strings.ToLower(uid)).String()
}

// Tokens is what may stand there for it: under each of the secrets.
func (p *Pseudonyms) Tokens(uid string) []string {
	all := p.All(TokenUID, strings.ToLower(uid))
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].String()
	}
	return texts
}
