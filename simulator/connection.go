package simulator

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"busbar/ocpi"
)

// connection is what the two platforms gave each other.
type connection struct {
	// invite is a token A that this platform issued, current what the hub calls
	// with (B or C), previous the one before until current was used once: the
	// answer that carries a new token may be overtaken by a request.
	invite, current, previous ocpi.CredentialsToken

	// outbound is the token for the hub; zero before the registration.
	outbound  ocpi.CredentialsToken
	versions  string // the hub's versions URL
	endpoints []ocpi.Endpoint
	roles     []ocpi.CredentialsRole
}

// ErrNotRegistered tells that the platform has no credentials token for the
// hub.
var ErrNotRegistered = errors.New("the platform is not registered at a hub")

// access is what a credentials token opens.
type access int

const (
	noAccess access = iota
	inviteAccess
	fullAccess
)

// authorised checks the Authorization header. The simulator is exact: the word
// Token, one space, Base64 (2.2.1 transport_and_format, Authorization header).
func (p *Platform) authorised(r *http.Request) access {
	header := r.Header.Get("Authorization")
	if !strings.HasPrefix(header, "Token ") {
		return noAccess
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := noAccess
	form, ok := ocpi.ReadAuthorization(header, func(hash ocpi.TokenHash) bool {
		is := func(t ocpi.CredentialsToken) bool { return !t.IsZero() && t.Hash() == hash }
		switch {
		case is(p.conn.current):
			found, p.conn.previous = fullAccess, ocpi.CredentialsToken{}
		case is(p.conn.previous):
			found = fullAccess
		case is(p.conn.invite):
			found = inviteAccess
		}
		return found != noAccess
	})
	if !ok || form != ocpi.TokenBase64 {
		return noAccess
	}
	return found
}

// Invite mints a token A, with which the hub can register itself at this
// platform. An earlier invitation ends.
func (p *Platform) Invite() (versionsURL string, tokenA ocpi.CredentialsToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn.invite = ocpi.NewCredentialsToken()
	return p.VersionsURL(), p.conn.invite
}

// Registered tells whether the platform has a credentials token for the hub.
func (p *Platform) Registered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.conn.outbound.IsZero()
}

// hubToken is the token for the hub, or ErrNotRegistered.
func (p *Platform) hubToken() (ocpi.CredentialsToken, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn.outbound.IsZero() {
		return ocpi.CredentialsToken{}, ErrNotRegistered
	}
	return p.conn.outbound, nil
}

// Endpoint is the hub's URL for an interface of a module, as its version
// details have it; empty when it has none. The role of credentials does not
// matter (2.2.1 version_information_endpoint, Endpoint NOTE).
func (p *Platform) Endpoint(module ocpi.ModuleID, side ocpi.InterfaceRole) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.conn.endpoints {
		if e.Identifier == module && (e.Role == side || module == ocpi.ModuleCredentials) {
			return e.URL
		}
	}
	return ""
}

// Hub is the hub's own party, as its credentials have it: to address it means
// to broadcast, or to ask for what all parties have (2.2.1
// transport_and_format, Broadcast Push and GET All via Hubs). Zero before the
// registration, and for a hub that does not call itself one.
func (p *Platform) Hub() ocpi.PartyKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, role := range p.conn.roles {
		if role.Role == ocpi.RoleHub {
			return role.Party
		}
	}
	return ocpi.PartyKey{}
}

// isHub tells whether a party is the hub's own.
func (p *Platform) isHub(key ocpi.PartyKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, role := range p.conn.roles {
		if role.Party == key && role.Role == ocpi.RoleHub {
			return true
		}
	}
	return false
}

// isHubURL tells whether a URL is on the hub's host: only there may the
// platform's credentials token go.
func (p *Platform) isHubURL(u *url.URL) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := []string{p.conn.versions}
	for _, e := range p.conn.endpoints {
		known = append(known, e.URL)
	}
	for _, k := range known {
		if hub, err := url.Parse(k); err == nil && hub.Host == u.Host && hub.Scheme == u.Scheme {
			return true
		}
	}
	return false
}
