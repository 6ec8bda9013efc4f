package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
)

// platformJSON is a platform as the admin API shows it. It holds no token, not
// even a hash.
type platformJSON struct {
	ID     parties.PlatformID `json:"id"`
	Name   string             `json:"name"`
	Status string             `json:"status"`
	// StatusSince and the other times are RFC 3339 in UTC; null for never.
	StatusSince *time.Time `json:"status_since"`
	Registered  bool       `json:"registered"`
	// Roles are the registered ones or, before the first handshake, those
	// approved.
	Roles         []roleJSON `json:"roles"`
	ApprovedRoles []roleJSON `json:"approved_roles"`
	Parties       []string   `json:"parties"`
	// Version is the OCPI version in use, VersionLimit the one it is pinned to.
	Version      ocpi.Version `json:"version"`
	VersionLimit ocpi.Version `json:"version_limit"`
	// VersionsURL is the hub's, for the platform to call; PeerVersionsURL the
	// platform's.
	VersionsURL     string          `json:"versions_url"`
	PeerVersionsURL string          `json:"peer_versions_url"`
	Endpoints       []ocpi.Endpoint `json:"endpoints"`
	Quirks          parties.Quirks  `json:"quirks"`
	// ClientCertificate is the key that the platform's client certificate must
	// have; null binds none.
	ClientCertificate *parties.CertificateKey `json:"client_certificate"`
	LastSeen          *time.Time              `json:"last_seen"`
	CreatedAt         *time.Time              `json:"created_at"`
	UpdatedAt         *time.Time              `json:"updated_at"`
	// TokenAPending tells that a token A was issued and not yet used.
	TokenAPending bool `json:"token_a_pending"`
	// TokenA is in the answer that issues it, and nowhere else.
	TokenA string `json:"token_a,omitempty"`
}

func (s *Server) show(p parties.Platform) platformJSON {
	lastSeen := p.LastSeen
	if e := s.cfg.Directory.Snapshot().Platform(p.ID); e != nil {
		lastSeen = e.LastSeen()
	}
	out := platformJSON{
		ID: p.ID, Name: p.Name, Status: string(p.Status), StatusSince: moment(p.StatusSince),
		Registered: p.Registered(), Roles: showRoles(p.PartyRoles()), ApprovedRoles: showRoles(p.Approved),
		Parties: []string{}, Version: p.Version, VersionLimit: p.VersionLimit,
		VersionsURL: s.cfg.Registrar.Hub().VersionsURL(), PeerVersionsURL: p.VersionsURL,
		Endpoints: append([]ocpi.Endpoint{}, p.Endpoints...), Quirks: p.Quirks,
		LastSeen: moment(lastSeen), CreatedAt: moment(p.CreatedAt), UpdatedAt: moment(p.UpdatedAt),
	}
	if p.ClientCertificate != "" {
		out.ClientCertificate = &p.ClientCertificate
	}
	for _, party := range p.Parties() {
		out.Parties = append(out.Parties, party.String())
	}
	for _, t := range p.Inbound {
		out.TokenAPending = out.TokenAPending || t.Kind == parties.TokenRegistration
	}
	return out
}

func showRoles(prs []ocpi.PartyRole) []roleJSON {
	roles := make([]roleJSON, len(prs))
	for i, pr := range prs {
		roles[i] = roleJSON{CountryCode: pr.Party.CountryCode(), PartyID: pr.Party.PartyID(), Role: string(pr.Role)}
	}
	return roles
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

func platformID(c *gin.Context) parties.PlatformID { return parties.PlatformID(c.Param("id")) }

func (s *Server) createPlatform(c *gin.Context) {
	var in platformInput
	if !decode(c, &in) {
		return
	}
	a, faults := in.amendment(s.cfg.Registrar.Hub().Party)
	if in.Name == nil {
		faults["name"] = "is missing"
	}
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the platform breaks a rule", faults)
		return
	}
	enrolment := parties.Enrolment{Name: *a.Name}
	if a.Approved != nil {
		enrolment.Approved = *a.Approved
	}
	if a.VersionLimit != nil {
		enrolment.VersionLimit = *a.VersionLimit
	}
	if a.Quirks != nil {
		enrolment.Quirks = *a.Quirks
	}
	if a.ClientCertificate != nil {
		enrolment.ClientCertificate = *a.ClientCertificate
	}
	p, token, err := s.cfg.Registrar.Enrol(c.Request.Context(), enrolment)
	if err != nil {
		s.failWith(c, err)
		return
	}
	noteTarget(c, string(p.ID))
	notePlatform(c, nil, &p)
	out := s.show(p)
	out.TokenA = token.Reveal()
	c.Header("Location", "/api/v1/platforms/"+string(p.ID))
	c.JSON(http.StatusCreated, out)
}

