package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// ErrNotFound says that there is no such token.
var ErrNotFound = errors.New("no such token")

// ErrTaken says that another token has the name.
var ErrTaken = errors.New("another token has this name")

// TokenStore is the record of admin tokens. Whatever ended or was renewed is so
// for every replica when the call returns.
type TokenStore interface {
	// CreateToken fails with ErrTaken when another token has the name.
	CreateToken(ctx context.Context, t Token) error
	// Tokens are at most limit of them after the one that is given, the oldest
	// first, by CreatedAt and ID. After the zero Token are all.
	Tokens(ctx context.Context, after Token, limit int) ([]Token, error)
	// Token and TokenOf fail with ErrNotFound.
	Token(ctx context.Context, id string) (Token, error)
	TokenOf(ctx context.Context, hash [sha256.Size]byte) (Token, error)
	// RenewToken gives a token another hash. It fails with ErrNotFound.
	RenewToken(ctx context.Context, id string, hash [sha256.Size]byte) error
	// DeleteToken fails with ErrNotFound.
	DeleteToken(ctx context.Context, id string) error
	// TokensUsed raises LastUsed of the tokens named, and lowers none. What is
	// not there any more is passed over.
	TokensUsed(ctx context.Context, used map[string]time.Time) error
}

// AuditStore is the record of the trail.
type AuditStore interface {
	// SaveEntry adds an entry, or puts it in the place of the one with its ID, as
	// long as that is Attempted: what has ended stays as it is.
	SaveEntry(ctx context.Context, e Entry) error
	// Entries are at most q.Limit of those that match, the newest first, which
	// is down their IDs.
	Entries(ctx context.Context, q Query) ([]Entry, error)
	// ForgetEntries deletes entries from before a time, and tells how many.
	ForgetEntries(ctx context.Context, before time.Time) (int64, error)
}
