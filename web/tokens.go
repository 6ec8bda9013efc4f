package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/access"
)

// tokenJSON is an admin token as the admin API shows it.
type tokenJSON struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Role      access.Role `json:"role"`
	CreatedAt *time.Time  `json:"created_at"`
	CreatedBy string      `json:"created_by"`
	// LastUsed is precise to the minute; null for never.
	LastUsed  *time.Time `json:"last_used"`
	ExpiresAt *time.Time `json:"expires_at"`
	// Token is in the answer that makes it, and nowhere else.
	Token string `json:"token,omitempty"`
}

func showToken(t access.Token) tokenJSON {
	return tokenJSON{
		ID: t.ID, Name: t.Name, Role: t.Role, CreatedAt: moment(t.CreatedAt), CreatedBy: t.CreatedBy,
		LastUsed: moment(t.LastUsed), ExpiresAt: moment(t.ExpiresAt),
	}
}

// tokenInput is the body of POST.
type tokenInput struct {
	Name      *string `json:"name"`
	Role      *string `json:"role"`
	ExpiresAt *string `json:"expires_at"`
}

// check reads the input. Every fault is reported, by field.
func (in tokenInput) check(now time.Time) (name string, role access.Role, expires time.Time, faults fields) {
	faults = fields{}
	if in.Name == nil {
		faults["name"] = "is missing"
	} else if name = checkName(*in.Name, faults); strings.EqualFold(name, access.RootName) {
		faults["name"] = "is that of the token in BUSBAR_ADMIN_TOKEN"
	}
	if in.Role == nil {
		faults["role"] = "is missing"
	} else {
		var err error
		if role, err = access.ParseRole(*in.Role); err != nil {
			faults["role"] = err.Error()
		}
	}
	if in.ExpiresAt != nil {
		var err error
		if expires, err = time.Parse(time.RFC3339Nano, *in.ExpiresAt); err != nil {
			faults["expires_at"] = "must be a date and time like 2027-01-31T12:00:00Z"
		} else if !expires.After(now) || expires.Year() > 9999 {
			faults["expires_at"] = "must lie in the future"
		}
	}
	return name, role, expires, faults
}

// failToken turns an error of the keyring into an answer.
func (s *Server) failToken(c *gin.Context, err error) {
	switch {
	case errors.Is(err, access.ErrNotFound):
		fail(c, http.StatusNotFound, err.Error(), nil)
	case errors.Is(err, access.ErrTaken):
		fail(c, http.StatusConflict, err.Error(), fields{"name": err.Error()})
	case errors.Is(err, access.ErrOutlives):
		fail(c, http.StatusUnprocessableEntity, err.Error(),
			fields{"expires_at": "must not be after " + actorOf(c).ExpiresAt.Format(time.RFC3339) + ", when the caller's token expires"})
	default:
		s.failWith(c, err)
	}
}

func (s *Server) createToken(c *gin.Context) {
	var in tokenInput
	if !decode(c, &in) {
		return
	}
	name, role, expires, faults := in.check(time.Now())
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the token breaks a rule", faults)
		return
	}
	t, secret, err := s.cfg.Keyring.Issue(c.Request.Context(), actorOf(c), name, role, expires)
	if err != nil {
		s.failToken(c, err)
		return
	}
	noteTarget(c, t.ID)
	noteToken(c, access.Token{}, t)
	out := showToken(t)
	out.Token = secret.Reveal()
	c.Header("Location", "/api/v1/tokens/"+t.ID)
	c.JSON(http.StatusCreated, out)
}

// noteToken tells the audit trail what became of a token.
func noteToken(c *gin.Context, before, after access.Token) {
	noteChange(c, "name", before.Name, after.Name)
	noteChange(c, "role", string(before.Role), string(after.Role))
	noteChange(c, "expires_at", showEnd(before.ExpiresAt), showEnd(after.ExpiresAt))
}

func showEnd(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// listTokens pages through the tokens, the oldest first. The cursor names the
// last one shown.
func (s *Server) listTokens(c *gin.Context) {
	p := parameters{c: c, faults: fields{}}
	limit := p.number("limit", 100, 1, 1000)
	after := p.place("cursor")
	if p.failed() {
		return
	}
	tokens, err := s.cfg.Keyring.Tokens(c.Request.Context(), access.Token{ID: after.id, CreatedAt: after.created}, limit+1)
	if err != nil {
		s.failWith(c, err)
		return
	}
	next := ""
	if len(tokens) > limit {
		tokens = tokens[:limit]
		next = place{tokens[limit-1].CreatedAt, tokens[limit-1].ID}.cursor()
	}
	items := make([]tokenJSON, len(tokens))
	for i, t := range tokens {
		items[i] = showToken(t)
	}
	c.JSON(http.StatusOK, gin.H{"items": items, "next": next})
}

func (s *Server) showToken(c *gin.Context) {
	t, err := s.cfg.Keyring.Token(c.Request.Context(), c.Param("id"))
	if err != nil {
		s.failToken(c, err)
		return
	}
	c.JSON(http.StatusOK, showToken(t))
}

// deleteToken ends a token, which may be the caller's own.
func (s *Server) deleteToken(c *gin.Context) {
	t, err := s.cfg.Keyring.Token(c.Request.Context(), c.Param("id"))
	if err == nil {
		err = s.cfg.Keyring.Revoke(c.Request.Context(), t.ID)
	}
	if err != nil {
		s.failToken(c, err)
		return
	}
	noteToken(c, t, access.Token{})
	c.Status(http.StatusNoContent)
}

func (s *Server) rotateToken(c *gin.Context) {
	t, secret, err := s.cfg.Keyring.Renew(c.Request.Context(), actorOf(c), c.Param("id"))
	if err != nil {
		s.failToken(c, err)
		return
	}
	noteChange(c, "token", "", "made anew")
	out := showToken(t)
	out.Token = secret.Reveal()
	c.JSON(http.StatusOK, out)
}
