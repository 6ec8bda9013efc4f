package hub

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

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

// building is a hub that New puts together, step by step, and what only the steps
// share.
type building struct {
	*Hub
	metrics   *prometheus.Registry
	identity  parties.Identity
	dialer    *peer.Dialer
	directory *parties.Directory
	registrar *parties.Registrar
	journals  []routing.Journal
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

func (b *building) openStores(ctx context.Context) error {
	keys, err := secretKeys(b.cfg)
	if err != nil {
		return err
	}
	database := b.cfg.Database
	if database == "" {
		database = "sqlite:" + filepath.Join(b.cfg.DataDir, "busbar.db")
	}
	b.stores, err = storage.Open(ctx, storage.Config{
		Database: database, Redis: b.cfg.Redis, Namespace: b.cfg.Party.String(), Secrets: keys, Logger: b.logger,
		Metrics: b.metrics,
	})
	return err
}

// loadDirectory loads who is registered, and what changes it.
func (b *building) loadDirectory(ctx context.Context) error {
	b.identity = parties.Identity{Party: b.cfg.Party, Name: b.cfg.Name, PublicURL: b.cfg.PublicURL}
	memory := gateway.NewMemory(b.cfg.BodyMemory, b.metrics)
	b.dialer = peer.NewDialer(peer.DialerConfig{AllowPrivate: b.cfg.AllowPrivatePeers, Memory: func() peer.Memory { return memory.Share() }})
	b.directory = parties.NewDirectory(b.dialer)
	if b.cfg.ClosedAgreements {
		b.directory.RequireAgreements()
	}
	b.registrar = parties.NewRegistrar(parties.RegistrarConfig{
		Store: b.stores.Platforms, Cache: b.stores.Cache, Directory: b.directory,
		Dialer: b.dialer, Hub: b.identity, Logger: b.logger, Metrics: b.metrics,
		Announced: func(ctx context.Context, of []ocpi.PartyKey) { b.fanout.Announced(ctx, of) },
	})
	b.follower = parties.NewFollower(parties.FollowerConfig{
		Store: b.stores.Platforms, Cache: b.stores.Cache, Directory: b.directory, Registrar: b.registrar, Logger: b.logger,
	})
	return b.follower.Load(ctx)
}

// keepJournals makes the journal and the message log.
func (b *building) keepJournals() {
	b.recorder = journal.New(journal.Config{
		Store: b.stores.Journal, Logger: b.logger, Metrics: b.metrics, Retention: b.cfg.JournalRetention, Hub: b.cfg.Party,
		Feed: b.stores.Feed, Replica: b.stores.Replica,
		Lanes: func() map[parties.PlatformID]int { return b.fanout.Lanes() },
	})
	journals := append([]routing.Journal{b.recorder}, b.cfg.Journals...)
	if !b.cfg.QuietMessages {
		journals = append([]routing.Journal{newMessageLog(b.cfg, b.log)}, journals...)
	}
	b.journals = []routing.Journal{routing.NewDiscreet(b.stores.Names.Token, journals...)}
}

// joinBroadcasts makes the way of a broadcast: the catalog keeps it, the outbox
// passes it to the log, the fan-out sends what comes out of that.
func (b *building) joinBroadcasts() {
	b.outbox = routing.NewOutbox(routing.OutboxConfig{
		Store: b.stores.Outbox, Log: b.stores.Broadcasts, Replica: b.stores.Replica,
		Fleet: b.stores.Fleet, Directory: b.directory, Logger: b.logger, Metrics: b.metrics,
	})
	b.catalog = catalog.New(catalog.Config{
		Store: b.stores.Catalog, Logger: b.logger, Metrics: b.metrics, MaxDocument: int(b.cfg.MaxBody), Settled: b.outbox.Settled,
	})
	b.fanout = routing.NewFanout(routing.FanoutConfig{
		Directory: b.directory, Hub: b.cfg.Party, Timeout: b.cfg.ForwardTimeout, Journals: b.journals, Logger: b.logger,
		Metrics: b.metrics, Suspect: func(id parties.PlatformID) { b.monitor.Suspect(id) },
		Present: b.catalog, Parcels: b.stores.Outbox, CutOff: b.outbox.Freeze,
	})
}

// watchPlatforms makes what finds out who is there, and what they missed.
func (b *building) watchPlatforms() {
	b.puller = routing.NewPuller(routing.PullerConfig{
		Directory: b.directory, Hub: b.identity, Catalog: b.catalog, Outbox: b.outbox, Logger: b.logger,
		Timeout: b.cfg.ForwardTimeout, NewPlatforms: b.cfg.PullNewPlatforms,
	})
	b.monitor = parties.NewMonitor(parties.MonitorConfig{
		Directory: b.directory, Registrar: b.registrar, Store: b.stores.Platforms, Logger: b.logger,
		Interval: b.cfg.AliveInterval, Push: b.fanout.PushClientInfo, Back: b.puller.Refresh, Alone: b.stores.Embedded,
		Mine: func(id parties.PlatformID) bool { return b.stores.Fleet.Mine(string(id)) },
	})
}

// route makes the router, and what open routing learns.
func (b *building) route() {
	b.index = routing.NewIndex(routing.IndexConfig{
		Store: b.stores.Lessons, News: b.stores.LessonNews, Catalog: b.catalog, Logger: b.logger,
	})
	b.router = routing.NewRouter(routing.RouterConfig{
		Directory: b.directory, Hub: b.identity, Timeout: b.cfg.ForwardTimeout, Journals: b.journals, Metrics: b.metrics,
		LessonPatience: b.cfg.LessonPatience, Callbacks: b.stores.Callbacks, Catalog: b.catalog, Index: b.index, Outbox: b.outbox,
		Suspect: b.monitor.Suspect, Sealer: b.stores.Cursors, SuppressUnchanged: b.cfg.SuppressUnchanged, Logger: b.logger,
	})
}

func (b *building) serveOCPI() error {
	b.trail = access.NewTrail(access.TrailConfig{Store: b.stores.Audit, Logger: b.logger, Retention: b.cfg.AuditRetention})
	b.gateway = gateway.New(gateway.Config{
		Directory: b.directory, Registrar: b.registrar, Router: b.router, Logger: b.logger, Trail: b.trail, MaxBody: b.cfg.MaxBody,
		Limits: gateway.Limits{Concurrency: b.cfg.PlatformConcurrency, Rate: b.cfg.PlatformRate}, Shares: b.stores.Shares,
		MaxConnections: b.cfg.MaxConnections, TrustedProxies: b.cfg.TrustedProxies, Metrics: b.metrics,
		CatchUp: b.follower.CatchUp, Heard: b.monitor.Heard, TokenName: b.stores.Names.Token,
	})
	tls, err := tlsConfig(b.cfg, b.logger, time.Now)
	if err != nil {
		return err
	}
	b.ocpi = b.gateway.NewServer(tls)
	return nil
}

func (b *building) serveAdmin() error {
	token, fresh, err := adminToken(b.cfg)
	if err != nil {
		return err
	}
	b.freshAdminToken = fresh
	b.keyring = access.NewKeyring(access.KeyringConfig{Root: token, Store: b.stores.AdminTokens, Logger: b.logger})
	server := web.New(web.Config{
		Directory: b.directory, Registrar: b.registrar, Router: b.router, Catalog: b.catalog, Journal: b.recorder,
		Index: b.index, Names: b.stores.Names, Alone: b.stores.Embedded, Fanout: b.fanout, Metrics: b.metrics,
		Logger: b.logger, Keyring: b.keyring, Trail: b.trail, Ready: b.ready, Routes: b.routes,
	})
	b.admin = boundedServer(server.Handler(), b.logger)
	b.admin.RegisterOnShutdown(server.EndStreams)
	return nil
}

// adminWriteTimeout bounds an answer from the end of the request's header on. The
// longest call is a handshake, of some calls of ten seconds each. Streams set
// their own.
const adminWriteTimeout = 2 * time.Minute

// boundedServer bounds what a slow client can hold.
func boundedServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      adminWriteTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
