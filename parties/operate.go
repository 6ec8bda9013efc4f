package parties

import (
	"context"
	"errors"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// ErrHeld, ErrNotRegistered and ErrUnopened refuse what the platform's state does not allow.
var (
	ErrHeld          = errors.New("the platform is suspended")
	ErrNotRegistered = errors.New("the platform is not registered")
	// ErrUnopened is for a platform that the hub has no token for, see
	// Platform.Unopened.
	ErrUnopened = errors.New("no secret in BUSBAR_SECRET_KEY opens the token with which the hub calls this platform:" +
		" add the old secret to the end of the list and restart, or let the platform renew its credentials (PUT), or connect to it anew")
)

// Enrolment is what the operator says of a platform that is to connect.
type Enrolment struct {
	Name         string
	Approved     []ocpi.PartyRole
	VersionLimit ocpi.Version
	Quirks       Quirks
	// ClientCertificate is needed from the first call on.
	ClientCertificate CertificateKey
}

// Enrol creates a platform and its token A, which is shown this once. Its
// parties become PLANNED.
func (r *Registrar) Enrol(ctx context.Context, e Enrolment) (Platform, ocpi.CredentialsToken, error) {
	now := r.now()
	token, record := mint(TokenRegistration, noExpiry)
	p := Platform{
		ID: NewPlatformID(), Name: e.Name, Approved: e.Approved, VersionLimit: e.VersionLimit, Quirks: e.Quirks,
		ClientCertificate: e.ClientCertificate,
		Status:            ocpi.Planned, StatusSince: now, CreatedAt: now, UpdatedAt: now, Inbound: []InboundToken{record},
	}
	bounded, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	revision, err := r.cfg.Store.Create(bounded, p)
	if err != nil {
		return Platform{}, ocpi.CredentialsToken{}, err
	}
	p.Revision = revision
	r.publish(ctx, nil, p)
	return p, token, nil
}

// Amendment changes what the operator once said; nil fields stay.
type Amendment struct {
	Name     *string
	Approved *[]ocpi.PartyRole
	// VersionLimit empty lifts the limit.
	VersionLimit *ocpi.Version
	Quirks       *Quirks
	// ClientCertificate empty lets the platform do without one.
	ClientCertificate *CertificateKey
}

// Amend changes a platform. Approving fewer parties than are registered takes
// effect at the next handshake.
func (r *Registrar) Amend(ctx context.Context, id PlatformID, a Amendment) (Platform, error) {
	return r.update(ctx, id, func(p *Platform) error {
		if a.Name != nil {
			p.Name = *a.Name
		}
		if a.Approved != nil {
			p.Approved = *a.Approved
		}
		if a.VersionLimit != nil {
			p.VersionLimit = *a.VersionLimit
		}
		if a.ClientCertificate != nil {
			p.ClientCertificate = *a.ClientCertificate
		}
		if a.Quirks != nil {
			learned := p.Quirks.TokenForm
			p.Quirks = *a.Quirks
			if p.Quirks.TokenForm == "" {
				p.Quirks.TokenForm = learned // the hub found it out, and nobody said otherwise
			}
		}
		return nil
	})
}

// IssueToken makes a fresh token A. An earlier one that was not used ends; a
// registration stays valid until the new handshake has ended.
func (r *Registrar) IssueToken(ctx context.Context, id PlatformID) (Platform, ocpi.CredentialsToken, error) {
	token, record := mint(TokenRegistration, noExpiry)
	p, err := r.update(ctx, id, func(p *Platform) error {
		p.Inbound = append(without(p.Inbound, TokenRegistration), record)
		return nil
	})
	return p, token, err
}

// Suspend stops all traffic of a platform: its tokens answer 401 and nothing is
// sent to it.
func (r *Registrar) Suspend(ctx context.Context, id PlatformID) (Platform, error) {
	return r.update(ctx, id, func(p *Platform) error {
		p.Held = true
		p.setStatus(ocpi.Suspended, r.now())
		return nil
	})
}

// Resume undoes Suspend.
func (r *Registrar) Resume(ctx context.Context, id PlatformID) (Platform, error) {
	return r.update(ctx, id, func(p *Platform) error {
		if !p.Held {
			return nil
		}
		p.Held = false
		if p.Registered() {
			p.setStatus(ocpi.Connected, r.now())
		} else {
			p.setStatus(ocpi.Planned, r.now())
		}
		return nil
	})
}

// goodbyeTimeout bounds the notice to a platform that is being deleted.
const goodbyeTimeout = 3 * time.Second

// Delete forgets a platform and frees its parties. A registered one is told by
// DELETE credentials that its token is void, once, if it can be reached; the
// platform is gone either way.
func (r *Registrar) Delete(ctx context.Context, id PlatformID) error {
	bounded, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	was := r.last(bounded, id)
	revision, err := r.cfg.Store.Delete(bounded, id)
	if err != nil {
		return err
	}
	r.cfg.Directory.Remove(id, revision)
	r.observe(was, nil)
	r.announce(ctx, Change{Revision: revision, ID: id}, nil)
	if was != nil && was.Registered() && !was.Held && was.Unopened == "" {
		r.sayGoodbye(ctx, was)
	}
	return nil
}

// last is what is known of a platform; nil when nothing is. The directory helps
// out when the record cannot be read, which must not keep a platform.
func (r *Registrar) last(ctx context.Context, id PlatformID) *Platform {
	if p, err := r.cfg.Store.Get(ctx, id); err == nil {
		return &p
	}
	if e := r.cfg.Directory.Snapshot().Platform(id); e != nil {
		return &e.Platform
	}
	return nil
}

func (r *Registrar) sayGoodbye(ctx context.Context, p *Platform) {
	var target *peer.Target
	for _, e := range p.Endpoints {
		if e.Identifier == ocpi.ModuleCredentials {
			if t, err := peer.ParseTarget(e.URL); err == nil {
				target = &t
			}
		}
	}
	if target == nil {
		return
	}
	talk := r.handshake(p.ID, p.Outbound, p.Quirks.TokenForm)
	talk.timeout = goodbyeTimeout
	defer talk.client.Close()
	answer, err := talk.call(ctx, "DELETE", target.String(), nil)
	if err != nil {
		r.cfg.Logger.Info("deleted platform was not told", "platform", p.ID, "error", err)
		return
	}
	answer.Release()
}
