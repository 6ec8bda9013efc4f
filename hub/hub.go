package hub

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"busbar/access"
	"busbar/catalog"
	"busbar/hub/gateway"
	"busbar/journal"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage"
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
	// when its Run has ended.
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
	if cfg.InFlight == 0 {
		cfg.InFlight = inFlight
	}
	h := &Hub{cfg: cfg, log: newLogWriter(logs), failed: make(chan error, 2)}
	h.logger = newLogger(cfg, h.log)
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	b := &building{Hub: h, metrics: newRegistry()}
	if err := b.openStores(ctx); err != nil {
		return nil, err
	}
	if err := b.loadDirectory(ctx); err != nil {
		return nil, err
	}
	b.keepJournals()
	b.joinBroadcasts()
	b.watchPlatforms()
	b.route()
	if err := b.serveOCPI(); err != nil {
		return nil, err
	}
	// Last, since a generated token is shown only once.
	if err := b.serveAdmin(); err != nil {
		return nil, err
	}
	return h, nil
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
