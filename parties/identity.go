package parties

import (
	"encoding/json"
	"slices"

	"busbar/ocpi"
)

// Identity is the hub itself, as it introduces itself to platforms.
type Identity struct {
	Party ocpi.PartyKey
	// Name is the business name in the hub's credentials.
	Name string
	// PublicURL is the base of every URL the hub hands out, without a trailing
	// slash.
	PublicURL string
}

// VersionsURL is where the hub's versions are listed.
func (i Identity) VersionsURL() string { return i.PublicURL + "/ocpi/versions" }

// Base is the URL under which the hub serves a version.
func (i Identity) Base(v ocpi.Version) string { return i.PublicURL + "/ocpi/" + string(v) }

// Credentials are the hub's credentials for a platform. A hub reports itself
// only as HUB (C7), and additionally in the role that the platform needs to see
// (Quirks.ExtraRole).
func (i Identity) Credentials(token ocpi.CredentialsToken, q Quirks) ocpi.Credentials {
	name, _ := json.Marshal(map[string]string{"name": i.Name}) // a map of strings always encodes
	c := ocpi.Credentials{Token: token, URL: i.VersionsURL()}
	for _, role := range []ocpi.Role{ocpi.RoleHub, q.ExtraRole} {
		if role != "" {
			c.Roles = append(c.Roles, ocpi.CredentialsRole{
				PartyRole: ocpi.PartyRole{Party: i.Party, Role: role}, BusinessDetails: name,
			})
		}
	}
	return c
}

// Details lists the hub's endpoints for a version: both interfaces of every
// functional module, hubclientinfo as its Sender, credentials once (V2), unless
// the platform needs it otherwise.
func (i Identity) Details(v ocpi.Version, q Quirks) ocpi.VersionDetails {
	base := i.Base(v)
	d := ocpi.VersionDetails{Version: v, Endpoints: []ocpi.Endpoint{
		{Identifier: ocpi.ModuleCredentials, Role: ocpi.Sender, URL: base + "/credentials"},
		{Identifier: ocpi.ModuleHubClientInfo, Role: ocpi.Sender, URL: base + "/hubclientinfo"},
	}}
	for _, m := range ocpi.FunctionalModules {
		d.Endpoints = append(d.Endpoints,
			ocpi.Endpoint{Identifier: m, Role: ocpi.Sender, URL: base + "/sender/" + string(m)},
			ocpi.Endpoint{Identifier: m, Role: ocpi.Receiver, URL: base + "/receiver/" + string(m)})
	}
	if q.CredentialsTwice {
		d.Endpoints = append(d.Endpoints,
			ocpi.Endpoint{Identifier: ocpi.ModuleCredentials, Role: ocpi.Receiver, URL: base + "/credentials"})
	}
	d.Endpoints = slices.DeleteFunc(d.Endpoints, func(e ocpi.Endpoint) bool {
		return slices.Contains(q.HideModules, e.Identifier)
	})
	return d
}

// Versions lists what the hub speaks towards a platform; one that is pinned to
// a version sees only that.
func (i Identity) Versions(limit ocpi.Version) []ocpi.VersionInfo {
	var infos []ocpi.VersionInfo
	for _, v := range ocpi.Versions {
		if limit == "" || limit == v {
			infos = append(infos, ocpi.VersionInfo{Version: v, URL: i.Base(v)})
		}
	}
	return infos
}
