package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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
}

// Config wires a Server; every field is needed.
type Config struct {
	Directory *parties.Directory
	Registrar *parties.Registrar
	Router    *routing.Router
	Catalog   *catalog.Catalog
	Journal   *journal.Recorder
	Fanout    *routing.Fanout
	Metrics   prometheus.Gatherer
	Logger    *slog.Logger
	// AdminToken is the SHA-256 of the bearer token.
	AdminToken [sha256.Size]byte
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
	s := &Server{cfg: cfg, engine: engine, explainer: cfg.Router.Explain, streamsEnd: make(chan struct{})}
	s.endStreams = sync.OnceFunc(func() { close(s.streamsEnd) })
	engine.Use(s.recoverPanic)
	engine.GET("/healthz", s.healthz)
	engine.GET("/readyz", s.readyz)
	engine.GET("/readyz/routing", s.readyzRouting)
	engine.GET("/metrics", gin.WrapH(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{})))
	engine.NoRoute(s.authenticateAPI, func(c *gin.Context) { fail(c, http.StatusNotFound, "no such URL", nil) })
	engine.NoMethod(s.authenticateAPI, func(c *gin.Context) {
		fail(c, http.StatusMethodNotAllowed, "this URL does not know the method", nil)
	})

	api := engine.Group("/api/v1", s.authenticate)
	api.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPI) })
	api.POST("/platforms", s.createPlatform)
	api.GET("/platforms", s.listPlatforms)
	api.GET("/platforms/:id", s.showPlatform)
	api.PATCH("/platforms/:id", s.patchPlatform)
	api.DELETE("/platforms/:id", s.deletePlatform)
	api.POST("/platforms/:id/token", s.issueToken)
	api.POST("/platforms/:id/connect", s.connectPlatform)
	api.POST("/platforms/:id/rotate", s.change(cfg.Registrar.Rotate))
	api.POST("/platforms/:id/suspend", s.change(cfg.Registrar.Suspend))
	api.POST("/platforms/:id/resume", s.change(cfg.Registrar.Resume))
	api.GET("/messages", s.listMessages)
	api.GET("/messages/stream", s.streamMessages)
	api.GET("/messages/:correlation_id", s.showMessage)
	api.POST("/explain", s.explain)
	api.GET("/agreements", s.listAgreements)
	api.PUT("/agreements", s.putAgreement)
	api.DELETE("/agreements", s.deleteAgreement)
	api.GET("/catalog/locations", s.showCatalog)
	api.GET("/overview", s.overview)
	return s
}

// Handler is the listener's handler.
func (s *Server) Handler() http.Handler { return s.engine }

// authenticate lets the holder of the admin token pass. Hashes are compared, so
// the time says nothing about the token.
func (s *Server) authenticate(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], s.cfg.AdminToken[:]) != 1 {
		c.Header("WWW-Authenticate", "Bearer")
		fail(c, http.StatusUnauthorized, "header Authorization: Bearer with the admin token is needed", nil)
		return
	}
	c.Header("Cache-Control", "no-store")
	c.Next()
}

// authenticateAPI lets nobody without the token learn which URLs there are.
func (s *Server) authenticateAPI(c *gin.Context) {
	if path := c.Request.URL.Path; path == "/api" || strings.HasPrefix(path, "/api/") {
		s.authenticate(c)
	}
}

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

// readyzRouting tells that this replica can carry messages. Directly routed ones
// need no store: a load balancer that asks here does not lose all replicas at
// once with Redis or Postgres. What is missing is listed.
func (s *Server) readyzRouting(c *gin.Context) {
	if err := s.cfg.Routes(); err != nil {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "not ready", "error": err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	degraded := []string{}
	if err := s.cfg.Ready(ctx); err != nil {
		degraded = strings.Split(err.Error(), "\n")
	}
	c.JSON(http.StatusOK, gin.H{"status": "ready", "degraded": degraded})
}

func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Logger.Error("panic in an admin request", "panic", v, "path", c.Request.URL.Path)
			fail(c, http.StatusInternalServerError, "internal error", nil)
		}
	}()
	c.Next()
}
