package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"busbar/access"
	"busbar/catalog"
	"busbar/hub/gateway"
	"busbar/journal"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage"
	"busbar/web"
)

// Hub is a running Busbar.
type Hub struct {
	cfg      Config
	logger   *slog.Logger
	log      *logWriter
	stores   *storage.Stores
	follower *parties.Follower
	monitor  *parties.Monitor
	catalog  *catalog.Catalog
	index    *routing.Index
	fanout   *routing.Fanout
	outbox   *routing.Outbox
	puller   *routing.Puller
	router   *routing.Router
	recorder *journal.Recorder
	keyring  *access.Keyring
	trail    *access.Trail

	gateway                     *gateway.Gateway
	ocpi                        *gateway.Server
	admin                       *http.Server
	ocpiListener, adminListener net.Listener
	// freshAdminToken is the generated admin token, on the first start only.
	freshAdminToken string

	stopping atomic.Bool
	// cancel ends the background work.
	cancel  context.CancelFunc
	running sync.WaitGroup
	// endBroadcasts lets the log hand out what it still has; handedOut is closed
	// when the fan-out has ended every broadcast.
	endBroadcasts context.CancelFunc
	handedOut     chan struct{}
	// endCatalog ends the catalog: it follows the record until the last broadcast
	// has been handed out, which may have to wait for it.
	endCatalog func()
	// endRecords writes what the journal, the keyring and the audit trail still
	// hold.
	endRecords func()
	failed     chan error
}

// StopTimeout bounds how long Stop waits for requests in flight and for the legs of
// broadcasts. settleTimeout is the part in which it waits for the broadcasts that
// this replica accepted, wherever they are delivered; the rest is for those that it
// delivers.
const (
	StopTimeout   = 30 * time.Second
	settleTimeout = 20 * time.Second
)

