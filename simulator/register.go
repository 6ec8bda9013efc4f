package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"busbar/ocpi"
)

// Register connects the platform to a hub, as Sender of the credentials module
// (2.2.1 credentials, Registration): it reads versions and details with token
// A, posts its credentials with a token B of its own, and keeps the token C of
// the answer.
func (p *Platform) Register(ctx context.Context, versionsURL string, tokenA ocpi.CredentialsToken) error {
	return p.exchangeCredentials(ctx, http.MethodPost, versionsURL, tokenA)
}

// Rotate renews the credentials in both directions by PUT (2.2.1 credentials,
// Updating the credentials).
func (p *Platform) Rotate(ctx context.Context) error {
	token, err := p.hubToken()
	if err != nil {
		return err
	}
	p.mu.Lock()
	versions := p.conn.versions
	p.mu.Unlock()
	return p.exchangeCredentials(ctx, http.MethodPut, versions, token)
}

// Unregister ends the connection by DELETE (2.2.1 credentials, DELETE).
func (p *Platform) Unregister(ctx context.Context) error {
	token, err := p.hubToken()
	if err != nil {
		return err
	}
	got, err := p.send(ctx, outbound{
		method: http.MethodDelete, url: p.Endpoint(ocpi.ModuleCredentials, ocpi.Sender), token: token, module: ocpi.ModuleCredentials,
	})
	if err == nil {
		err = got.Err()
	}
	if err != nil {
		return fmt.Errorf("unregister %s: %w", p.cfg.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = connection{}
	return nil
}

func (p *Platform) exchangeCredentials(ctx context.Context, method, versionsURL string, token ocpi.CredentialsToken) error {
	fail := func(err error) error { return fmt.Errorf("register %s: %w", p.cfg.Name, err) }
	endpoints, err := p.discover(ctx, versionsURL, token)
	if err != nil {
		return fail(err)
	}
	target := outbound{method: method, token: token, module: ocpi.ModuleCredentials}
	for _, e := range endpoints {
		if e.Identifier == ocpi.ModuleCredentials {
			target.url = e.URL
		}
	}
	if target.url == "" {
		return fail(fmt.Errorf("the hub's version details have no credentials endpoint"))
	}
	// The hub calls back with the new token before it answers.
	mine := ocpi.NewCredentialsToken()
	p.mu.Lock()
	before := p.conn
	p.conn.previous, p.conn.current = before.current, mine
	p.mu.Unlock()
	theirs, err := p.sendCredentials(ctx, target, mine)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.conn = before
		return fail(err)
	}
	p.conn.outbound, p.conn.versions = theirs.Token, theirs.URL
	p.conn.endpoints, p.conn.roles = endpoints, theirs.Roles
	return nil
}

// sendCredentials sends the platform's credentials with a token for the hub and
// returns the hub's.
func (p *Platform) sendCredentials(ctx context.Context, out outbound, mine ocpi.CredentialsToken) (ocpi.Credentials, error) {
	out.body = p.credentials(mine).JSON()
	got, err := p.send(ctx, out)
	if err != nil {
		return ocpi.Credentials{}, err
	}
	if err := got.Err(); err != nil {
		return ocpi.Credentials{}, fmt.Errorf("%s credentials: %w", out.method, err)
	}
	theirs, err := ocpi.ParseCredentials(got.Data)
	if err != nil {
		return ocpi.Credentials{}, fmt.Errorf("the hub's credentials: %w", err)
	}
	return theirs, nil
}

// discover reads versions and the details of 2.2.1.
func (p *Platform) discover(ctx context.Context, versionsURL string, token ocpi.CredentialsToken) ([]ocpi.Endpoint, error) {
	var versions []ocpi.VersionInfo
	if err := p.fetch(ctx, versionsURL, token, &versions); err != nil {
		return nil, fmt.Errorf("versions: %w", err)
	}
	for _, v := range versions {
		if v.Version != ocpi.V221 {
			continue
		}
		var details ocpi.VersionDetails
		if err := p.fetch(ctx, v.URL, token, &details); err != nil {
			return nil, fmt.Errorf("version details: %w", err)
		}
		return details.Endpoints, nil
	}
	return nil, fmt.Errorf("the hub does not offer version %s", ocpi.V221)
}

func (p *Platform) fetch(ctx context.Context, url string, token ocpi.CredentialsToken, into any) error {
	got, err := p.send(ctx, outbound{method: http.MethodGet, url: url, token: token, module: "versions"})
	if err != nil {
		return err
	}
	if err := got.Err(); err != nil {
		return err
	}
	return json.Unmarshal(got.Data, into)
}
