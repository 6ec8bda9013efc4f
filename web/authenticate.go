package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/access"
)

// actorKey is where a request keeps who makes it.
const actorKey = "actor"

// actorOf is who makes an authenticated request.
func actorOf(c *gin.Context) access.Actor { return c.MustGet(actorKey).(access.Actor) }

// authenticate lets the holder of an admin token pass. A token that is missing
// is no guess; only wrong ones are braked, and a right one passes in any case.
func (s *Server) authenticate(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	token := bearer(c)
	if token == "" {
		unauthorized(c, "header Authorization: Bearer with the admin token is needed")
		return
	}
	actor, err := s.cfg.Keyring.Authenticate(c.Request.Context(), token)
	switch {
	case err == nil:
		c.Set(actorKey, actor)
		c.Next()
	case errors.Is(err, access.ErrExpired):
		unauthorized(c, err.Error())
	case errors.Is(err, access.ErrUnknown):
		s.refuseGuess(c)
	default:
		s.cfg.Logger.Error("admin token cannot be checked", "error", err)
		fail(c, http.StatusServiceUnavailable, "the admin token cannot be checked now, since the database does not answer", nil)
	}
}

// bearer is the token that a request presents; empty for none.
func bearer(c *gin.Context) string {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func unauthorized(c *gin.Context, message string) {
	c.Header("WWW-Authenticate", "Bearer")
	fail(c, http.StatusUnauthorized, message, nil)
}

func (s *Server) refuseGuess(c *gin.Context) {
	// The address of the connection: what a header says of it, anybody can say.
	address := c.RemoteIP()
	wait := s.brake.guessed(address, time.Now())
	if wait == 0 {
		unauthorized(c, "header Authorization: Bearer with the admin token is needed")
		return
	}
	s.brakeLog.Do(func() {
		s.cfg.Logger.Warn("an address presents one wrong admin token after the other", "address", address)
	})
	c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	fail(c, http.StatusTooManyRequests, "too many wrong admin tokens came from this address", nil)
}

// authenticateAPI lets nobody without a token learn which URLs there are.
func (s *Server) authenticateAPI(c *gin.Context) {
	if path := c.Request.URL.Path; path == "/api" || strings.HasPrefix(path, "/api/") {
		s.authenticate(c)
	}
}

// require refuses who has not the role that the call needs, and takes note of it
// when the call would have changed something.
func (s *Server) require(r route) gin.HandlerFunc {
	return func(c *gin.Context) {
		actor := actorOf(c)
		if actor.Role.Includes(r.least) {
			return
		}
		message := fmt.Sprintf("role %s is needed; %q has role %s", r.least, actor.Name, actor.Role)
		if r.action != "" {
			refused := s.newEntry(c, r)
			refused.Outcome, refused.Status, refused.Detail = access.Refused, http.StatusForbidden, message
			s.record(c, refused)
		}
		fail(c, http.StatusForbidden, message, nil)
	}
}

// recheckTimeout bounds the look at a token during a stream.
const recheckTimeout = time.Second

// isStillAdmitted tells whether the token of a long request is still good. While
// nobody can tell, it is.
func (s *Server) isStillAdmitted(c *gin.Context) bool {
	ctx, cancel := context.WithTimeout(c.Request.Context(), recheckTimeout)
	defer cancel()
	_, err := s.cfg.Keyring.Authenticate(ctx, bearer(c))
	return !errors.Is(err, access.ErrUnknown) && !errors.Is(err, access.ErrExpired)
}