// listPlatforms pages through the platforms, the oldest first. The cursor names
// the last one shown, so that the list stays whole while platforms come and go.
func (s *Server) listPlatforms(c *gin.Context) {
	p := parameters{c: c, faults: fields{}}
	limit, after := p.number("limit", 100, 1, 1000), p.place("cursor")
	if p.failed() {
		return
	}
	items, next := []platformJSON{}, ""
	for _, e := range s.cfg.Directory.Snapshot().Platforms() {
		at := place{e.Platform.CreatedAt, string(e.Platform.ID)}
		if !at.after(after) {
			continue
		}
		if len(items) == limit {
			next = after.cursor()
			break
		}
		items = append(items, s.show(e.Platform))
		after = at
	}
	c.JSON(http.StatusOK, gin.H{"items": items, "next": next})
}

// known is a platform as this replica knows it; nil for none.
func (s *Server) known(id parties.PlatformID) *parties.Platform {
	if e := s.cfg.Directory.Snapshot().Platform(id); e != nil {
		p := e.Platform
		return &p
	}
	return nil
}

func (s *Server) showPlatform(c *gin.Context) {
	e := s.cfg.Directory.Snapshot().Platform(platformID(c))
	if e == nil {
		s.failWith(c, parties.ErrNotFound)
		return
	}
	c.JSON(http.StatusOK, s.show(e.Platform))
}

func (s *Server) patchPlatform(c *gin.Context) {
	var in platformInput
	if !decode(c, &in) {
		return
	}
	a, faults := in.amendment(s.cfg.Registrar.Hub().Party)
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the platform breaks a rule", faults)
		return
	}
	s.answer(c)(s.cfg.Registrar.Amend(c.Request.Context(), platformID(c), a))
}

func (s *Server) deletePlatform(c *gin.Context) {
	before := s.known(platformID(c))
	if err := s.cfg.Registrar.Delete(c.Request.Context(), platformID(c)); err != nil {
		s.failWith(c, err)
		return
	}
	notePlatform(c, before, nil)
	c.Status(http.StatusNoContent)
}

func (s *Server) issueToken(c *gin.Context) {
	before := s.known(platformID(c))
	p, token, err := s.cfg.Registrar.IssueToken(c.Request.Context(), platformID(c))
	if err != nil {
		s.failWith(c, err)
		return
	}
	noteChange(c, "token_a", "", "made anew")
	notePlatform(c, before, &p)
	out := s.show(p)
	out.TokenA = token.Reveal()
	c.JSON(http.StatusOK, out)
}

// connectPlatform lets the hub register itself at the platform.
func (s *Server) connectPlatform(c *gin.Context) {
	var in struct {
		VersionsURL string `json:"versions_url"`
		TokenA      string `json:"token_a"`
	}
	if !decode(c, &in) {
		return
	}
	faults := fields{}
	if err := ocpi.CheckURL(in.VersionsURL); err != nil {
		faults["versions_url"] = err.Error()
	}
	token, err := ocpi.ParseCredentialsToken(in.TokenA)
	if err != nil {
		faults["token_a"] = err.Error()
	}
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the call breaks a rule", faults)
		return
	}
	noteChange(c, "versions_url", "", parties.ShownURL(in.VersionsURL))
	s.answer(c)(s.cfg.Registrar.Connect(c.Request.Context(), platformID(c), in.VersionsURL, token))
}

func (s *Server) rotatePlatform(c *gin.Context) {
	noteChange(c, "credentials", "", "offered anew")
	s.answer(c)(s.cfg.Registrar.Rotate(c.Request.Context(), platformID(c)))
}

// change serves the calls that need nothing but the id.
func (s *Server) change(act func(context.Context, parties.PlatformID) (parties.Platform, error)) gin.HandlerFunc {
	return func(c *gin.Context) { s.answer(c)(act(c.Request.Context(), platformID(c))) }
}

// answer takes note of the platform as it is, and shows what became of it.
func (s *Server) answer(c *gin.Context) func(parties.Platform, error) {
	before := s.known(platformID(c))
	return func(p parties.Platform, err error) {
		if err != nil {
			s.failWith(c, err)
			return
		}
		notePlatform(c, before, &p)
		c.JSON(http.StatusOK, s.show(p))
	}
}