// New opens the stores, loads the directory and assembles the hub. Log records
// go to logs.
func New(ctx context.Context, cfg Config, logs io.Writer) (_ *Hub, err error) {
	gin.SetMode(gin.ReleaseMode)
	if cfg.BodyMemory == 0 {
		cfg.BodyMemory = max(512<<20, 4*cfg.MaxBody)
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 10_000
	}
	h := &Hub{cfg: cfg, log: newLogWriter(logs), failed: make(chan error, 2)}
	h.logger = newLogger(cfg, h.log)
	defer func() {
		if err != nil {
			h.close()
		}
	}()

	keys, err := secretKeys(cfg)
	if err != nil {
		return nil, err
	}
	database := cfg.Database
	if database == "" {
		database = "sqlite:" + filepath.Join(cfg.DataDir, "busbar.db")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	h.stores, err = storage.Open(ctx, storage.Config{
		Database: database, Redis: cfg.Redis, Namespace: cfg.Party.String(), Secrets: keys, Logger: h.logger,
		Metrics: registry,
	})
	if err != nil {
		return nil, err
	}

	identity := parties.Identity{Party: cfg.Party, Name: cfg.Name, PublicURL: cfg.PublicURL}
	memory := gateway.NewMemory(cfg.BodyMemory, registry)
	dialer := peer.NewDialer(peer.DialerConfig{AllowPrivate: cfg.AllowPrivatePeers, Memory: memory})
	directory := parties.NewDirectory(dialer)
	if cfg.ClosedAgreements {
		directory.RequireAgreements()
	}
	registrar := parties.NewRegistrar(parties.RegistrarConfig{
		Store: h.stores.Platforms, Cache: h.stores.Cache, Directory: directory,
		Dialer: dialer, Hub: identity, Logger: h.logger, Metrics: registry,
		Announced: func(ctx context.Context, of []ocpi.PartyKey) { h.fanout.Announced(ctx, of) },
	})
	h.follower = parties.NewFollower(parties.FollowerConfig{
		Store: h.stores.Platforms, Cache: h.stores.Cache, Directory: directory, Registrar: registrar, Logger: h.logger,
	})
	if err := h.follower.Load(ctx); err != nil {
		return nil, err
	}
	h.recorder = journal.New(journal.Config{
		Store: h.stores.Journal, Logger: h.logger, Metrics: registry, Retention: cfg.JournalRetention, Hub: cfg.Party,
		Feed: h.stores.Feed, Replica: h.stores.Replica,
		Lanes: func() map[parties.PlatformID]int { return h.fanout.Lanes() },
	})
	journals := append([]routing.Journal{h.recorder}, cfg.Journals...)
	if !cfg.QuietMessages {
		journals = append([]routing.Journal{newMessageLog(cfg, h.log)}, journals...)
	}
	journals = []routing.Journal{routing.NewDiscreet(h.stores.Names.Token, journals...)}
	h.outbox = routing.NewOutbox(routing.OutboxConfig{
		Store: h.stores.Outbox, Log: h.stores.Broadcasts, Replica: h.stores.Replica,
		Fleet: h.stores.Fleet, Directory: directory, Logger: h.logger, Metrics: registry,
	})
	h.catalog = catalog.New(catalog.Config{
		Store: h.stores.Catalog, Logger: h.logger, Metrics: registry, MaxDocument: int(cfg.MaxBody), Settled: h.outbox.Settled,
	})
	h.index = routing.NewIndex(routing.IndexConfig{
		Store: h.stores.Lessons, News: h.stores.LessonNews, Catalog: h.catalog, Logger: h.logger,
	})
	h.fanout = routing.NewFanout(routing.FanoutConfig{
		Directory: directory, Hub: cfg.Party, Timeout: cfg.ForwardTimeout, Journals: journals, Logger: h.logger,
		Metrics: registry, Suspect: func(id parties.PlatformID) { h.monitor.Suspect(id) },
		Present: h.catalog, Parcels: h.stores.Outbox, CutOff: h.outbox.Freeze,
	})
	h.puller = routing.NewPuller(routing.PullerConfig{
		Directory: directory, Hub: identity, Catalog: h.catalog, Outbox: h.outbox, Logger: h.logger,
		Timeout: cfg.ForwardTimeout, NewPlatforms: cfg.PullNewPlatforms,
	})
	h.monitor = parties.NewMonitor(parties.MonitorConfig{
		Directory: directory, Registrar: registrar, Store: h.stores.Platforms, Logger: h.logger,
		Interval: cfg.AliveInterval, Push: h.fanout.PushClientInfo, Back: h.puller.Refresh, Alone: h.stores.Embedded,
		Mine: func(id parties.PlatformID) bool { return h.stores.Fleet.Mine(string(id)) },
	})
	h.router = routing.NewRouter(routing.RouterConfig{
		Directory: directory, Hub: identity, Timeout: cfg.ForwardTimeout, Journals: journals, Metrics: registry,
		Callbacks: h.stores.Callbacks, Catalog: h.catalog, Index: h.index, Outbox: h.outbox,
		Suspect: h.monitor.Suspect, Sealer: h.stores.Cursors, SuppressUnchanged: cfg.SuppressUnchanged, Logger: h.logger,
	})
	ocpiGateway := gateway.New(gateway.Config{
		Directory: directory, Registrar: registrar, Router: h.router, Logger: h.logger, MaxBody: cfg.MaxBody,
		Memory: memory, MaxConnections: cfg.MaxConnections,
		Limits: gateway.Limits{Concurrency: cfg.PlatformConcurrency, Rate: cfg.PlatformRate}, Shares: h.stores.Shares,
		TrustedProxies: cfg.TrustedProxies, Metrics: registry,
		CatchUp: h.follower.CatchUp, Heard: h.monitor.Heard, TokenName: h.stores.Names.Token,
	})
	h.gateway = ocpiGateway
	tls, err := tlsConfig(cfg, h.logger, time.Now)
	if err != nil {
		return nil, err
	}
	// Last of what may fail, since a generated token is shown only once.
	token, fresh, err := adminToken(cfg)
	if err != nil {
		return nil, err
	}
	h.freshAdminToken = fresh
	h.keyring = access.NewKeyring(access.KeyringConfig{Root: token, Store: h.stores.AdminTokens, Logger: h.logger})
	h.trail = access.NewTrail(access.TrailConfig{Store: h.stores.Audit, Logger: h.logger, Retention: cfg.AuditRetention})
	adminServer := web.New(web.Config{
		Directory: directory, Registrar: registrar, Router: h.router, Catalog: h.catalog, Journal: h.recorder,
		Index: h.index, Names: h.stores.Names, Alone: h.stores.Embedded,
		Fanout: h.fanout, Metrics: registry, Logger: h.logger, Keyring: h.keyring, Trail: h.trail, Ready: h.ready, Routes: h.routes,
	})

	h.ocpi, h.admin = ocpiGateway.NewServer(tls), h.adminServer(adminServer.Handler())
	h.admin.RegisterOnShutdown(adminServer.EndStreams)
	return h, nil
}

// adminWriteTimeout bounds an answer from the end of the request's header on. The
// longest call is a handshake, of some calls of ten seconds each. Streams set
// their own.
const adminWriteTimeout = 2 * time.Minute

// adminServer bounds what a slow client can hold.
func (h *Hub) adminServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      adminWriteTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(h.logger.Handler(), slog.LevelDebug),
	}
}

