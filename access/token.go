package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"strings"
	"time"
)

// Token is an admin token as the record has it, which is without its secret.
type Token struct {
	ID string
	// Name is no other token's.
	Name string
	Role Role
	// Hash is the SHA-256 of the secret. 256 random bits need no salt.
	Hash      [sha256.Size]byte
	CreatedAt time.Time
	// CreatedBy is the name of the actor.
	CreatedBy string
	// ExpiresAt is the first moment at which it opens nothing; zero is never.
	ExpiresAt time.Time
	// LastUsed is precise to the minute; zero is never.
	LastUsed time.Time
}

// Expired tells whether the token has ended by itself.
func (t Token) Expired(now time.Time) bool {
	return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// Actor is who holds the token.
func (t Token) Actor() Actor {
	return Actor{Kind: KindToken, ID: t.ID, Name: t.Name, Role: t.Role, ExpiresAt: t.ExpiresAt}
}

// Secret is what the holder of a token presents. It redacts itself.
type Secret struct{ text string }

// SecretPrefix begins every secret, for those who look for leaked ones. What
// follows are 58 of a to z and 2 to 7: 256 random bits and their checksum.
const SecretPrefix = "bb_admin_"

var secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// secretBytes are the random bytes of a secret.
const secretBytes = 32

func newSecret() Secret {
	var raw [secretBytes + crc32.Size]byte
	rand.Read(raw[:secretBytes])
	binary.BigEndian.PutUint32(raw[secretBytes:], crc32.ChecksumIEEE(raw[:secretBytes]))
	return Secret{SecretPrefix + secretEncoding.EncodeToString(raw[:])}
}

// wellFormed tells whether a text can be a secret at all. What was mistyped, and
// most of what is guessed, is told without asking the record.
func wellFormed(text string) bool {
	body, ok := strings.CutPrefix(text, SecretPrefix)
	if !ok || len(body) != secretEncoding.EncodedLen(secretBytes+crc32.Size) {
		return false
	}
	raw, err := secretEncoding.DecodeString(body)
	return err == nil && binary.BigEndian.Uint32(raw[secretBytes:]) == crc32.ChecksumIEEE(raw[:secretBytes])
}

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.text }

func (s Secret) hash() [sha256.Size]byte { return sha256.Sum256([]byte(s.text)) }

const redacted = "[redacted]"

// String, GoString, LogValue and MarshalText keep the secret out of logs,
// errors and JSON.
func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// newTokenID draws 80 bits.
func newTokenID() string {
	var raw [10]byte
	rand.Read(raw[:])
	return secretEncoding.EncodeToString(raw[:])
}
