package ocpi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Credentials is the credentials object (2.2.1 credentials, Credentials
// object) after it was checked.
type Credentials struct {
	Token CredentialsToken
	// URL is the peer's versions endpoint.
	URL   string
	Roles []CredentialsRole
}

// CredentialsRole is one party in one role, with its business details as the
// peer wrote them.
type CredentialsRole struct {
	PartyRole
	// BusinessDetails is a JSON object, kept as bytes; nil when it is absent.
	BusinessDetails json.RawMessage
}

type credentialsWire struct {
	Token string                `json:"token"`
	URL   string                `json:"url"`
	Roles []credentialsRoleWire `json:"roles"`
}

type credentialsRoleWire struct {
	Role            string          `json:"role"`
	BusinessDetails json.RawMessage `json:"business_details"`
	PartyID         string          `json:"party_id"`
	CountryCode     string          `json:"country_code"`
}

// ParseCredentials reads a credentials object. Unknown fields, 2.1.1's
// top-level fields among them, are ignored; lower case and an empty business
// name are accepted. The error names the field and the rule and is an *Error
// with 2001, or HTTP 400 when body is not JSON.
func ParseCredentials(body []byte) (Credentials, error) {
	if err := CheckJSON(body); err != nil {
		return Credentials{}, HTTPErrorf(400, ClientError, "body is not valid JSON: %v", err)
	}
	var wire credentialsWire
	if err := json.Unmarshal(body, &wire); err != nil {
		return Credentials{}, Errorf(InvalidParameters, "credentials object: %s", jsonFault(err))
	}
	token, err := ParseCredentialsToken(wire.Token)
	if err != nil {
		return Credentials{}, Errorf(InvalidParameters, "field token: %v", err)
	}
	if err := CheckURL(wire.URL); err != nil {
		return Credentials{}, Errorf(InvalidParameters, "field url: %v", err)
	}
	roles, err := parseRoles(wire.Roles)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{Token: token, URL: wire.URL, Roles: roles}, nil
}

// maxBusinessDetails bounds what is kept of a role besides its name. By the
// specification a name has 100 characters, and each of the URLs 255.
const maxBusinessDetails = 16 << 10

func parseRoles(wire []credentialsRoleWire) ([]CredentialsRole, error) {
	if len(wire) == 0 {
		return nil, Errorf(InvalidParameters, "field roles: must hold at least one role")
	}
	roles := make([]CredentialsRole, 0, len(wire))
	seen := make(map[PartyRole]bool, len(wire))
	for i, w := range wire {
		role, err := ParseRole(w.Role)
		if err != nil {
			return nil, Errorf(InvalidParameters, "field roles[%d].role: %v", i, err)
		}
		party, err := ParsePartyKey(w.CountryCode, w.PartyID)
		if err != nil {
			return nil, Errorf(InvalidParameters, "field roles[%d]: %v", i, err)
		}
		details := w.BusinessDetails
		if len(details) > 0 && details[0] != '{' {
			if string(details) != "null" {
				return nil, Errorf(InvalidParameters, "field roles[%d].business_details: must be a JSON object", i)
			}
			details = nil
		}
		if len(details) > maxBusinessDetails {
			return nil, Errorf(InvalidParameters, "field roles[%d].business_details: must have at most %d bytes, has %d",
				i, maxBusinessDetails, len(details))
		}
		pr := PartyRole{Party: party, Role: role}
		if seen[pr] {
			return nil, Errorf(InvalidParameters, "field roles[%d]: %s stands twice", i, pr)
		}
		seen[pr] = true
		roles = append(roles, CredentialsRole{PartyRole: pr, BusinessDetails: details})
	}
	return roles, nil
}

// JSON writes the credentials object as the wire has it, the token in clear:
// only for the body of a credentials request or answer.
func (c Credentials) JSON() json.RawMessage {
	wire := credentialsWire{Token: c.Token.Reveal(), URL: c.URL}
	for _, r := range c.Roles {
		details := r.BusinessDetails
		if len(details) == 0 {
			details = json.RawMessage(`{"name":"` + r.Party.String() + `"}`)
		}
		wire.Roles = append(wire.Roles, credentialsRoleWire{
			Role: string(r.Role), BusinessDetails: details,
			PartyID: r.Party.PartyID(), CountryCode: r.Party.CountryCode(),
		})
	}
	body, err := json.Marshal(wire)
	if err != nil {
		panic("ocpi: credentials: " + err.Error()) // business details were checked on the way in
	}
	return body
}

// VersionInfo is one entry of the versions endpoint (2.2.1
// version_information_endpoint, Version class).
type VersionInfo struct {
	Version Version `json:"version"`
	URL     string  `json:"url"`
}

// VersionDetails is what a version's URL answers (same chapter, Data).
type VersionDetails struct {
	Version   Version    `json:"version"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is where one interface of one module is served (same chapter,
// Endpoint class). Role may be missing or wrong on credentials.
type Endpoint struct {
	Identifier ModuleID      `json:"identifier"`
	Role       InterfaceRole `json:"role"`
	URL        string        `json:"url"`
}

// CheckURL accepts what the hub may call: an absolute http or https URL of at
// most 255 characters (2.2.1 types, URL), without user information, which
// would be a second secret. A fragment has no meaning to a server.
func CheckURL(s string) error {
	if s == "" {
		return fmt.Errorf("must not be empty")
	}
	if len(s) > 255 {
		return fmt.Errorf("must have at most 255 characters, has %d", len(s))
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("must be an absolute http or https URL")
	}
	if u.User != nil || strings.Contains(s, "#") {
		return fmt.Errorf("must have neither user information nor a fragment")
	}
	if u.Hostname() == "" {
		return fmt.Errorf("must name a host")
	}
	return nil
}

// jsonFault says what encoding/json found, in the words of the document.
func jsonFault(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		if t.Field == "" {
			return "must be a JSON object, not " + t.Value
		}
		return "field " + t.Field + ": wrong JSON type: " + t.Value
	}
	return err.Error()
}
