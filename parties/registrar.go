package parties

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// Registrar changes platforms: for the operator, and for the platforms
// themselves through the credentials module. Every change is decided on the
// stored state, saved in one transaction, then brought into the directory and
// announced to the other replicas.
type Registrar struct {
	cfg     RegistrarConfig
	metrics *metrics
	// observer is told of every change; nil is nobody.
	observer observer
}

// observer is told of what this replica committed, once it is in the directory
// and before whoever asked for it hears that it is done. It must not block.
type observer interface {
	// platformChanged compares a platform as it was and is. Nil: there is none.
	platformChanged(before, after *Platform)
	// agreementChanged compares the directory before and after the agreement of
	// a pair was made, changed or ended.
	agreementChanged(before, after *Snapshot, pair [2]ocpi.PartyKey)
}

// RegistrarConfig wires a Registrar; every field but Now and CallTimeout is
// needed.
type RegistrarConfig struct {
	Store     Store
	Cache     Cache
	Directory *Directory
	Dialer    *peer.Dialer
	Hub       Identity
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// CallTimeout bounds each call of a handshake to the peer; zero means 10 s.
	CallTimeout time.Duration
	// Announced waits until everybody has answered the ClientInfos of parties that
	// this replica pushed, or ctx ends. Nil: nobody waits.
	Announced func(ctx context.Context, of []ocpi.PartyKey)
}

// NewRegistrar makes a Registrar. The directory learns from it which party is
// the hub's.
func NewRegistrar(cfg RegistrarConfig) *Registrar {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = 10 * time.Second
	}
	cfg.Directory.setPolicy(func(p *policy) { p.hub = cfg.Hub.Party })
	return &Registrar{cfg: cfg, metrics: newMetrics(cfg.Metrics, cfg.Directory)}
}

// renewalOverlap is how long a renewed token goes on working while nobody uses
// its successor (C5).
const renewalOverlap = 10 * time.Minute

// Hub is who the hub is.
func (r *Registrar) Hub() Identity { return r.cfg.Hub }

// now is the clock at the precision that every store keeps.
func (r *Registrar) now() time.Time { return r.cfg.Now().UTC().Truncate(time.Microsecond) }

// update changes one platform: it reads the stored state, lets change decide on
// it, and saves. When somebody else saved meanwhile it begins anew, so change
// may run several times and must not call a peer.
func (r *Registrar) update(ctx context.Context, id PlatformID, change func(*Platform) error) (Platform, error) {
	for attempt := 0; ; attempt++ {
		stored, err := r.cfg.Store.Get(ctx, id)
		if err != nil {
			return Platform{}, err
		}
		p := stored.Clone()
		if err := change(&p); err != nil {
			return Platform{}, err
		}
		p.UpdatedAt = r.now()
		if !slices.Equal(p.PartyRoles(), stored.PartyRoles()) {
			p.StatusSince = p.UpdatedAt // so that whoever polls by date finds new ones
		}
		revision, err := r.cfg.Store.Update(ctx, p)
		if errors.Is(err, ErrStale) && attempt < 10 {
			continue
		}
		if err != nil {
			return Platform{}, err
		}
		p.Revision = revision
		r.publish(ctx, &stored, p)
		return p, nil
	}
}

// publish brings a committed platform to whoever answers from memory. before is
// what it was; nil for a new one. The announcement may fail: the record is in
// the store, and other replicas compare revisions with it.
func (r *Registrar) publish(ctx context.Context, before *Platform, p Platform) {
	r.cfg.Directory.Apply(p, p.Revision)
	r.observe(before, &p)
	r.announce(ctx, Change{Revision: p.Revision, ID: p.ID}, &p)
}

func (r *Registrar) observe(before, after *Platform) {
	if r.observer != nil {
		r.observer.platformChanged(before, after)
	}
}

// announcedTimeout bounds how long a registration waits for who is slow to learn of
// it.
const announcedTimeout = time.Second

// awaitAnnounced lets a platform learn of its registration after the others, as far
// as they answer soon: its first objects may go through another replica, whose lanes
// know nothing of the ClientInfos that this one pushes (O5).
func (r *Registrar) awaitAnnounced(ctx context.Context, p *Platform) {
	if r.cfg.Announced == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announcedTimeout)
	defer cancel()
	var of []ocpi.PartyKey
	for _, pr := range p.PartyRoles() {
		if !slices.Contains(of, pr.Party) {
			of = append(of, pr.Party)
		}
	}
	r.cfg.Announced(ctx, of)
}

// announceTimeout bounds what a Redis that is gone may cost a change.
const announceTimeout = 3 * time.Second

// committed is the context of what follows a commit, also when the caller went
// away.
func committed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
}

func (r *Registrar) announce(ctx context.Context, c Change, p *Platform) {
	ctx, cancel := committed(ctx)
	defer cancel()
	if err := r.cfg.Cache.Announce(ctx, c, p); err != nil {
		r.cfg.Logger.Warn("announce platform change", "platform", c.ID, "error", err)
	}
}

