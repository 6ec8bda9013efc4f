package parties

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

var noExpiry time.Time

// offerLife is how long a token that the hub offered stays valid when the
// outcome of its call is not known.
const offerLife = renewalOverlap

// Connect registers the hub at a platform: the hub is the Sender, the platform
// the Receiver, and tokenA is the platform's (2.2.1 credentials, Registration).
// The offered token is valid before the hub's POST is sent, since peers call
// back while it is open.
func (r *Registrar) Connect(ctx context.Context, id PlatformID, versionsURL string, tokenA ocpi.CredentialsToken) (Platform, error) {
	p, err := r.connect(ctx, id, versionsURL, tokenA)
	r.metrics.handshake(err)
	return p, err
}

func (r *Registrar) connect(ctx context.Context, id PlatformID, versionsURL string, tokenA ocpi.CredentialsToken) (Platform, error) {
	before, err := r.cfg.Store.Get(ctx, id)
	if err != nil {
		return Platform{}, err
	}
	if before.Held {
		return Platform{}, fmt.Errorf("%w: resume it first", ErrHeld)
	}
	talk := r.handshake(id, tokenA, before.Quirks.TokenForm)
	defer talk.client.Close()
	found, err := talk.discover(ctx, versionsURL, r.expectedRoles(before), latestMutual(before.VersionLimit))
	if err != nil {
		return Platform{}, err
	}
	found.tell(r.cfg.Logger, id)
	offer, record := mint(TokenOffered, r.now().Add(offerLife))
	if _, err := r.update(ctx, id, func(p *Platform) error {
		p.Inbound = append(without(p.Inbound, TokenOffered, TokenUnconfirmed), record)
		return nil
	}); err != nil {
		return Platform{}, err
	}
	creds, err := r.exchange(ctx, talk, "POST", found, r.cfg.Hub.Credentials(offer, before.Quirks))
	found.form = talk.client.Form()
	return r.concludeConnect(ctx, before, record, creds, found, err)
}

// expectedRoles stand in for the credentials roles while those are not known:
// an endpoint without an interface role is understood by them.
func (r *Registrar) expectedRoles(p Platform) []ocpi.CredentialsRole {
	if len(p.Roles) > 0 {
		return p.Roles
	}
	roles := make([]ocpi.CredentialsRole, len(p.Approved))
	for i, pr := range p.Approved {
		roles[i].PartyRole = pr
	}
	return roles
}

// concludeConnect saves the registration, or takes the offer back. before is the
// platform as it was: when the call fails it can go on as it did.
func (r *Registrar) concludeConnect(ctx context.Context, before Platform, offer InboundToken,
	creds *ocpi.Credentials, found discovery, failure error) (Platform, error) {
	// The hub's caller may have gone away; what was exchanged must be kept.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.CallTimeout)
	defer cancel()
	p, err := r.update(ctx, before.ID, func(p *Platform) error {
		i := findToken(p, offer.Hash, r.now())
		if i < 0 {
			return fmt.Errorf("the offered token ended during the handshake: %w", ErrStale)
		}
		switch {
		case failure != nil:
			r.withdraw(p, i, failure)
		case creds != nil:
			if err := r.adopt(p, *creds, found.version, found); err != nil {
				return err
			}
			r.accept(p, offer, before.Inbound)
		case p.Registered() && len(freshAccess(p, before.Inbound)) > 0:
			// An empty 2xx: the peer registered itself meanwhile, and goes on
			// using the offered token (field-quirks).
			r.accept(p, offer, before.Inbound)
		default:
			failure = ocpi.Errorf(ocpi.UnusableAPI,
				"POST credentials: the answer has no credentials object, and the platform did not register itself meanwhile")
			if p.Registered() {
				failure = errors.Join(failure, errAnswerLost) // it may have taken the token all the same
			}
			r.withdraw(p, i, failure)
		}
		return nil
	})
	if err != nil && failure == nil {
		// What the peer sent is refused: the offer must not stay behind.
		_, _ = r.update(ctx, before.ID, func(p *Platform) error {
			p.Inbound = without(p.Inbound, TokenOffered)
			return nil
		})
		var taken *TakenError
		if errors.As(err, &taken) {
			err = r.taken(taken)
		}
		return Platform{}, err
	}
	return p, failure
}

// accept makes the offered token one that opens everything, beside the one that
// the platform was given if it registered itself while the hub's call was open:
// nobody knows which of them it goes on using. Those from before retire.
func (r *Registrar) accept(p *Platform, offer InboundToken, before []InboundToken) {
	offer.Kind, offer.ExpiresAt = TokenAccess, noExpiry
	p.Inbound = slices.Concat([]InboundToken{offer}, freshAccess(p, before), retired(before, r.now().Add(renewalOverlap)))
}

// freshAccess are the access tokens that were not there before.
func freshAccess(p *Platform, before []InboundToken) (fresh []InboundToken) {
	for _, t := range p.Inbound {
		same := func(o InboundToken) bool { return o.Hash == t.Hash }
		if t.Kind == TokenAccess && !slices.ContainsFunc(before, same) {
			fresh = append(fresh, t)
		}
	}
	return fresh
}

