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
	g.carry(c, ids, now, &ocpi.Request{
		Version: where.version, Module: where.module, Interface: where.side, Path: where.path, Query: where.query,
	}, func(caller parties.Caller, req *ocpi.Request, body *[]byte) routing.Reply {
		if req.Version == "" {
			req.Version = caller.Platform.Version
		}
		err := where.malformed
		if err == nil {
			err = readAddresses(c.Request, req)
		}
		if err == nil {
			if refusal := routing.TakeCarried(req); refusal != nil {
				err = refusal
			}
		}
		if err == nil {
			err = g.readRoutedBody(c, req, body)
		}
		if err != nil {
			return g.refuse(req, err, now)
		}
		return g.cfg.Router.Route(c.Request.Context(), caller.Entry, req, now)
	})
}

// callback serves the short URLs that the hub gave out for a response_url
// (contract.md). Their routing headers, which many peers leave out here, say
// nothing that the hub does not know.
func (g *Gateway) callback(c *gin.Context) {
	now := time.Now()
	ids := newEnvelope(c.Request)
	v, err := version(c)
	if err != nil {
		g.fail(c, ids, err)
		return
	}
	g.carry(c, ids, now, &ocpi.Request{
		Version: v, Module: ocpi.ModuleCommands, Interface: ocpi.Sender,
	}, func(caller parties.Caller, req *ocpi.Request, body *[]byte) routing.Reply {
		if err := g.readRoutedBody(c, req, body); err != nil {
			return g.refuse(req, err, now)
		}
		return g.cfg.Router.Return(c.Request.Context(), caller.Entry, c.Param("id"), req, now)
	})
}

// carry authenticates the caller, completes the request, and writes what answer
// returns. The body's buffer is reused afterwards.
func (g *Gateway) carry(c *gin.Context, ids envelope, now time.Time, req *ocpi.Request,
	answer func(parties.Caller, *ocpi.Request, *[]byte) routing.Reply) {
	caller, err := g.authenticate(c, g.cfg.Directory.Snapshot(), now)
	if err == nil && !caller.MayRoute() {
		err = unauthorized("this credentials token opens versions and credentials only, until the registration is complete")
	}
	if err != nil {
		g.fail(c, ids, err)
		return
	}
	req.Method, req.RequestID, req.CorrelationID = c.Request.Method, ids.requestID, ids.correlationID
	body := bodies.Get().(*[]byte)
	reply := answer(caller, req, body)
	writeReply(c, ids, reply)
	if cap(*body) <= largestPooled {
		bodies.Put(body)
	}
}

// readRoutedBody reads the body into the buffer and holds that it is JSON.
func (g *Gateway) readRoutedBody(c *gin.Context, req *ocpi.Request, buf *[]byte) error {
	body, err := readBody(c.Request, *buf, g.cfg.MaxBody)
	if err != nil {
		return err
	}
	*buf, req.Body = body, body
	return checkBody(req)
}

func (g *Gateway) refuse(req *ocpi.Request, err error, now time.Time) routing.Reply {
	refusal, _ := refusalOf(err, true)
	return g.cfg.Router.Refuse(req, refusal, now)
}

// writeReply writes a routed answer, past the header map that gin and net/http
// would want it in, and releases it. Names keep the specification's spelling.
func writeReply(c *gin.Context, ids envelope, reply routing.Reply) {
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
	// A requester that went away is seen by its context.
	if length := reply.Len(); length > largestCopied {
		x.c.Response.SetBodyStream(&bigBody{reply: reply, conn: x.c.Conn()}, length)
		return
	}
	x.c.Response.SetBody(reply.Body)
	for _, piece := range reply.Rest {
		x.c.Response.AppendBody(piece)
	}
	reply.Release()
}