// approve checks the parties that a platform wants to register (C8): each must
// be among those approved, if any are, and no other platform's, and none may be
// the hub.
func (r *Registrar) approve(p *Platform, roles []ocpi.CredentialsRole) error {
	for i, role := range roles {
		if role.Party == r.cfg.Hub.Party {
			return ocpi.Errorf(ocpi.InvalidParameters, "field roles[%d]: %s is this hub", i, role.Party)
		}
		if len(p.Approved) > 0 && !slices.Contains(p.Approved, role.PartyRole) {
			return ocpi.Errorf(ocpi.InvalidParameters,
				"field roles[%d]: %s is not approved for this platform; the hub operator approves parties", i, role.PartyRole)
		}
		for _, other := range r.cfg.Directory.Snapshot().byParty[role.Party] {
			if other.Platform.ID != p.ID && slices.Contains(other.Platform.Claims(), role.PartyRole) {
				return r.taken(&TakenError{Claim: role.PartyRole})
			}
		}
	}
	return nil
}

func (r *Registrar) taken(err *TakenError) error {
	return ocpi.Errorf(ocpi.InvalidParameters, "field roles: %v", err)
}

// asRefusal turns what the store found out too late into what a peer may read.
func (r *Registrar) asRefusal(err error) error {
	var taken *TakenError
	switch {
	case errors.As(err, &taken):
		return r.taken(taken)
	case errors.Is(err, ErrNotFound):
		return ocpi.HTTPErrorf(401, ocpi.ClientError, "the platform is no longer known to this hub")
	}
	return err
}

// mint makes a token for the platform to use, and its record.
func mint(kind TokenKind, expires time.Time) (ocpi.CredentialsToken, InboundToken) {
	token := ocpi.NewCredentialsToken()
	return token, InboundToken{Hash: token.Hash(), Kind: kind, ExpiresAt: expires}
}

// without returns the tokens that are none of the kinds.
func without(tokens []InboundToken, kinds ...TokenKind) []InboundToken {
	return slices.DeleteFunc(slices.Clone(tokens), func(t InboundToken) bool { return slices.Contains(kinds, t.Kind) })
}

// findToken returns the index of a token that is still there and has not
// expired, or -1.
func findToken(p *Platform, hash ocpi.TokenHash, now time.Time) int {
	return slices.IndexFunc(p.Inbound, func(t InboundToken) bool {
		return t.Hash == hash && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
	})
}

// adopt makes the platform registered with what the handshake found.
func (r *Registrar) adopt(p *Platform, creds ocpi.Credentials, v ocpi.Version, found discovery) error {
	if err := r.approve(p, creds.Roles); err != nil {
		return err
	}
	if p.Held {
		return ocpi.HTTPErrorf(401, ocpi.ClientError, "the hub operator has suspended this platform")
	}
	p.Roles, p.Version, p.VersionsURL = creds.Roles, v, creds.URL
	p.Endpoints, p.Outbound, p.Unopened = found.endpoints, creds.Token, ""
	if found.form != "" {
		p.Quirks.TokenForm = found.form
	}
	p.setStatus(ocpi.Connected, r.now())
	return nil
}

// TokenUsed ends the tokens that the caller's has replaced: the peer has shown
// that it holds the new one (C5). At this replica they have ended when it
// returns, also with an error; the others follow the record, which the next use
// of the token tries to change again.
func (r *Registrar) TokenUsed(ctx context.Context, c Caller) error {
	c.proves()
	// A message waits for this; a database that is slow must not hold it up.
	ctx, cancel := context.WithTimeout(ctx, tokenUsedTimeout)
	defer cancel()
	_, err := r.update(ctx, c.Platform.ID, func(p *Platform) error {
		i := findToken(p, c.Token.Hash, r.now())
		if i < 0 {
			return errNothingToDo
		}
		if p.Inbound[i].Kind == TokenUnconfirmed && p.Registered() {
			// A renewal whose answer was lost: the peer did take the token.
			r.promote(p, i)
			return nil
		}
		if p.Inbound[i].Kind != TokenAccess {
			return errNothingToDo
		}
		kept := without(p.Inbound, TokenRetiring)
		if len(kept) == len(p.Inbound) {
			return errNothingToDo
		}
		p.Inbound = kept
		return nil
	})
	if errors.Is(err, errNothingToDo) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

const tokenUsedTimeout = 500 * time.Millisecond

var errNothingToDo = errors.New("nothing to do")

// promote makes token i the access token; the others retire.
func (r *Registrar) promote(p *Platform, i int) {
	for k := range p.Inbound {
		if k != i && p.Inbound[k].Kind == TokenAccess {
			p.Inbound[k].Kind, p.Inbound[k].ExpiresAt = TokenRetiring, r.now().Add(renewalOverlap)
		}
	}
	p.Inbound[i].Kind, p.Inbound[i].ExpiresAt = TokenAccess, time.Time{}
}

// Learned keeps the token form that a platform turned out to read.
func (r *Registrar) Learned(ctx context.Context, id PlatformID, form ocpi.TokenForm) error {
	_, err := r.update(ctx, id, func(p *Platform) error {
		if p.Quirks.TokenForm == form {
			return errNothingToDo
		}
		p.Quirks.TokenForm = form
		return nil
	})
	if errors.Is(err, errNothingToDo) || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keep token form of platform %s: %w", id, err)
	}
	return nil
}
