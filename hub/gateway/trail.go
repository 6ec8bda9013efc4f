package gateway

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"busbar/access"
	"busbar/ocpi"
	"busbar/parties"
)

// audited takes note in the audit trail of what a platform changes by itself: that
// it is attempted, without which it is not done, and before the answer goes out,
// how it ended. What is refused before anything would be changed is in the log
// alone: a platform must not fill the trail by asking in vain.
func (g *Gateway) audited(action access.Action, handle configurationHandler) configurationHandler {
	return func(c *gin.Context, caller parties.Caller) (ocpi.Response, error) {
		entry, begun := newEntry(c, caller, action), false
		caller.Attempt = func(ctx context.Context) (err error) {
			entry, err = g.cfg.Trail.Begin(ctx, entry)
			begun = err == nil
			return err
		}
		response, err := handle(c, caller)
		if begun {
			g.conclude(c, caller, entry, response, err)
		}
		return response, err
	}
}

func newEntry(c *gin.Context, caller parties.Caller, action access.Action) access.Entry {
	id := string(caller.Platform.ID)
	entry := access.Entry{
		Actor:  access.Actor{Kind: access.KindPlatform, ID: id, Name: caller.Platform.Name},
		Action: action, Method: c.Request.Method, Route: c.FullPath(), Target: id,
		Forwarded: strings.Join(c.Request.Header["X-Forwarded-For"], ", "),
	}
	if tcp, ok := underneath(c).c.RemoteAddr().(*net.TCPAddr); ok {
		entry.Remote = tcp.AddrPort().Addr().Unmap().String()
	}
	return entry
}

// conclude records how a change ended, and what it changed.
func (g *Gateway) conclude(c *gin.Context, caller parties.Caller, entry access.Entry, response ocpi.Response, failure error) {
	if failure != nil {
		refusal, _ := refusalOf(failure, false)
		entry.Outcome, entry.Status, entry.Detail = access.Failed, ocpi.Refused(refusal).HTTP, refusal.Message
	} else {
		entry.Outcome, entry.Status = access.Done, response.HTTP
		entry.Changes = g.changes(c.Request.Method, caller)
	}
	if err := g.cfg.Trail.Record(c.Request.Context(), entry); err != nil {
		g.cfg.Logger.Error("the audit trail lacks how a change ended", "entry", entry.ID, "outcome", entry.Outcome, "error", err)
	}
}

// changes are what became of the caller, of whose tokens it is said only that they
// are others.
func (g *Gateway) changes(method string, caller parties.Caller) []access.Change {
	tokens := "made anew"
	if method == http.MethodDelete {
		tokens = "void"
	}
	all := []access.Change{{Field: "credentials", After: tokens}}
	now := g.cfg.Directory.Snapshot().Platform(caller.Platform.ID)
	if now == nil {
		return all // an operator deleted it meanwhile, which is an entry of its own
	}
	for _, d := range parties.Differences(&caller.Platform, &now.Platform) {
		all = append(all, access.Change(d))
	}
	return all
}
