package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/valyala/fasthttp"

	"busbar/ocpi"
)

// exchange is one request and its answer between fasthttp and gin. Exchanges
// are reused; nothing of one may be kept by a handler.
type exchange struct {
	c      *fasthttp.RequestCtx
	header http.Header
	values []string
	// fields are how many lines the header has.
	fields int
	body   body

	status  int
	answer  http.Header
	written bool

	watch watch
}

func newExchange() any {
	x := &exchange{header: make(http.Header, 8), answer: make(http.Header, 16), values: make([]string, 0, 16)}
	x.watch.timer = time.AfterFunc(time.Hour, x.watch.look)
	x.watch.timer.Stop()
	return x
}

// serve carries one request to gin and the answer back.
func (s *Server) serve(c *fasthttp.RequestCtx) {
	target := string(c.Request.Header.RequestURI())
	where, err := parseTarget(target)
	if err == nil {
		err = checkHeader(&c.Request.Header)
	}
	if err != nil {
		s.refuse(c, err)
		c.SetConnectionClose()
		if own := underlying(c.Conn()); own != nil {
			own.unread.Store(true)
		}
		return
	}
	if s.asleep.wasAt(c.Time().Sub(s.asleep.born)) && gone(c.Conn()) {
		s.refuse(c, errHungUp)
		c.SetConnectionClose()
		return
	}
	if own := underlying(c.Conn()); own != nil {
		own.state.Store(busy)
		defer own.ended()
	}
	x := s.exchanges.Get().(*exchange)
	x.begin(c)
	// The context is not reused: whoever keeps it must see this request's end.
	ctx := &requesterContext{}
	x.watch.begin(s.base, c.Conn(), ctx)
	request := new(http.Request).WithContext(ctx)
	request.Method, request.URL, request.RequestURI = method(c.Method()), where, target
	request.Proto, request.ProtoMajor, request.ProtoMinor = "HTTP/1.1", 1, 1
	request.Header, request.Body, request.ContentLength = x.header, &x.body, x.length()
	s.handler.ServeHTTP(x, request)
	x.watch.end()
	ctx.cancel()
	x.finish()
	if s.draining.Load() {
		c.SetConnectionClose()
	}
	s.exchanges.Put(x)
}

// parseTarget is url.ParseRequestURI, with a short cut for the many targets
// that hold nothing to decode or to refuse.
func parseTarget(target string) (*url.URL, error) {
	if len(target) > maxTarget {
		return nil, errLongTarget
	}
	if strings.Contains(target, "#") {
		return nil, errors.New("a fragment in the request target")
	}
	path, query, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "http://") && !strings.HasPrefix(path, "https://") {
		return nil, errTarget
	}
	simple := strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//")
	for i := 0; simple && i < len(target); i++ {
		c := target[i]
		simple = c > ' ' && c < 0x7f && (c != '%' || i > len(path))
	}
	if !simple {
		return url.ParseRequestURI(target)
	}
	return &url.URL{Path: path, RawQuery: query}, nil
}

// method returns the method without a copy for the ones that OCPI knows.
func method(m []byte) string {
	switch string(m) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	}
	return string(m)
}

// begin copies what the gateway reads of the header: its bytes belong to the
// connection.
func (x *exchange) begin(c *fasthttp.RequestCtx) {
	x.c, x.status, x.written = c, 0, false
	clear(x.header)
	clear(x.answer)
	x.values, x.fields = x.values[:0], 0
	for key, value := range c.Request.Header.All() {
		x.fields++
		name, read := names[string(key)]
		if !read {
			continue
		}
		if have := x.header[name]; have != nil {
			x.header[name] = append(have, string(value))
			continue
		}
		x.values = append(x.values, string(value))
		n := len(x.values)
		// Capped, so that a second value of the name goes elsewhere.
		x.header[name] = x.values[n-1 : n : n]
	}
	x.body = body{stream: c.RequestBodyStream()}
}

// names are the headers that a handler finds in its request: those that the
// gateway reads. What else a requester sends is not copied.
var names = func() map[string]string {
	m := make(map[string]string)
	for _, name := range []string{
		"Authorization", "Content-Encoding", "X-Forwarded-For", ocpi.HeaderRequestID, ocpi.HeaderCorrelationID,
		ocpi.HeaderToPartyID, ocpi.HeaderToCountryCode, ocpi.HeaderFromPartyID, ocpi.HeaderFromCountryCode,
	} {
		name = textproto.CanonicalMIMEHeaderKey(name)
		m[name] = name
	}
	return m
}()

// length is the Content-Length, -1 for a chunked body.
func (x *exchange) length() int64 {
	n := x.c.Request.Header.ContentLength()
	if n == -2 {
		return 0
	}
	return int64(n)
}

// Header, WriteHeader and Write implement http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.answer }

// begun tells whether the answer was begun already, and begins it.
func (x *exchange) begun(status int) bool {
	if x.written {
		return true
	}
	x.written = true
	x.c.SetStatusCode(status)
	x.c.Response.Header.DisableNormalizing() // the specification's spelling stays
	return false
}

// arrived is when the request was there, which the server has read already.
func arrived(c *gin.Context) time.Time { return underneath(c).c.Time() }

// underneath is the exchange that gin writes to.
func underneath(c *gin.Context) *exchange {
	return c.Writer.(interface{ Unwrap() http.ResponseWriter }).Unwrap().(*exchange)
}

func (x *exchange) WriteHeader(status int) {
	if x.begun(status) {
		return
	}
	header := &x.c.Response.Header
	for name, values := range x.answer {
		switch name {
		case "Content-Length": // of the body that is written
		case "Content-Type":
			header.SetContentType(values[0])
		default:
			for _, value := range values {
				header.Add(name, value)
			}
		}
	}
}

func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	x.c.Response.AppendBody(p)
	return len(p), nil
}

// readAhead is how much of a body fasthttp reads with the header.
const readAhead = 8 << 10

// finish sends an answer without a body if the handler wrote nothing, and ends
// the connection when the request's body was not read to its end: what is left
// of it is no next request. Nor is what stands behind a trailer section, of which
// another server may see the end elsewhere: fasthttp takes a bare LF there.
func (x *exchange) finish() {
	x.WriteHeader(http.StatusOK)
	length := x.c.Request.Header.ContentLength()
	if !x.body.ended && length > 0 && length <= readAhead {
		// All of it is here: whoever is refused often need not connect anew.
		_, _ = io.CopyN(io.Discard, &x.body, int64(length))
	}
	if !x.body.ended && length != 0 && length != -2 || length == -1 && x.hasTrailers() {
		x.c.SetConnectionClose()
		if own := underlying(x.c.Conn()); own != nil {
			own.unread.Store(true)
		}
	}
	x.c, x.body = nil, body{}
}

// hasTrailers tells whether fields came behind a chunked body. fasthttp adds them
// to the header; no handler gets them.
func (x *exchange) hasTrailers() bool {
	n := 0
	for range x.c.Request.Header.All() {
		n++
	}
	return n > x.fields
}

// body is the request's body, and whether it was read to its end.
type body struct {
	stream io.Reader
	ended  bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.stream == nil {
		b.ended = true
		return 0, io.EOF
	}
	n, err := b.stream.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *body) Close() error { return nil }

// lazyText formats when it is really logged.
type lazyText struct {
	format string
	args   []any
}

func (t lazyText) String() string { return fmt.Sprintf(t.format, t.args...) }
