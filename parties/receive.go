package parties

import (
	"context"
	"slices"

	"busbar/ocpi"
)

// Issued is the answer to a credentials request: the hub's credentials with the
// token that the platform uses from now on.
type Issued struct {
	Credentials ocpi.Credentials
	// HTTP is the status that the platform expects, 200 or 201.
	HTTP int
}

// Register handles POST credentials: the platform is the Sender of the
// registration, the hub its Receiver (2.2.1 credentials, Registration). The
// hub calls the platform back before it answers; whatever fails leaves the
// platform as it was and token A valid (C2).
func (r *Registrar) Register(ctx context.Context, c Caller, v ocpi.Version, body []byte) (Issued, error) {
	issued, err := r.register(ctx, c, v, body)
	r.metrics.handshake(err)
	return issued, err
}

func (r *Registrar) register(ctx context.Context, c Caller, v ocpi.Version, body []byte) (Issued, error) {
	// The token of a POST of the hub's own that is still open begins a registration
	// anew, as that POST does.
	if c.isRegistered() && c.Token.Kind != TokenOffered {
		return Issued{}, ocpi.HTTPErrorf(405, ocpi.ClientError,
			"this platform is already registered: use PUT to update, or DELETE first")
	}
	creds, found, err := r.callBack(ctx, c, v, body)
	if err != nil {
		return Issued{}, err
	}
	if err := c.attempts(ctx); err != nil {
		return Issued{}, err
	}
	token, record := mint(TokenAccess, noExpiry)
	p, err := r.update(ctx, c.Platform.ID, func(p *Platform) error {
		i := findToken(p, c.Token.Hash, r.now())
		if i < 0 || p.Inbound[i].Kind != c.Token.Kind {
			// Another registration with the same token was faster.
			return ocpi.HTTPErrorf(405, ocpi.ClientError, "this token has been used to register already")
		}
		presented, before := p.Inbound[i], p.Inbound
		if err := r.adopt(p, creds, v, found); err != nil {
			return err
		}
		p.Inbound = []InboundToken{record}
		switch {
		case presented.Kind == TokenOffered:
			// The hub's own POST is still open: its offer stays good until
			// that ends (field-quirks: the peer posts back and keeps the
			// offered token). So does what opened the hub before it: the POST may
			// fail yet, and the platform go on as if nothing had happened.
			p.Inbound = append(append(p.Inbound, presented), retired(before, noExpiry)...)
		case p.Quirks.SpentTokenReads:
			presented.Kind = TokenSpent
			p.Inbound = append(p.Inbound, presented)
		}
		return nil
	})
	if err != nil {
		return Issued{}, r.asRefusal(err)
	}
	r.awaitAnnounced(ctx, &p)
	return Issued{Credentials: r.cfg.Hub.Credentials(token, p.Quirks), HTTP: registerStatus(p)}, nil
}

func registerStatus(p Platform) int {
	switch {
	case p.Quirks.RegisterStatus != 0:
		return p.Quirks.RegisterStatus
	case p.Version == ocpi.V22:
		return 201
	default:
		return 200
	}
}

