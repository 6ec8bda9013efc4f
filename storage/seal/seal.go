package seal

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// OutboundToken is the purpose of a sealed credentials token with which the hub
// calls a platform; its owner is the platform's id.
const OutboundToken = "outbound-token"

// CallbackURL is the purpose of a sealed URL to which the result of a command
// or charging profile goes; its owner is the callback's id.
const CallbackURL = "callback-url"

// Cursor is the purpose of what a peer carries from one page of a list to the
// next; its owner is the context in which the cursor was made.
const Cursor = "cursor"

// Erasure is the purpose of a note that what is known of a token was erased; it
// has no owner.
const Erasure = "erasure"

// LessonNews is the purpose of what replicas tell each other of what they learn;
// it has no owner.
const LessonNews = "lesson-news"

// Parcel is the purpose of a broadcast that waits to be sent; its owner is its
// number in the outbox. ParcelObject is that of the object it is about.
const (
	Parcel       = "parcel"
	ParcelObject = "parcel-object"
)

// ErrUnknownKey says that a value was sealed by a key which is not among the
// secrets.
var ErrUnknownKey = errors.New("sealed by a key that is not in BUSBAR_SECRET_KEY; add the old secret to the end of the list")

// ErrDamaged says that a value was changed since it was sealed, or belongs to
// another purpose or owner.
var ErrDamaged = errors.New("the sealed value is damaged or belongs elsewhere")

// Sealer seals and opens short secrets. It is safe for concurrent use.
type Sealer struct {
	aead tink.AEAD
	// prefixes are the first bytes of what each key seals; the sealing key's
	// is the first.
	prefixes []string
	names    *Pseudonyms
}

// New makes a Sealer from secrets of at least MinSecretLength characters each.
// The first seals, all open. Space around a secret is not part of it. The error
// names the secret at fault by its position.
func New(secrets []string) (*Sealer, error) {
	trimmed, err := checkSecrets(secrets)
	if err != nil {
		return nil, err
	}
	handle, prefixes, err := newKeyset(trimmed)
	if err != nil {
		return nil, err
	}
	names, err := NewPseudonyms(trimmed)
	if err != nil {
		return nil, err
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("build the sealing keys: %w", err)
	}
	return &Sealer{aead: primitive, prefixes: prefixes, names: names}, nil
}

// Names are the pseudonyms under the same secrets.
func (s *Sealer) Names() *Pseudonyms { return s.names }

// Seal returns plain as printable text that only Open with the same purpose and
// owner turns back. A purpose is a constant without a slash.
func (s *Sealer) Seal(plain, purpose, owner string) (string, error) {
	raw, err := s.aead.Encrypt([]byte(plain), bound(purpose, owner))
	if err != nil {
		return "", fmt.Errorf("seal %s: %w", purpose, err)
	}
	return base64.RawStdEncoding.EncodeToString(raw), nil
}

// Open reverses Seal. It fails with ErrUnknownKey or ErrDamaged.
func (s *Sealer) Open(sealed, purpose, owner string) (string, error) {
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		return "", ErrDamaged
	}
	plain, err := s.aead.Decrypt(raw, bound(purpose, owner))
	if err == nil {
		return string(plain), nil
	}
	for _, prefix := range s.prefixes {
		if hasPrefix(raw, prefix) {
			return "", ErrDamaged
		}
	}
	return "", ErrUnknownKey
}

// Current tells whether the first key sealed the value.
func (s *Sealer) Current(sealed string) bool {
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	return err == nil && hasPrefix(raw, s.prefixes[0])
}

// bound ties a sealed value to its place: one that was copied to another
// platform's row does not open there.
func bound(purpose, owner string) []byte { return []byte(purpose + "/" + owner) }

func hasPrefix(raw []byte, prefix string) bool {
	return len(raw) >= len(prefix) && string(raw[:len(prefix)]) == prefix
}
