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
var bodies = sync.Pool{New: func() any { return &requestBody{buf: make([]byte, 0, 4<<10)} }}

// requestBody is the buffer of a body, and what it takes of the bound.
type requestBody struct {
	buf []byte
	lease
	// done tells that nobody reads the buffer any more, which after a panic is not
	// known.
	done bool
}

// finish gives the body back.
func (b *requestBody) finish() {
	b.end()
	if b.done && cap(b.buf) <= freeBody {
		bodies.Put(b)
	}
}

// route serves the functional modules.
func (g *Gateway) route(c *gin.Context) {
	now := arrived(c)
	ids := newEnvelope(c.Request)
	where, err := readPlace(c.Request)
	if err != nil {
		g.fail(c, ids, err)
		return
	}
	g.carry(c, ids, now, &ocpi.Request{
		Version: where.version, Module: where.module, Interface: where.side, Path: where.path, Query: where.query,
	}, func(caller parties.Caller, req *ocpi.Request, body *requestBody) routing.Reply {
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
	now := arrived(c)
	ids := newEnvelope(c.Request)
	v, err := version(c)
	if err != nil {
		g.fail(c, ids, err)
		return
	}
	g.carry(c, ids, now, &ocpi.Request{
		Version: v, Module: ocpi.ModuleCommands, Interface: ocpi.Sender,
	}, func(caller parties.Caller, req *ocpi.Request, body *requestBody) routing.Reply {
		if err := g.readRoutedBody(c, req, body); err != nil {
			return g.refuse(req, err, now)
		}
		return g.cfg.Router.Return(c.Request.Context(), caller.Entry, c.Param("id"), req, now)
	})
}

// carry authenticates the caller, completes the request, and writes what answer
// returns. The body's buffer is reused afterwards.
func (g *Gateway) carry(c *gin.Context, ids envelope, now time.Time, req *ocpi.Request,
	answer func(parties.Caller, *ocpi.Request, *requestBody) routing.Reply) {
	caller, allowance, err := g.admit(c, now)
	defer allowance.leave()
	if err == nil && !caller.MayRoute() {
		err = unauthorized("this credentials token opens versions and credentials only, until the registration is complete")
	}
	if err != nil {
		g.failFor(c, ids, caller, err, now)
		return
	}
	req.Method, req.RequestID, req.CorrelationID = c.Request.Method, ids.requestID, ids.correlationID
	body := bodies.Get().(*requestBody)
	body.lease, body.done = leaseOf(caller), false
	defer body.finish()
	reply := answer(caller, req, body)
	writeReply(c, ids, reply)
	body.done = true
}

// readRoutedBody reads the body into the buffer and holds that it is JSON.
func (g *Gateway) readRoutedBody(c *gin.Context, req *ocpi.Request, into *requestBody) error {
	body, err := readBody(c.Request, into.buf, g.cfg.MaxBody, &into.lease)
	if err != nil {
		return err
	}
	into.buf, req.Body = body, body
	return checkBody(req)
}

func (g *Gateway) refuse(req *ocpi.Request, err error, now time.Time) routing.Reply {
	refusal, _ := refusalOf(err, true)
	reply := g.cfg.Router.Refuse(req, refusal, now)
	if header, over := retryAfter(err); over {
		g.count(err)
		reply.Headers = append(reply.Headers, header)
	}
	return reply
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
