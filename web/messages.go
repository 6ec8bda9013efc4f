package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/journal"
	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// messageJSON is a message as the admin API shows it.
type messageJSON struct {
	Time          string             `json:"time"`
	CorrelationID string             `json:"correlation_id"`
	RequestID     string             `json:"request_id"`
	Method        string             `json:"method"`
	Module        ocpi.ModuleID      `json:"module"`
	Interface     ocpi.InterfaceRole `json:"interface"`
	Path          string             `json:"path"`
	// From and To are empty when the message did not tell.
	From    ocpi.PartyKey    `json:"from"`
	To      ocpi.PartyKey    `json:"to"`
	Plan    routing.PlanKind `json:"plan"`
	Outcome routing.Outcome  `json:"outcome"`
	// HTTPStatus and OCPIStatus are 0 when the requester went away before the
	// answer.
	HTTPStatus int             `json:"http_status"`
	OCPIStatus ocpi.StatusCode `json:"ocpi_status"`
	// DurationMS is the whole time in the hub, PeerMS the part spent waiting for
	// the receiver.
	DurationMS float64   `json:"duration_ms"`
	PeerMS     float64   `json:"peer_ms"`
	Detail     string    `json:"detail,omitempty"`
	Legs       *legsJSON `json:"legs,omitempty"`
}

// legsJSON is how a broadcast ended. It is there once all its legs have.
type legsJSON struct {
	Total      int `json:"total"`
	OK         int `json:"ok"`
	Superseded int `json:"superseded"`
	// Method is what they were sent by, where the journal knows it.
	Method     string  `json:"method,omitempty"`
	DurationMS float64 `json:"duration_ms"`
	// Failures counts what Failed lists, which is left out of lists.
	Failures int       `json:"failures"`
	Failed   []legJSON `json:"failed,omitempty"`
}

