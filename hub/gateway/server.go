package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"busbar/ocpi"
)

// Server serves the gateway's gin engine on fasthttp's HTTP/1.1 server. Behind
// net/http's, half of a routed message's CPU went into reading the request and
// watching the connection (make bench: 3.3 times nginx; behind this one below
// 2.2). An exchange hands gin an ordinary http.Request; what net/http does
// besides, and a hub needs, is done here: a requester that goes away cancels
// the request's context, and a body is read only when a handler asks for it.
type Server struct {
	fast    *fasthttp.Server
	handler http.Handler
	bounds  bounds
	tls     *tls.Config
	conns   openConns
	// exchanges are those that may be used again.
	exchanges sync.Pool
	// draining lets each answer close its connection.
	draining atomic.Bool
	asleep   *asleep
	// base is the parent of every request's context; cancel ends it.
	base   context.Context
	cancel context.CancelFunc
}

// bounds are the limits of connections, against slow and hostile clients. Tests
// set their own.
type bounds struct {
	// read bounds the arrival of a request, and how long a connection may stay
	// idle: one value for both, so that conn seldom has to move it.
	read time.Duration
	// header bounds the arrival of a header, and that of a TLS handshake, from its
	// first bytes on.
	header time.Duration
	write  time.Duration
	// connections are how many may be open.
	connections int
}

func (g *Gateway) bounds() bounds {
	return bounds{read: 60 * time.Second, header: 10 * time.Second, write: 60 * time.Second, connections: g.cfg.MaxConnections}
}

const (
	// maxTarget bounds the URL of a request. OCPI's URLs have at most 255
	// characters, links to the next page some more.
	maxTarget = 8 << 10
	// maxHeader bounds request line and header.
	maxHeader = 16 << 10
	// prefetch is how long a body may be that fasthttp does not stream. Of any body
	// it reads no more than 8 KiB before the caller is authenticated.
	prefetch = 64 << 10
)

// NewServer makes the gateway's server. A nil TLS configuration serves plain
// HTTP.
func (g *Gateway) NewServer(t *tls.Config) *Server {
	s := newServer(g.engine, g.bounds(), t)
	s.fast.ExpectHandler, s.fast.Logger = g.expect, slogPrinter{g.cfg.Logger}
	s.conns.refused = g.metrics.refused[byConnections]
	return s
}

func newServer(handler http.Handler, b bounds, t *tls.Config) *Server {
	s := &Server{handler: handler, bounds: b, tls: t, conns: openConns{open: make(map[*conn]struct{}), bounds: b, never: time.Now().Add(never)}, asleep: newAsleep(),
		exchanges: sync.Pool{New: newExchange}}
	s.base, s.cancel = context.WithCancel(context.Background())
	s.fast = &fasthttp.Server{
		Handler: s.serve, ErrorHandler: s.refuse,
		ReadTimeout: b.read, WriteTimeout: b.write, IdleTimeout: b.read,
		HeaderReceived: func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: 2 * never} // see conn.SetReadDeadline
		},
		Concurrency:    2 * b.connections, // its own bound answers in the accepting goroutine: openConns' comes first
		ReadBufferSize: maxHeader, MaxRequestBodySize: prefetch, StreamRequestBody: true,
		NoDefaultServerHeader: true, NoDefaultContentType: true, CloseOnShutdown: true,
		DisablePreParseMultipartForm: true, SecureErrorLogMessage: true,
	}
	return s
}

// Serve accepts connections until Shutdown. It returns nil then.
func (s *Server) Serve(l net.Listener) error {
	l = listener{l, &s.conns}
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	go s.asleep.run(s.base) // until Shutdown
	return s.fast.Serve(l)
}

// Drain lets every answer say that its connection closes, so that whoever is there
// comes back by a new one, to another replica. Requests are taken as before.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown refuses new connections and waits until the requests in flight have
// been answered. When ctx ends before, those are cancelled.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancel()
	done := make(chan error, 1)
	go func() { done <- s.fast.ShutdownWithContext(ctx) }()
	tick := time.NewTicker(idleLook)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			s.conns.closeIdle()
		}
	}
}

// idleLook is how often a server that stops looks for connections that have
// become idle. The first look comes that late, too, for requests that are just
// arriving.
const idleLook = 100 * time.Millisecond

// refuse answers what is no HTTP request. There are no ids to return.
func (s *Server) refuse(c *fasthttp.RequestCtx, err error) {
	status, reason := http.StatusBadRequest, "this is not a valid HTTP/1.1 request"
	if errors.Is(err, errLongTarget) {
		status, reason = http.StatusRequestURITooLong, errLongTarget.Error()
	}
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		status, reason = http.StatusRequestHeaderFieldsTooLarge, "the request line and header have more bytes than this hub takes"
	case isTimeout(err):
		status, reason = http.StatusRequestTimeout, "the request did not arrive in time"
	}
	// The server sets none for this answer: there is that of the one before.
	_ = c.Conn().SetWriteDeadline(time.Now().Add(s.bounds.write)) // a broken connection shows in writing
	c.Response.Reset()
	c.SetStatusCode(status)
	c.SetContentType("application/json")
	c.SetBody(ocpi.Envelope(nil, ocpi.ClientError, reason))
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// slogPrinter takes fasthttp's own complaints, which are about connections.
type slogPrinter struct{ logger *slog.Logger }

// Printf implements fasthttp.Logger.
func (p slogPrinter) Printf(format string, args ...any) {
	p.logger.Debug("OCPI listener", "detail", lazyText{format, args})
}

// expect answers Expect: 100-continue: whoever asks first need not send a body
// that will be refused.
func (g *Gateway) expect(c *fasthttp.RequestCtx) int {
	now := time.Now()
	var err error
	header := string(c.Request.Header.Peek("Authorization"))
	if _, ok := g.cfg.Directory.Snapshot().Authenticate(header, now); !ok {
		var forwarded []string
		for _, line := range c.Request.Header.PeekAll("X-Forwarded-For") {
			forwarded = append(forwarded, string(line))
		}
		err = g.stranger(clientAddr(c.RemoteAddr(), forwarded, g.cfg.TrustedProxies), now,
			"the credentials token is missing or not known to this hub")
	} else if int64(c.Request.Header.ContentLength()) > g.cfg.MaxBody {
		err = tooLarge(g.cfg.MaxBody)
	}
	if err == nil {
		return http.StatusContinue
	}
	g.count(err)
	refusal, _ := refusalOf(err, false)
	if header, over := retryAfter(err); over {
		c.Response.Header.Set(header.Name, header.Value)
	}
	c.SetContentType("application/json")
	c.SetBody(ocpi.Refused(refusal).Body)
	return refusal.HTTP
}
