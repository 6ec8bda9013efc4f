package web

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"busbar/journal"
	"busbar/ocpi"
)

// TokenNames are the pseudonyms of drivers' tokens, in which the journal speaks of
// them.
type TokenNames interface {
	// Token is the pseudonym that is written.
	Token(uid string) string
	// Tokens are all that may have been written: secrets are rotated.
	Tokens(uid string) []string
}

const (
	// eraseFor bounds an erasure: it looks at every segment of the journal.
	eraseFor = 10 * time.Minute
	// othersLag is how long other replicas may have records in memory only, when
	// they can reach the database.
	othersLag = 3 * time.Second
	// longestUID bounds a uid, in bytes: OCPI's have at most 36 characters, and the
	// hub learns of longer ones than that.
	longestUID = 200
)

type eraseInput struct {
	TokenUID string `json:"token_uid"`
	Owner    string `json:"owner"`
}

// check reads the input; faults are by field.
func (in eraseInput) check() (uid string, owner ocpi.PartyKey, faults fields) {
	faults = fields{}
	uid = strings.TrimSpace(in.TokenUID)
	if fault := uidFault(uid); fault != "" {
		faults["token_uid"] = fault
	}
	if in.Owner != "" {
		var err error
		if owner, err = ocpi.ParseParty(in.Owner); err != nil {
			faults["owner"] = err.Error()
		}
	}
	return uid, owner, faults
}

// uidFault is the rule that a token's uid breaks. It does not quote it.
func uidFault(uid string) string {
	switch {
	case uid == "":
		return "must be the uid of a token"
	case len(uid) > longestUID:
		return "must have at most 200 bytes"
	case !utf8.ValidString(uid) || strings.ContainsFunc(uid, unicode.IsControl):
		return "must have no control characters"
	}
	return ""
}

// eraseToken erases what the hub knows of a driver's token. It may be repeated.
func (s *Server) eraseToken(c *gin.Context) {
	var in eraseInput
	if !decode(c, &in) {
		return
	}
	uid, owner, faults := in.check()
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the call breaks a rule", faults)
		return
	}
	noteTarget(c, s.cfg.Names.Token(uid)) // the trail must not keep what is erased
	// ReadTimeout is for requests; this one was read, and takes its time.
	_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(c.Request.Context(), eraseFor)
	defer cancel()
	lessons, err := s.cfg.Index.Erase(ctx, uid, owner)
	erasure := journal.Erasure{Tokens: s.cfg.Names.Tokens(uid), Owner: owner}
	if !s.cfg.Alone {
		erasure.Wait = othersLag
	}
	var messages int
	if err == nil {
		messages, err = s.cfg.Journal.Erase(ctx, erasure)
	}
	if err != nil {
		s.cfg.Logger.Error("erase a token", "token", s.cfg.Names.Token(uid), "error", err)
		fail(c, http.StatusServiceUnavailable, "not everything was erased, for the database failed: call again", nil)
		return
	}
	noteChange(c, "lessons", strconv.Itoa(lessons), "0")
	noteChange(c, "messages", strconv.Itoa(messages), "0")
	c.JSON(http.StatusOK, gin.H{"pseudonym": s.cfg.Names.Token(uid), "lessons": lessons, "messages": messages})
}
