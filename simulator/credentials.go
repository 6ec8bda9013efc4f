package simulator

import (
	"io"
	"net/http"

	"busbar/ocpi"
)

// serveConfiguration answers versions, details and credentials: no routing
// headers (2.2.1 transport_and_format, Message Routing Headers).
func (p *Platform) serveConfiguration(r *http.Request, path string) reply {
	if path == credentialsPath {
		return p.serveCredentials(r)
	}
	if r.Method != http.MethodGet {
		return notAllowed(r.Method)
	}
	if path == versionsPath {
		return answer(encode([]ocpi.VersionInfo{{Version: ocpi.V221, URL: p.base + detailsPath}}))
	}
	details := ocpi.VersionDetails{Version: ocpi.V221, Endpoints: []ocpi.Endpoint{
		{Identifier: ocpi.ModuleCredentials, Role: ocpi.Sender, URL: p.base + credentialsPath},
	}}
	for _, f := range p.faces() {
		details.Endpoints = append(details.Endpoints, ocpi.Endpoint{Identifier: f.module, Role: f.side, URL: p.base + f.path()})
	}
	return answer(encode(details))
}

// faces lists the faces of all parties, and the platform's own.
func (p *Platform) faces() []face {
	faces := []face{clientInfoFace}
	for _, module := range ocpi.FunctionalModules {
		for _, side := range [...]ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
			f := face{module, side}
			for _, member := range p.parties {
				if member.faces[f] != nil {
					faces = append(faces, f)
					break
				}
			}
		}
	}
	return faces
}

// serveCredentials is the hub as Sender of a registration, its renewal and its
// end (2.2.1 credentials, Interfaces and endpoints).
func (p *Platform) serveCredentials(r *http.Request) reply {
	registered := p.Registered()
	switch r.Method {
	case http.MethodGet:
		p.mu.Lock()
		defer p.mu.Unlock()
		token := p.conn.current
		if token.IsZero() {
			token = p.conn.invite
		}
		return answer(p.credentials(token).JSON())
	case http.MethodPost:
		if registered {
			return refuse(ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.ClientError, "already registered: use PUT"))
		}
		return p.acceptCredentials(r)
	case http.MethodPut:
		if !registered {
			return refuse(ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.ClientError, "not registered: use POST"))
		}
		return p.acceptCredentials(r)
	case http.MethodDelete:
		if !registered {
			return refuse(ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.ClientError, "not registered"))
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.conn = connection{}
		return answer(nil)
	}
	return notAllowed(r.Method)
}

// acceptCredentials learns the hub's endpoints with its token, then answers
// with a new one for it.
func (p *Platform) acceptCredentials(r *http.Request) reply {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return refuse(ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, "body cannot be read"))
	}
	theirs, err := ocpi.ParseCredentials(body)
	if err != nil {
		fault, _ := ocpi.AsError(err) // ParseCredentials returns nothing else
		return refuse(fault)
	}
	endpoints, err := p.discover(r.Context(), theirs.URL, theirs.Token)
	if err != nil {
		p.log.Warn("hub's versions cannot be read", "error", err)
		return refuse(ocpi.Errorf(ocpi.UnusableAPI, "your versions or version details cannot be read"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := ocpi.NewCredentialsToken()
	p.conn = connection{
		current: mine, previous: p.conn.current,
		outbound: theirs.Token, versions: theirs.URL, endpoints: endpoints, roles: theirs.Roles,
	}
	return answer(p.credentials(mine).JSON())
}

// credentials is the platform's credentials object with a token for the hub.
func (p *Platform) credentials(token ocpi.CredentialsToken) ocpi.Credentials {
	c := ocpi.Credentials{Token: token, URL: p.VersionsURL()}
	for _, member := range p.parties {
		details := struct {
			Name    string `json:"name"`
			Website string `json:"website,omitempty"`
		}{member.Name, member.Website}
		c.Roles = append(c.Roles, ocpi.CredentialsRole{PartyRole: member.PartyRole, BusinessDetails: encode(details)})
	}
	return c
}
