package web

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
)

// known is a platform as this replica knows it; nil for none.
func (s *Server) known(id parties.PlatformID) *parties.Platform {
	if e := s.cfg.Directory.Snapshot().Platform(id); e != nil {
		p := e.Platform
		return &p
	}
	return nil
}

// platformFields are what the audit trail tells of a platform. No token is among
// them, and of a URL neither the query nor the rest of what may hold a secret.
var platformFields = []struct {
	name string
	show func(*parties.Platform) string
}{
	{"name", func(p *parties.Platform) string { return p.Name }},
	{"status", func(p *parties.Platform) string { return string(p.Status) }},
	{"registered", func(p *parties.Platform) string { return strconv.FormatBool(p.Registered()) }},
	{"approved_roles", func(p *parties.Platform) string { return rolesName(p.Approved) }},
	{"roles", func(p *parties.Platform) string { return rolesName(p.PartyRoles()) }},
	{"version", func(p *parties.Platform) string { return string(p.Version) }},
	{"version_limit", func(p *parties.Platform) string { return string(p.VersionLimit) }},
	{"peer_versions_url", func(p *parties.Platform) string { return withoutQuery(p.VersionsURL) }},
	{"client_certificate", func(p *parties.Platform) string { return string(p.ClientCertificate) }},
	{"quirks", func(p *parties.Platform) string {
		raw, _ := json.Marshal(p.Quirks) // marshals always: strings, numbers and booleans
		return string(raw)
	}},
}

// notePlatform tells the audit trail what became of a platform; nil is none.
func notePlatform(c *gin.Context, before, after *parties.Platform) {
	for _, f := range platformFields {
		var was, is string
		if before != nil {
			was = f.show(before)
		}
		if after != nil {
			is = f.show(after)
		}
		noteChange(c, f.name, was, is)
	}
}

func rolesName(roles []ocpi.PartyRole) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.String()
	}
	return strings.Join(names, ", ")
}

// withoutQuery is a URL without what may hold a secret.
func withoutQuery(url string) string {
	url, _, _ = strings.Cut(url, "?")
	url, _, _ = strings.Cut(url, "#")
	return url
}