// Renew handles PUT credentials: new token, new endpoints, possibly another
// version (2.2.1 credentials, PUT). The old inbound token goes on working until
// the new one is used, ten minutes at most (C5).
func (r *Registrar) Renew(ctx context.Context, c Caller, v ocpi.Version, body []byte) (Issued, error) {
	if !c.isRegistered() {
		return Issued{}, ocpi.HTTPErrorf(405, ocpi.ClientError, "this platform is not registered yet: use POST")
	}
	creds, found, err := r.callBack(ctx, c, v, body)
	if err != nil {
		return Issued{}, err
	}
	if err := c.attempts(ctx); err != nil {
		return Issued{}, err
	}
	token, record := mint(TokenAccess, noExpiry)
	p, err := r.update(ctx, c.Platform.ID, func(p *Platform) error {
		i := findToken(p, c.Token.Hash, r.now())
		if i < 0 || !p.Registered() {
			return ocpi.HTTPErrorf(405, ocpi.ClientError, "this registration ended meanwhile")
		}
		presented := p.Inbound[i]
		if err := r.adopt(p, creds, v, found); err != nil {
			return err
		}
		if presented.Kind != TokenRetiring || presented.ExpiresAt.IsZero() {
			presented.Kind, presented.ExpiresAt = TokenRetiring, r.now().Add(renewalOverlap)
		}
		// An offer of the hub's that is under way stays: its call decides on it.
		kept := slices.DeleteFunc(without(p.Inbound, TokenAccess, TokenRetiring, TokenUnconfirmed),
			func(t InboundToken) bool { return t.Hash == presented.Hash })
		p.Inbound = append(kept, presented, record)
		return nil
	})
	if err != nil {
		return Issued{}, r.asRefusal(err)
	}
	r.awaitAnnounced(ctx, &p)
	return Issued{Credentials: r.cfg.Hub.Credentials(token, p.Quirks), HTTP: 200}, nil
}

// callBack reads the credentials in body and fetches the sender's versions and
// details with the token in them. What can be refused without a call is refused
// first.
func (r *Registrar) callBack(ctx context.Context, c Caller, v ocpi.Version, body []byte) (ocpi.Credentials, discovery, error) {
	creds, err := ocpi.ParseCredentials(body)
	if err != nil {
		return ocpi.Credentials{}, discovery{}, err
	}
	if limit := c.Platform.VersionLimit; limit != "" && limit != v {
		return ocpi.Credentials{}, discovery{}, ocpi.Errorf(ocpi.UnsupportedVersion,
			"the hub operator set this platform to version %s", limit)
	}
	if err := r.approve(&c.Platform, creds.Roles); err != nil {
		return ocpi.Credentials{}, discovery{}, err
	}
	form := c.Platform.Quirks.TokenForm
	if form == "" {
		// Who writes a plain token probably reads one.
		form = c.Form
	}
	talk := r.handshake(c.Platform.ID, creds.Token, form)
	defer talk.client.Close()
	found, err := talk.discover(ctx, creds.URL, creds.Roles, exactly(v))
	found.tell(r.cfg.Logger, c.Platform.ID)
	return creds, found, err
}

// End handles DELETE credentials: the tokens are void in both directions and
// traffic stops (C6).
func (r *Registrar) End(ctx context.Context, c Caller) error {
	if !c.isRegistered() {
		return ocpi.HTTPErrorf(405, ocpi.ClientError, "this platform is not registered")
	}
	if err := c.attempts(ctx); err != nil {
		return err
	}
	_, err := r.update(ctx, c.Platform.ID, func(p *Platform) error {
		if findToken(p, c.Token.Hash, r.now()) < 0 || !p.Registered() {
			return ocpi.HTTPErrorf(405, ocpi.ClientError, "this registration ended meanwhile")
		}
		r.unregister(p)
		return nil
	})
	return r.asRefusal(err)
}

// unregister voids the tokens in both directions. The parties stay claimed: the
// platform may register again, and ClientInfo objects are never deleted (O4).
func (r *Registrar) unregister(p *Platform) {
	// A fresh token A is not of this registration: it begins the next.
	p.Inbound = slices.DeleteFunc(slices.Clone(p.Inbound), func(t InboundToken) bool { return t.Kind != TokenRegistration })
	p.Outbound, p.Unopened = ocpi.CredentialsToken{}, ""
	p.Version, p.Endpoints = "", nil
	p.setStatus(ocpi.Suspended, r.now())
}

// Own answers GET credentials: the hub's credentials for this caller, with the
// token that it presented (C4).
func (r *Registrar) Own(c Caller, presented ocpi.CredentialsToken) ocpi.Credentials {
	return r.cfg.Hub.Credentials(presented, c.Platform.Quirks)
}
