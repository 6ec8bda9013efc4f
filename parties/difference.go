package parties

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"busbar/ocpi"
)

// Difference is one field of a platform that is not what it was, as an audit
// trail tells it. It holds no token, and of a URL not the query, which may hold a
// secret.
type Difference struct{ Field, Before, After string }

// differing are the fields that Differences compares, but for the endpoints.
var differing = []struct {
	name string
	show func(*Platform) string
}{
	{"name", func(p *Platform) string { return p.Name }},
	{"status", func(p *Platform) string { return string(p.Status) }},
	{"registered", func(p *Platform) string { return strconv.FormatBool(p.Registered()) }},
	{"approved_roles", func(p *Platform) string { return rolesText(p.Approved) }},
	{"roles", func(p *Platform) string { return rolesText(p.PartyRoles()) }},
	{"version", func(p *Platform) string { return string(p.Version) }},
	{"version_limit", func(p *Platform) string { return string(p.VersionLimit) }},
	{"peer_versions_url", func(p *Platform) string { return ShownURL(p.VersionsURL) }},
	{"client_certificate", func(p *Platform) string { return string(p.ClientCertificate) }},
	{"quirks", func(p *Platform) string {
		raw, _ := json.Marshal(p.Quirks) // marshals always: strings, numbers and booleans
		return string(raw)
	}},
}

// Differences tells what became of a platform; nil is none.
func Differences(before, after *Platform) []Difference {
	var all []Difference
	compare := func(field string, show func(*Platform) string) {
		d := Difference{Field: field}
		if before != nil {
			d.Before = show(before)
		}
		if after != nil {
			d.After = show(after)
		}
		if d.Before != d.After {
			all = append(all, d)
		}
	}
	for _, f := range differing {
		compare(f.name, f.show)
	}
	for _, at := range places(before, after) {
		compare("endpoint "+string(at.module)+" "+string(at.role), func(p *Platform) string { return urlOf(p, at) })
	}
	return all
}

// places are the interfaces of which either has an endpoint.
func places(platforms ...*Platform) (all []endpointKey) {
	for _, p := range platforms {
		if p == nil {
			continue
		}
		for _, e := range p.Endpoints {
			if at := (endpointKey{e.Identifier, e.Role}); !slices.Contains(all, at) {
				all = append(all, at)
			}
		}
	}
	return all
}

func urlOf(p *Platform, at endpointKey) string {
	for _, e := range p.Endpoints {
		if e.Identifier == at.module && e.Role == at.role {
			return ShownURL(e.URL)
		}
	}
	return ""
}

func rolesText(roles []ocpi.PartyRole) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.String()
	}
	return strings.Join(names, ", ")
}
