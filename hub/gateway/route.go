package gateway

import (
	"net/http"
	"strconv"
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
	writeReply(c.Writer, ids, &reply)
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

// writeReply writes a routed answer. Header names keep the specification's
// spelling, so they are put into the map as they are.
func writeReply(w http.ResponseWriter, ids envelope, reply *routing.Reply) {
	values := [...]string{
		ids.requestID, ids.correlationID,
		reply.From.CountryCode, reply.From.PartyID, reply.To.CountryCode, reply.To.PartyID,
		"application/json", strconv.Itoa(len(reply.Body)),
	}
	header := w.Header()
	set := func(name string, i int) {
		if values[i] != "" {
			header[name] = values[i : i+1 : i+1]
		}
	}
	set(ocpi.HeaderRequestID, 0)
	set(ocpi.HeaderCorrelationID, 1)
	set(ocpi.HeaderFromCountryCode, 2)
	set(ocpi.HeaderFromPartyID, 3)
	set(ocpi.HeaderToCountryCode, 4)
	set(ocpi.HeaderToPartyID, 5)
	set("Content-Type", 6)
	set("Content-Length", 7)
	for _, h := range reply.Headers {
		header[h.Name] = []string{h.Value}
	}
	w.WriteHeader(reply.HTTP)
	_, _ = w.Write(reply.Body) // a requester that went away is seen by its context
}