// retired are the tokens that opened everything, which go on doing so until a
// successor is used or they expire.
func retired(tokens []InboundToken, expires time.Time) (retired []InboundToken) {
	for _, t := range tokens {
		switch {
		case t.Kind == TokenAccess, t.Kind == TokenRetiring && t.ExpiresAt.IsZero():
			t.Kind, t.ExpiresAt = TokenRetiring, expires
		case t.Kind != TokenRetiring:
			continue
		}
		retired = append(retired, t)
	}
	return retired
}

// withdraw takes an offer back when the peer certainly did not accept it. After
// a call whose answer was lost it stays, and expires.
func (r *Registrar) withdraw(p *Platform, i int, failure error) {
	if p.Inbound[i].Kind == TokenOffered && errors.Is(failure, errAnswerLost) {
		p.Inbound[i].Kind = TokenUnconfirmed
		return
	}
	if p.Inbound[i].Kind == TokenOffered {
		p.Inbound = append(p.Inbound[:i], p.Inbound[i+1:]...)
	}
}

// Rotate renews the hub's credentials at a platform by PUT (2.2.1 credentials,
// PUT). Both tokens are valid until the peer uses the new one.
func (r *Registrar) Rotate(ctx context.Context, id PlatformID) (Platform, error) {
	before, err := r.cfg.Store.Get(ctx, id)
	if err != nil {
		return Platform{}, err
	}
	if !before.Registered() || before.Held {
		return Platform{}, fmt.Errorf("%w: only a registered platform that is not suspended has credentials to renew", ErrNotRegistered)
	}
	if before.Unopened != "" {
		return Platform{}, ErrUnopened
	}
	talk := r.handshake(id, before.Outbound, before.Quirks.TokenForm)
	defer talk.client.Close()
	offer, record := mint(TokenOffered, r.now().Add(offerLife))
	if _, err := r.update(ctx, id, func(p *Platform) error {
		if !p.Registered() || p.Held {
			return fmt.Errorf("%w any more", ErrNotRegistered)
		}
		p.Inbound = append(without(p.Inbound, TokenOffered, TokenUnconfirmed), record)
		return nil
	}); err != nil {
		return Platform{}, err
	}
	found := discovery{version: before.Version, endpoints: before.Endpoints}
	creds, err := r.exchange(ctx, talk, "PUT", found, r.cfg.Hub.Credentials(offer, before.Quirks))
	if err == nil && creds == nil {
		// It may have taken the new token all the same: that stays valid for a
		// while, and for good once it is used.
		err = errors.Join(ocpi.Errorf(ocpi.UnusableAPI, "PUT credentials: the answer has no credentials object"), errAnswerLost)
	}
	return r.concludeRotate(ctx, id, before.Outbound, record, creds, err)
}

func (r *Registrar) concludeRotate(ctx context.Context, id PlatformID, outbound ocpi.CredentialsToken,
	offer InboundToken, creds *ocpi.Credentials, failure error) (Platform, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.CallTimeout)
	defer cancel()
	p, err := r.update(ctx, id, func(p *Platform) error {
		i := findToken(p, offer.Hash, r.now())
		if failure != nil {
			if i >= 0 {
				r.withdraw(p, i, failure)
			}
			return nil
		}
		if p.Outbound == outbound {
			// Unless the platform renewed its side while the call was open.
			p.Outbound = creds.Token
		}
		if i >= 0 && p.Inbound[i].Kind == TokenOffered {
			r.promote(p, i)
		}
		return nil
	})
	if err != nil {
		return Platform{}, err
	}
	return p, failure
}

// errAnswerLost marks a credentials call that may have been carried out.
var errAnswerLost = errors.New("the answer was lost")

// exchange sends the hub's credentials and reads the peer's. Nil credentials
// without an error are an empty answer.
func (r *Registrar) exchange(ctx context.Context, talk *handshake, method string, found discovery, own ocpi.Credentials) (*ocpi.Credentials, error) {
	url := ""
	for _, e := range found.endpoints {
		if e.Identifier == ocpi.ModuleCredentials {
			url = e.URL
		}
	}
	if url == "" {
		return nil, ocpi.Errorf(ocpi.NoMatchingEndpoints, "version details list no credentials endpoint")
	}
	talk.offer = own.Token
	answer, err := talk.call(ctx, method, url, own.JSON())
	if err != nil && peer.FailureOf(err) == peer.Unreachable {
		return nil, err
	}
	if err != nil {
		return nil, errors.Join(err, errAnswerLost)
	}
	defer answer.Release()
	return talk.readCredentials(method+" "+ShownURL(url), answer)
}

func (h *handshake) readCredentials(what string, answer *peer.Answer) (*ocpi.Credentials, error) {
	if answer.Status()/100 == 2 && len(answer.Body()) == 0 {
		return nil, nil
	}
	var data json.RawMessage
	if err := h.decode(answer, &data); err != nil {
		return nil, ocpi.Errorf(ocpi.UnusableAPI, "%s: %v", what, err)
	}
	creds, err := ocpi.ParseCredentials(data)
	if err != nil {
		refusal, _ := ocpi.AsError(err)
		return nil, ocpi.Errorf(ocpi.UnusableAPI, "%s: field data: %s", what, refusal.Message)
	}
	return &creds, nil
}
