package web

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
)

// fields maps a field of the request to the rule that it breaks.
type fields map[string]string

// fail writes an error of the admin API (contract.md, Admin listener).
func fail(c *gin.Context, status int, message string, f fields) {
	body := gin.H{"error": message}
	if len(f) > 0 {
		body["fields"] = f
	}
	noteFailure(c, message, f)
	c.AbortWithStatusJSON(status, body)
}

// noteFailure keeps why a call failed, for the audit trail.
func noteFailure(c *gin.Context, message string, f fields) {
	for i, field := range slices.Sorted(maps.Keys(f)) {
		message += [2]string{": ", "; "}[min(i, 1)] + field + " " + f[field]
	}
	c.Set(failureKey, message)
}

// failWith turns an error of the registrar into an answer.
func (s *Server) failWith(c *gin.Context, err error) {
	var taken *parties.TakenError
	refusal, refused := ocpi.AsError(err)
	switch {
	case errors.Is(err, parties.ErrNotFound):
		fail(c, http.StatusNotFound, "no such platform", nil)
	case errors.As(err, &taken):
		fail(c, http.StatusConflict, taken.Error(), fields{"roles": taken.Error()})
	case errors.Is(err, parties.ErrHeld), errors.Is(err, parties.ErrNotRegistered),
		errors.Is(err, parties.ErrUnopened), errors.Is(err, parties.ErrStale):
		fail(c, http.StatusConflict, err.Error(), nil)
	case refused:
		// A handshake that the hub began and that the platform, or its data,
		// did not let end.
		noteFailure(c, refusal.Message, nil)
		c.AbortWithStatusJSON(http.StatusUnprocessableEntity, gin.H{"error": refusal.Message, "ocpi_status": refusal.Status})
	default:
		s.cfg.Logger.Error("admin request failed", "method", c.Request.Method, "path", c.Request.URL.Path, "error", err)
		fail(c, http.StatusInternalServerError, "internal error", nil)
	}
}
