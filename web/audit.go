package web

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"busbar/access"
	"busbar/ocpi"
	"busbar/parties"
)

// entryKey and failureKey are where a request keeps its entry of the trail, and
// why it failed.
const (
	entryKey   = "entry"
	failureKey = "failure"
)

func (s *Server) newEntry(c *gin.Context, r route) access.Entry {
	return access.Entry{
		Actor: actorOf(c), Remote: c.RemoteIP(), Forwarded: strings.Join(c.Request.Header.Values("X-Forwarded-For"), ", "),
		Action: r.action, Method: r.method, Route: c.FullPath(), Target: c.Param("id"),
	}
}

// audited takes note of a change: that it is attempted, without which it is not
// begun, and before the answer goes out, how it ended.
func (s *Server) audited(r route) gin.HandlerFunc {
	return func(c *gin.Context) {
		entry, err := s.cfg.Trail.Begin(c.Request.Context(), s.newEntry(c, r))
		if err != nil {
			s.cfg.Logger.Error("change refused", "action", r.action, "actor", entry.Actor.Name, "error", err)
			fail(c, http.StatusServiceUnavailable, "the audit trail cannot be written now, so nothing was changed", nil)
			return
		}
		c.Set(entryKey, &entry)
		held := &heldWriter{ResponseWriter: c.Writer, status: http.StatusOK}
		c.Writer = held
		s.recoverPanic(c)
		entry.Status, entry.Outcome = held.status, access.Done
		if held.status/100 != 2 {
			entry.Outcome, entry.Detail = access.Failed, c.GetString(failureKey)
		}
		s.record(c, entry)
		c.Writer = held.ResponseWriter
		held.release()
	}
}

// lateHeader tells that the end of a change is not in the trail yet.
const lateHeader = "Busbar-Audit"

func (s *Server) record(c *gin.Context, entry access.Entry) {
	if err := s.cfg.Trail.Record(c.Request.Context(), entry); err != nil {
		c.Header(lateHeader, "late")
		s.cfg.Logger.Error("the audit trail lacks how a change ended", "entry", entry.ID, "outcome", entry.Outcome, "error", err)
	}
}

// noteTarget says what a call is about when its URL does not.
func noteTarget(c *gin.Context, id string) {
	if entry, ok := c.Get(entryKey); ok {
		entry.(*access.Entry).Target = id
	}
}

// noteChange says what a call changed; the values must be no secrets. What stays
// the same is not noted.
func noteChange(c *gin.Context, field, before, after string) {
	if entry, ok := c.Get(entryKey); ok && before != after {
		e := entry.(*access.Entry)
		e.Changes = append(e.Changes, access.Change{Field: field, Before: before, After: after})
	}
}

// notePlatform says what became of a platform; nil is none.
func notePlatform(c *gin.Context, before, after *parties.Platform) {
	for _, d := range parties.Differences(before, after) {
		noteChange(c, d.Field, d.Before, d.After)
	}
}

// heldWriter keeps the answer back until it is released.
type heldWriter struct {
	gin.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *heldWriter) WriteHeader(status int)            { w.status = status }
func (w *heldWriter) WriteHeaderNow()                   {}
func (w *heldWriter) Write(b []byte) (int, error)       { return w.body.Write(b) }
func (w *heldWriter) WriteString(s string) (int, error) { return w.body.WriteString(s) }
func (w *heldWriter) Status() int                       { return w.status }
func (w *heldWriter) Size() int                         { return w.body.Len() }
func (w *heldWriter) Written() bool                     { return w.body.Len() > 0 }
func (w *heldWriter) Flush()                            {}

func (w *heldWriter) release() {
	w.ResponseWriter.WriteHeader(w.status)
	if w.body.Len() > 0 {
		_, _ = w.ResponseWriter.Write(w.body.Bytes())
	}
}

// entryJSON is an entry of the audit trail.
type entryJSON struct {
	ID   string `json:"id"`
	Time string `json:"time"`
	// Actor is who did it.
	Actor  actorJSON     `json:"actor"`
	Remote string        `json:"remote"`
	Via    string        `json:"forwarded_for"`
	Action access.Action `json:"action"`
	Method string        `json:"method"`
	Route  string        `json:"route"`
	Target string        `json:"target"`
	// Outcome is attempted, done, failed or refused; Status the HTTP status, 0
	// while it is not known.
	Outcome access.Outcome  `json:"outcome"`
	Status  int             `json:"status"`
	Detail  string          `json:"detail,omitempty"`
	Changes []access.Change `json:"changes"`
}

type actorJSON struct {
	Kind access.Kind `json:"kind"`
	ID   string      `json:"id"`
	Name string      `json:"name"`
	Role access.Role `json:"role"`
}

func showEntry(e access.Entry) entryJSON {
	return entryJSON{
		ID: e.ID, Time: ocpi.FormatTime(e.Time), Actor: actorJSON{e.Actor.Kind, e.Actor.ID, e.Actor.Name, e.Actor.Role},
		Remote: e.Remote, Via: e.Forwarded, Action: e.Action, Method: e.Method, Route: e.Route, Target: e.Target,
		Outcome: e.Outcome, Status: e.Status, Detail: e.Detail, Changes: append([]access.Change{}, e.Changes...),
	}
}

// listAudit searches the audit trail, the newest first.
func (s *Server) listAudit(c *gin.Context) {
	p := parameters{c: c, faults: fields{}}
	q := access.Query{
		Actor: c.Query("actor"), Target: c.Query("target"), Action: access.Action(c.Query("action")),
		Since: p.time("since"), Until: p.time("until"), Limit: p.number("limit", 100, 1, 1000), Before: c.Query("cursor"),
	}
	if p.failed() {
		return
	}
	entries, next, err := s.cfg.Trail.Search(c.Request.Context(), q)
	if errors.Is(err, access.ErrCursor) {
		p.faults["cursor"] = err.Error()
		p.failed()
		return
	}
	if err != nil {
		s.failWith(c, err)
		return
	}
	items := make([]entryJSON, len(entries))
	for i, e := range entries {
		items[i] = showEntry(e)
	}
	c.JSON(http.StatusOK, gin.H{"items": items, "next": next})
}
