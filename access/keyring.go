package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrUnknown and ErrExpired refuse who presents a token.
var (
	ErrUnknown = errors.New("the admin token is unknown")
	ErrExpired = errors.New("the admin token has expired")
)

// ErrOutlives refuses a token that would go on after its maker has ended.
var ErrOutlives = errors.New("a token that expires makes none that lasts longer")

// Keyring knows the admin tokens.
type Keyring struct {
	cfg KeyringConfig

	mu sync.Mutex
	// used is when tokens were last used, as far as it is not yet recorded. It
	// has an entry a token at most.
	used map[string]time.Time
	// looking holds as many as may look at the record at once.
	looking chan struct{}
}

// maxLooking bounds what those who guess can take of the database, which has
// other work to do; who waits is served in turn.
const maxLooking = 4

// KeyringConfig wires a Keyring; every field is needed.
type KeyringConfig struct {
	// Root is the SHA-256 of root's token.
	Root   [sha256.Size]byte
	Store  TokenStore
	Logger *slog.Logger
}

// NewKeyring makes a Keyring. Run keeps its books.
func NewKeyring(cfg KeyringConfig) *Keyring {
	return &Keyring{cfg: cfg, used: make(map[string]time.Time), looking: make(chan struct{}, maxLooking)}
}

// Authenticate tells who presents a token. It fails with ErrUnknown or
// ErrExpired, or with the store's error: root needs no store. Hashes are
// compared, so the time says nothing about a token.
func (k *Keyring) Authenticate(ctx context.Context, presented string) (Actor, error) {
	hash := sha256.Sum256([]byte(presented))
	if subtle.ConstantTimeCompare(hash[:], k.cfg.Root[:]) == 1 {
		return Root(), nil
	}
	if !wellFormed(presented) {
		return Actor{}, ErrUnknown
	}
	t, err := k.look(ctx, hash)
	switch now := time.Now(); {
	case errors.Is(err, ErrNotFound):
		return Actor{}, ErrUnknown
	case err != nil:
		return Actor{}, fmt.Errorf("look up an admin token: %w", err)
	case t.Expired(now):
		return Actor{}, ErrExpired
	default:
		k.noteUse(t, now)
		return t.Actor(), nil
	}
}

// look finds a token in the record.
func (k *Keyring) look(ctx context.Context, hash [sha256.Size]byte) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	select {
	case k.looking <- struct{}{}:
		defer func() { <-k.looking }()
		return k.cfg.Store.TokenOf(ctx, hash)
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
}

// usePrecision is how precisely the last use of a token is told.
const usePrecision = time.Minute

func (k *Keyring) noteUse(t Token, now time.Time) {
	now = now.UTC().Truncate(usePrecision)
	if !now.After(t.LastUsed) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[t.ID] = now
}

// Issue makes a token, and its secret, which is known this once. It fails with
// ErrTaken or ErrOutlives.
func (k *Keyring) Issue(ctx context.Context, by Actor, name string, role Role, expires time.Time) (Token, Secret, error) {
	if !by.MayGrantUntil(expires) {
		return Token{}, Secret{}, ErrOutlives
	}
	secret := newSecret()
	t := Token{
		ID: newTokenID(), Name: name, Role: role, Hash: secret.hash(), CreatedAt: recorded(time.Now()),
		CreatedBy: by.Name, ExpiresAt: recorded(expires),
	}
	if err := k.cfg.Store.CreateToken(ctx, t); err != nil {
		return Token{}, Secret{}, err
	}
	return t, secret, nil
}

// recorded is a time at the precision that every store keeps.
func recorded(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Renew gives a token another secret; the one before opens nothing any more. It
// fails with ErrNotFound or ErrOutlives.
func (k *Keyring) Renew(ctx context.Context, by Actor, id string) (Token, Secret, error) {
	t, err := k.cfg.Store.Token(ctx, id)
	if err != nil {
		return Token{}, Secret{}, err
	}
	if !by.MayGrantUntil(t.ExpiresAt) {
		return Token{}, Secret{}, ErrOutlives
	}
	secret := newSecret()
	t.Hash = secret.hash()
	if err := k.cfg.Store.RenewToken(ctx, id, t.Hash); err != nil {
		return Token{}, Secret{}, err
	}
	return t, secret, nil
}

// Revoke ends a token at once, on every replica. It fails with ErrNotFound.
func (k *Keyring) Revoke(ctx context.Context, id string) error {
	return k.cfg.Store.DeleteToken(ctx, id)
}

// Token shows one token. It fails with ErrNotFound.
func (k *Keyring) Token(ctx context.Context, id string) (Token, error) {
	return k.cfg.Store.Token(ctx, id)
}

// Tokens shows at most limit tokens after the one that is given, the oldest
// first.
func (k *Keyring) Tokens(ctx context.Context, after Token, limit int) ([]Token, error) {
	return k.cfg.Store.Tokens(ctx, after, limit)
}

const (
	// recordUsesEvery is how long a use may wait to be recorded.
	recordUsesEvery = 10 * time.Second
	// storeTimeout bounds what the books of this package wait for the record.
	storeTimeout = 5 * time.Second
)

// Run records when tokens were used, until ctx ends, and then what is left.
func (k *Keyring) Run(ctx context.Context) {
	tick := time.NewTicker(recordUsesEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if err := k.recordUses(context.WithoutCancel(ctx)); err != nil {
			k.cfg.Logger.Warn("record when admin tokens were used", "error", err)
		}
	}
}

// recordUses keeps what could not be recorded for the next time.
func (k *Keyring) recordUses(ctx context.Context) error {
	k.mu.Lock()
	used := k.used
	k.used = make(map[string]time.Time)
	k.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := k.cfg.Store.TokensUsed(ctx, used)
	if err == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, at := range used {
		if at.After(k.used[id]) {
			k.used[id] = at
		}
	}
	return err
}