// Start listens and returns; Failed tells when a listener ends by itself. A hub
// that cannot start is closed, and must not be stopped.
func (h *Hub) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if h.adminListener, err = net.Listen("tcp", h.cfg.AdminListen); err != nil {
		return fmt.Errorf("BUSBAR_ADMIN_LISTEN: %w", err)
	}
	if h.ocpiListener, err = net.Listen("tcp", h.cfg.Listen); err != nil {
		h.adminListener.Close()
		return fmt.Errorf("BUSBAR_LISTEN: %w", err)
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h.cancel = cancel
	// Last to end: what the others do while they stop is taken note of.
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	recorded := make(chan struct{})
	h.endRecords = func() { stopRecording(); <-recorded }
	go func() { defer close(recorded); h.record(recording) }()
	h.running.Go(func() { h.follower.Run(background) })
	h.running.Go(func() { h.router.Run(background) })
	h.running.Go(func() { h.gateway.Run(background) })
	h.running.Go(func() { h.monitor.Run(background) })
	h.running.Go(func() { h.puller.Run(background) })
	h.running.Go(func() { h.index.Run(background) })
	h.running.Go(func() { h.outbox.Run(background, h.catalog.Ready()) })
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan struct{})
	h.endCatalog = func() { stopFollowing(); <-followed }
	go func() { defer close(followed); h.catalog.Run(following) }()
	broadcasting, stopBroadcasting := context.WithCancel(context.WithoutCancel(ctx))
	h.endBroadcasts, h.handedOut = stopBroadcasting, make(chan struct{})
	go func() { defer close(h.handedOut); h.stores.Broadcasts.Run(broadcasting, h.fanout.Deliver) }()
	h.serve(h.admin.Serve, h.adminListener)
	h.serve(h.ocpi.Serve, h.ocpiListener)
	h.logger.Info("hub started", "ocpi", h.ocpiListener.Addr().String(), "admin", h.adminListener.Addr().String(),
		"public_url", h.cfg.PublicURL, "party", h.cfg.Party.String(), "embedded", h.stores.Embedded)
	return nil
}

// record keeps what happens until ctx ends.
func (h *Hub) record(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { h.recorder.Run(ctx) })
	running.Go(func() { h.keyring.Run(ctx) })
	running.Go(func() { h.trail.Run(ctx) })
	running.Wait()
}

func (h *Hub) serve(serve func(net.Listener) error, l net.Listener) {
	h.running.Go(func() {
		err := serve(l)
		if !h.stopping.Load() {
			h.failed <- fmt.Errorf("listener %s ended: %w", l.Addr(), err)
		}
	})
}

// Failed delivers the error of a listener that ended by itself.
func (h *Hub) Failed() <-chan error { return h.failed }

// Addr and AdminAddr are where the hub listens, once it is started.
func (h *Hub) Addr() string      { return h.ocpiListener.Addr().String() }
func (h *Hub) AdminAddr() string { return h.adminListener.Addr().String() }

// FreshAdminToken is the admin token if this start generated it, else empty. It
// is to be shown to the operator, once, and not logged.
func (h *Hub) FreshAdminToken() string { return h.freshAdminToken }

func (h *Hub) ready(ctx context.Context) error {
	if err := h.routes(); err != nil {
		return err
	}
	return h.stores.Ready(ctx)
}

// routes tells why messages cannot be routed, whatever the stores do. The
// directory was loaded before the hub began to listen.
func (h *Hub) routes() error {
	if h.stopping.Load() {
		return errors.New("the hub is stopping")
	}
	if !h.catalog.Loaded() {
		return errors.New("the catalog is still loading")
	}
	return nil
}

// drain goes on serving until the balancer sends its requests to other replicas.
func (h *Hub) drain(ctx context.Context) {
	if h.stores.Embedded || h.cfg.Drain == 0 {
		return
	}
	h.ocpi.Drain()
	select {
	case <-ctx.Done():
	case <-time.After(h.cfg.Drain):
	}
}

// Stop ends the hub: it stops being ready, drains, refuses new connections, lets
// requests in flight finish until ctx ends or StopTimeout has passed, cuts off
// what is left then, and closes the stores.
func (h *Hub) Stop(ctx context.Context) {
	h.stopping.Store(true)
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	h.drain(ctx)
	if err := h.ocpi.Shutdown(ctx); err != nil {
		h.logger.Warn("requests that were still in flight were cut off", "after", StopTimeout, "error", err)
	}
	// A Serve that begins only now, because Stop came right after Start, finds
	// nothing to accept from.
	h.ocpiListener.Close()
	h.cancel()
	if adminErr := h.admin.Shutdown(ctx); adminErr != nil {
		h.admin.Close()
	}
	// Nobody accepts a broadcast any more, and no pull runs. What was accepted
	// reaches its receivers, here or at other replicas, before the lanes are closed.
	h.running.Wait()
	settling, cancelSettling := context.WithTimeout(ctx, settleTimeout)
	h.outbox.Settle(settling)
	cancelSettling()
	h.endBroadcasts()
	select {
	case <-h.handedOut:
	case <-ctx.Done():
	}
	h.fanout.Stop(ctx)
	<-h.handedOut
	h.endCatalog()
	if err := h.outbox.Flush(ctx); err != nil {
		h.logger.Warn("note which broadcasts have ended; another start sends them again", "error", err)
	}
	h.endRecords()
	h.logger.Info("hub stopped")
	h.close()
}

func (h *Hub) close() {
	if h.stores != nil {
		if err := h.stores.Close(); err != nil {
			h.logger.Warn("close stores", "error", err)
		}
	}
	h.log.Flush()
}
