package gateway

import (
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// bodies holds request bodies while they are forwarded.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// largestPooled bounds the buffers that wait for reuse.
const largestPooled = 256 << 10

// route serves the functional modules.
func (g *Gateway) route(c *gin.Context) {
	now := time.Now()
	ids := newEnvelope(c.Request)
	where, err := readPlace(c.Request)
	if err != nil {
		g.fail(c, ids, err)
		return
	}
	caller, err := g.authenticate(c, g.cfg.Directory.Snapshot(), now)
	if err == nil && !caller.MayRoute() {
		err = unauthorized("this credentials token opens versions and credentials only, until the registration is complete")
	}
	if err != nil {
		g.fail(c, ids, err)
		return
	}
	buf := bodies.Get().(*[]byte)
	req := ocpi.Request{
		Method: c.Request.Method, Version: where.version, Module: where.module, Interface: where.side,
		Path: where.path, Query: where.query, RequestID: ids.requestID, CorrelationID: ids.correlationID,
	}
	reply := g.carry(c, caller, &req, where.malformed, buf, now)
	writeReply(c, ids, &reply)
	reply.Release()
	if cap(*buf) <= largestPooled {
		bodies.Put(buf)
	}
}

// carry completes the request from headers and body, and routes it.
func (g *Gateway) carry(c *gin.Context, caller parties.Caller, req *ocpi.Request, malformed error, buf *[]byte, now time.Time) routing.Reply {
	if req.Version == "" {
		req.Version = caller.Platform.Version
	}
	err := malformed
	if err == nil {
		err = readAddresses(c.Request, req)
	}
	if err == nil {
		var body []byte
		if body, err = readBody(c.Request, *buf, g.cfg.MaxBody); err == nil {
			*buf, req.Body = body, body
			err = checkBody(req)
		}
	}
	if err != nil {
		refusal, _ := refusalOf(err, true)
		return g.cfg.Router.Refuse(req, refusal, now)
	}
	return g.cfg.Router.Route(c.Request.Context(), caller.Entry, req, now)
}

// writeReply writes a routed answer, past the header map that gin and net/http
// would want it in. Names keep the specification's spelling.
func writeReply(c *gin.Context, ids envelope, reply *routing.Reply) {
	c.Status(reply.HTTP) // for whoever asks gin later
	x := underneath(c)
	x.begun(reply.HTTP)
	header := &x.c.Response.Header
	header.SetContentType("application/json")
	for _, h := range [...]ocpi.Header{
		{Name: ocpi.HeaderRequestID, Value: ids.requestID}, {Name: ocpi.HeaderCorrelationID, Value: ids.correlationID},
		{Name: ocpi.HeaderFromCountryCode, Value: reply.From.CountryCode}, {Name: ocpi.HeaderFromPartyID, Value: reply.From.PartyID},
		{Name: ocpi.HeaderToCountryCode, Value: reply.To.CountryCode}, {Name: ocpi.HeaderToPartyID, Value: reply.To.PartyID},
	} {
		if h.Value != "" {
			header.Add(h.Name, h.Value)
		}
	}
	for _, h := range reply.Headers {
		header.Add(h.Name, h.Value)
	}
	x.c.Response.SetBody(reply.Body) // a requester that went away is seen by its context
}
