package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// Gateway serves the OCPI listener.
type Gateway struct {
	cfg    Config
	engine *gin.Engine
}

// Config wires a Gateway; every field is needed.
type Config struct {
	Directory *parties.Directory
	Registrar *parties.Registrar
	Router    *routing.Router
	Logger    *slog.Logger
	// MaxBody is the largest request body, in bytes; a larger one gets 413.
	MaxBody int64
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
	g := &Gateway{cfg: cfg, engine: engine}
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
			http.MethodGet: g.getCredentials, http.MethodPost: g.exchangeCredentials(g.cfg.Registrar.Register),
			http.MethodPut: g.exchangeCredentials(g.cfg.Registrar.Renew), http.MethodDelete: g.deleteCredentials,
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

// authenticate finds the caller, notes that it was heard, and ends the tokens
// that the one presented has replaced.
func (g *Gateway) authenticate(c *gin.Context, snapshot *parties.Snapshot, now time.Time) (parties.Caller, error) {
	headers := c.Request.Header["Authorization"]
	if len(headers) != 1 || headers[0] == "" {
		return parties.Caller{}, unauthorized("header Authorization is missing or stands twice")
	}
	caller, ok := snapshot.Authenticate(headers[0], now)
	if !ok {
		// Another replica may have issued the token a moment ago.
		g.cfg.CatchUp(c.Request.Context())
		caller, ok = g.cfg.Directory.Snapshot().Authenticate(headers[0], now)
	}
	if !ok {
		return caller, unauthorized("the credentials token is not known to this hub")
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
