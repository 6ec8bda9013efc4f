package web

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"busbar/access"
	"busbar/catalog"
	"busbar/journal"
	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// Server serves the admin listener.
type Server struct {
	cfg    Config
	engine *gin.Engine
	// explainer is the router's Explain.
	explainer func(context.Context, *ocpi.Request) routing.Explanation
	// streamsEnd is closed by endStreams.
	streamsEnd chan struct{}
	endStreams func()
	brake      *brake
	// brakeLog keeps whoever guesses tokens from filling the log.
	brakeLog rate.Sometimes
	streams  streams
}

// Config wires a Server; every field is needed.
type Config struct {
	Directory *parties.Directory
	Registrar *parties.Registrar
	Router    *routing.Router
	Catalog   *catalog.Catalog
	Journal   *journal.Recorder
	Fanout    *routing.Fanout
	// Index and Journal are what an erasure erases from, Names what the journal
	// calls tokens by. Alone tells that there are no other replicas to wait for.
	Index   *routing.Index
	Names   TokenNames
	Alone   bool
	Metrics prometheus.Gatherer
	Logger  *slog.Logger
	// Keyring tells who calls the admin API, Trail takes note of what they change.
	Keyring *access.Keyring
	Trail   *access.Trail
	// Ready tells why the hub cannot serve; nil when it can.
	Ready func(context.Context) error
	// Routes tells why this replica cannot route, whatever the stores do; nil when
	// it can.
	Routes func() error
}

//go:embed openapi.yaml
var openAPI []byte

// New makes a Server.
func New(cfg Config) *Server {
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.UseRawPath = true
	s := &Server{
		cfg: cfg, engine: engine, explainer: cfg.Router.Explain, streamsEnd: make(chan struct{}),
		brake: newBrake(), brakeLog: rate.Sometimes{Interval: time.Minute},
	}
	s.endStreams = sync.OnceFunc(func() { close(s.streamsEnd) })
	engine.Use(s.recoverPanic, harden)
	engine.GET("/healthz", s.healthz)
	engine.GET("/readyz", s.readyz)
	engine.GET("/readyz/routing", s.readyzRouting)
	engine.GET("/metrics", gin.WrapH(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{})))
	engine.NoRoute(s.authenticateAPI, func(c *gin.Context) { fail(c, http.StatusNotFound, "no such URL", nil) })
	engine.NoMethod(s.authenticateAPI, func(c *gin.Context) {
		fail(c, http.StatusMethodNotAllowed, "this URL does not know the method", nil)
	})

	s.mount(engine.Group("/api/v1", s.authenticate))
	return s
}

// Handler is the listener's handler.
func (s *Server) Handler() http.Handler { return s.engine }

// healthz tells that the process serves.
func (s *Server) healthz(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) }

// readyTimeout bounds the look at the stores.
const readyTimeout = 2 * time.Second

// readyz tells that the stores can be reached and the directory is loaded.
func (s *Server) readyz(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not ready", "error": err.Error()})
		return
	}
	c.JSON(http.StatusOK, gin.H{"status": "ready"})
}

// degradedTimeout bounds the look at the stores for readyzRouting. Probes wait a
// second, and a store that swallows packets must not make them fail.
const degradedTimeout = 300 * time.Millisecond

// readyzRouting tells that this replica can carry messages. Directly routed ones
// need no store: a load balancer that asks here does not lose all replicas at
// once with Redis or Postgres. What is missing is listed.
func (s *Server) readyzRouting(c *gin.Context) {
	if err := s.cfg.Routes(); err != nil {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not ready", "error": err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), degradedTimeout)
	defer cancel()
	degraded := []string{}
	if err := s.cfg.Ready(ctx); err != nil {
		degraded = strings.Split(err.Error(), "\n")
	}
	c.JSON(http.StatusOK, gin.H{"status": "ready", "degraded": degraded})
}

// harden keeps a browser from making more of an answer than it is. A page that
// is served here one day says for itself what it may load.
func harden(c *gin.Context) {
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	c.Header("X-Frame-Options", "DENY")
	c.Header("Referrer-Policy", "no-referrer")
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
}

// recoverPanic makes an answer of a panic.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Logger.Error("panic in an admin request", "panic", v, "path", c.Request.URL.Path)
			fail(c, http.StatusInternalServerError, "internal error", nil)
		}
	}()
	c.Next()
}
