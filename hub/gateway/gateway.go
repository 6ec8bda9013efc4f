package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"busbar/access"
	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// Gateway serves the OCPI listener.
type Gateway struct {
	cfg     Config
	engine  *gin.Engine
	limits  *limits
	brake   *brake
	metrics *metrics
}

// Config wires a Gateway; every field is needed.
type Config struct {
	Directory *parties.Directory
	Registrar *parties.Registrar
	Router    *routing.Router
	Logger    *slog.Logger
	// Trail takes note of what platforms change themselves.
	Trail *access.Trail
	// MaxBody is the largest request body, in bytes; a larger one gets 413.
	MaxBody int64
	// MaxConnections is how many connections are open at once.
	MaxConnections int
	// Limits bound what one platform takes. Shares may be nil.
	Limits Limits
	Shares Shares
	// TrustedProxies may say in X-Forwarded-For who calls; nil trusts none.
	TrustedProxies []netip.Prefix
	Metrics        prometheus.Registerer
	// CatchUp takes in what other replicas have changed in the directory.
	CatchUp func(context.Context)
	// TokenName is the pseudonym of a driver's token, for the log.
	TokenName func(uid string) string
	// Heard is told that a platform called which is not CONNECTED.
	Heard func(parties.PlatformID)
}

// New makes a Gateway.
func New(cfg Config) *Gateway {
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.UseRawPath = true
	engine.UnescapePathValues = false
	g := &Gateway{
		cfg: cfg, engine: engine, metrics: newMetrics(cfg.Metrics),
		limits: newLimits(cfg.Limits, cfg.Directory, cfg.Shares), brake: newBrake(brakeAddresses),
	}
	engine.Use(g.recoverPanic)
	g.routes()
	return g
}

// routes is the whole surface of the listener (contract.md, OCPI listener). A
// trailing slash on a configuration URL is a habit of some peers.
func (g *Gateway) routes() {
	e := g.engine
	for _, slash := range [...]string{"", "/"} {
		e.GET("/ocpi/versions"+slash, g.configuration(g.versions))
		e.GET("/ocpi/:version"+slash, g.configuration(g.details))
		for method, handle := range map[string]configurationHandler{
			http.MethodGet:    g.getCredentials,
			http.MethodPost:   g.audited("platform.register", g.exchangeCredentials(g.cfg.Registrar.Register)),
			http.MethodPut:    g.audited("platform.renew", g.exchangeCredentials(g.cfg.Registrar.Renew)),
			http.MethodDelete: g.audited("platform.leave", g.deleteCredentials),
		} {
			e.Handle(method, "/ocpi/:version/credentials"+slash, g.configuration(handle))
		}
		for _, method := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			e.Handle(method, "/ocpi/:version/hubclientinfo"+slash, g.configuration(g.clientInfo))
		}
		e.POST("/ocpi/:version/callback/:id"+slash, g.callback)
	}
	for _, method := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		for _, side := range [...]string{"sender", "receiver"} {
			e.Handle(method, "/ocpi/:version/"+side+"/*rest", g.route)
			// Peers that ignore the endpoints they were given derive this from
			// the versions URL.
			e.Handle(method, "/ocpi/"+side+"/*rest", g.route)
		}
	}
	e.NoRoute(g.configurationError(ocpi.HTTPErrorf(http.StatusNotFound, ocpi.ClientError, "no such URL on this hub")))
	e.NoMethod(g.configurationError(ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.ClientError, "this URL does not know the method")))
}

// Run lets the replicas share what platforms take of each, until ctx ends.
func (g *Gateway) Run(ctx context.Context) { g.limits.run(ctx) }

// admit finds the caller and takes its request into the platform's allowance,
// which the request leaves when it ends; before it, nothing of the body is read.
func (g *Gateway) admit(c *gin.Context, now time.Time) (parties.Caller, *allowance, error) {
	caller, err := g.authenticate(c, g.cfg.Directory.Snapshot(), now)
	if err != nil {
		return caller, nil, err
	}
	a, err := g.limits.enter(caller.Platform.ID, now)
	return caller, a, err
}

// identify finds the platform of the Authorization header. Whoever calls without
// a valid token too often from one address is sent away before the hub looks
// any further.
//
// The look-up is by the SHA-256 of the token, in a map: how long it takes depends
// on the hash, of which a caller cannot choose the next byte, and so says
// nothing about how much of a token was right.
func (g *Gateway) identify(c *gin.Context, snapshot *parties.Snapshot, now time.Time) (parties.Caller, error) {
	headers := c.Request.Header["Authorization"]
	if len(headers) != 1 || headers[0] == "" {
		return parties.Caller{}, g.refuseStranger(c, now, "header Authorization is missing or stands twice")
	}
	caller, ok := snapshot.Authenticate(headers[0], now)
	if !ok {
		refusal := g.refuseStranger(c, now, "the credentials token is not known to this hub")
		if _, over := retryAfter(refusal); over {
			return caller, refusal
		}
		// Another replica may have issued the token a moment ago.
		g.cfg.CatchUp(c.Request.Context())
		if caller, ok = g.cfg.Directory.Snapshot().Authenticate(headers[0], now); !ok {
			return caller, refusal
		}
	}
	if !showsCertificate(underneath(c).c, caller.Platform.ClientCertificate) {
		return parties.Caller{}, g.refuseStranger(c, now, "this platform has to present the client certificate that is bound to it")
	}
	return caller, nil
}

// refuseStranger is 401, or 429 for who was refused too often.
func (g *Gateway) refuseStranger(c *gin.Context, now time.Time, why string) error {
	from := clientAddr(underneath(c).c.RemoteAddr(), c.Request.Header["X-Forwarded-For"], g.cfg.TrustedProxies)
	return g.stranger(from, now, why)
}

func (g *Gateway) stranger(from netip.Addr, now time.Time, why string) error {
	wait, first := g.brake.fail(from, now)
	if wait == 0 {
		return unauthorized(why)
	}
	if first {
		g.cfg.Logger.Warn("too many requests without a valid token; those from this address are refused for a while, and not logged",
			"address", neighbourhood(from).String())
	}
	return braked(wait)
}

// authenticate finds the caller, notes that it was heard, and ends the tokens
// that the one presented has replaced.
func (g *Gateway) authenticate(c *gin.Context, snapshot *parties.Snapshot, now time.Time) (parties.Caller, error) {
	caller, err := g.identify(c, snapshot, now)
	if err != nil {
		return caller, err
	}
	caller.Seen(now)
	if !caller.Reachable() {
		g.cfg.Heard(caller.Platform.ID) // O3: any request makes it CONNECTED again
	}
	if caller.SupersedesAnother() {
		// Once per renewal. Before the answer, so that the old token is dead
		// when the platform has proof that the new one works.
		if err := g.cfg.Registrar.TokenUsed(c.Request.Context(), caller); err != nil {
			g.cfg.Logger.Warn("end a replaced token", "platform", caller.Platform.ID, "error", err)
		}
	}
	return caller, nil
}

func (g *Gateway) recoverPanic(c *gin.Context) {
	defer func() {
		if v := recover(); v != nil {
			g.cfg.Logger.Error("panic in a request", "panic", v, "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				g.fail(c, newEnvelope(c.Request), errInternal)
			}
			c.Abort()
		}
	}()
	c.Next()
}