type legJSON struct {
	To         ocpi.PartyKey      `json:"to"`
	Platform   parties.PlatformID `json:"platform"`
	RequestID  string             `json:"request_id"`
	Outcome    routing.Outcome    `json:"outcome"`
	HTTPStatus int                `json:"http_status"`
	OCPIStatus ocpi.StatusCode    `json:"ocpi_status"`
	DurationMS float64            `json:"duration_ms"`
	Detail     string             `json:"detail,omitempty"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func showMessage(m *routing.Message) messageJSON {
	return messageJSON{
		Time: ocpi.FormatTime(m.Time), CorrelationID: m.CorrelationID, RequestID: m.RequestID, Method: m.Method,
		Module: m.Module, Interface: m.Interface, Path: m.Path, From: m.From, To: m.To, Plan: m.Plan, Outcome: m.Outcome,
		HTTPStatus: m.HTTPStatus, OCPIStatus: m.OCPIStatus, Detail: m.Detail,
		DurationMS: milliseconds(m.Duration), PeerMS: milliseconds(m.Peer),
	}
}

// showItem is a message with its legs; whole lists those that failed.
func showItem(item journal.Item, whole bool) messageJSON {
	out := showMessage(&item.Message)
	if item.Legs != nil {
		out.Legs = showLegs(item.Legs, whole)
	}
	return out
}

func showLegs(l *routing.Legs, whole bool) *legsJSON {
	out := &legsJSON{
		Method: l.Method, Total: l.Total, OK: l.OK, Superseded: l.Superseded, Failures: len(l.Failed), DurationMS: milliseconds(l.Duration),
	}
	if !whole {
		return out
	}
	for _, f := range l.Failed {
		out.Failed = append(out.Failed, legJSON{
			To: f.To, Platform: f.Platform, RequestID: f.RequestID, Outcome: f.Outcome, HTTPStatus: f.HTTPStatus,
			OCPIStatus: f.OCPIStatus, DurationMS: milliseconds(f.Duration), Detail: f.Detail,
		})
	}
	return out
}

// parameters reads a query string and collects what is wrong with it.
type parameters struct {
	c      *gin.Context
	faults fields
	names  TokenNames
}

func (p parameters) party(name string) ocpi.PartyKey {
	v := p.c.Query(name)
	if v == "" {
		return ocpi.PartyKey{}
	}
	key, err := ocpi.ParseParty(v)
	if err != nil {
		p.faults[name] = err.Error()
	}
	return key
}

func (p parameters) time(name string) time.Time {
	v := p.c.Query(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		p.faults[name] = "must be a date and time like 2026-01-31T12:00:00Z"
	}
	return t
}

func (p parameters) number(name string, otherwise, least, most int) int {
	v := p.c.Query(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		p.faults[name] = "must be " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
	}
	return n
}

var outcomes = []routing.Outcome{
	routing.OutcomeOK, routing.OutcomeClientError, routing.OutcomeServerError, routing.OutcomeRefused,
	routing.OutcomeUnknown, routing.OutcomeTimeout, routing.OutcomeUnreachable, routing.OutcomeBadAnswer,
	routing.OutcomeCancelled, routing.OutcomeOffline, routing.OutcomeOverflow, routing.OutcomeSuperseded,
}

func (p parameters) filter() journal.Filter {
	f := journal.Filter{
		From: p.party("from"), To: p.party("to"), CorrelationID: p.c.Query("correlation_id"), Status: p.c.Query("status"),
	}
	if v := p.c.Query("module"); v != "" {
		module, err := ocpi.ParseModuleID(v)
		if err != nil {
			p.faults["module"] = err.Error()
		}
		f.Module = module
	}
	if uid := strings.TrimSpace(p.c.Query("token_uid")); p.c.Request.URL.Query().Has("token_uid") {
		if fault := uidFault(uid); fault != "" {
			p.faults["token_uid"] = fault
		}
		f.Tokens = p.names.Tokens(uid)
	}
	if f.Status != "" && !slices.Contains(outcomes, routing.Outcome(f.Status)) {
		if n, err := strconv.Atoi(f.Status); err != nil || n < 0 || n > 9999 {
			p.faults["status"] = "must be an HTTP status, an OCPI status code, or an outcome like timeout"
		}
	}
	return f
}

// failed answers 422 if a parameter is wrong.
func (p parameters) failed() bool {
	if len(p.faults) > 0 {
		fail(p.c, http.StatusUnprocessableEntity, "a parameter breaks a rule", p.faults)
	}
	return len(p.faults) > 0
}

// listMessages searches the journal, the newest first.
func (s *Server) listMessages(c *gin.Context) {
	p := parameters{c, fields{}, s.cfg.Names}
	q := journal.Query{
		Filter: p.filter(), Since: p.time("since"), Until: p.time("until"),
		Limit: p.number("limit", 100, 1, 1000), Cursor: c.Query("cursor"),
	}
	if p.failed() {
		return
	}
	page, err := s.cfg.Journal.Search(c.Request.Context(), q)
	if errors.Is(err, journal.ErrCursor) {
		p.faults["cursor"] = err.Error()
		p.failed()
		return
	}
	if err != nil {
		s.failWith(c, err)
		return
	}
	items := make([]messageJSON, len(page.Items))
	for i, item := range page.Items {
		items[i] = showItem(item, false)
	}
	c.JSON(http.StatusOK, gin.H{"items": items, "next": page.Next})
}

// showMessage shows the first message with a correlation id, its legs, and the
// others with the same id: what came back, for example.
func (s *Server) showMessage(c *gin.Context) {
	p := parameters{c, fields{}, s.cfg.Names}
	since, until := p.time("since"), p.time("until")
	if p.failed() {
		return
	}
	items, err := s.cfg.Journal.Message(c.Request.Context(), c.Param("correlation_id"), since, until)
	if err != nil {
		s.failWith(c, err)
		return
	}
	if len(items) == 0 {
		fail(c, http.StatusNotFound, "no message with this correlation id", nil)
		return
	}
	out := struct {
		messageJSON
		Related []messageJSON `json:"related"`
	}{showItem(items[0], true), []messageJSON{}}
	for _, item := range items[1:] {
		out.Related = append(out.Related, showItem(item, true))
	}
	c.JSON(http.StatusOK, out)
}
