package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"busbar/ocpi"
)

// Config is a platform before it starts. Name and Parties are required.
type Config struct {
	// Name is the company that runs the platform.
	Name string
	// Parties are the parties it speaks for, at least one.
	Parties []Party
	// Listen is the TCP address to serve on. Empty: a free port on 127.0.0.1.
	Listen string
	// PublicURL is the base of the URLs it hands out, without a trailing slash.
	// Empty: http and the address it serves on.
	PublicURL string
	// PageLimit is the most objects in one page of a list. 0: 50.
	PageLimit int
	// Pace is asked before every message that a driver starts. Nil: no waiting.
	Pace Pace
	// ResultDelay is the time a charge point takes to carry out a command. 0:
	// the result follows the answer at once.
	ResultDelay time.Duration
	// Observe hears of every exchange, from several goroutines at once; it must
	// not block. Nil: nobody does.
	Observe func(Event)
	// Seed decides what the drivers do. 0 is a seed like any other.
	Seed uint64
	// Logger gets what nobody is told otherwise. Nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock of last_updated and charging. Nil: time.Now.
	Now func() time.Time

	// told is called after a ClientInfo came. Nil: nobody waits for one.
	told func()
}

// Party is one party in one role on a platform.
type Party struct {
	ocpi.PartyRole
	// Name and Website go into its business details. An empty Name is the
	// party's key.
	Name, Website string
	// Locations and Tariffs are what a CPO offers. Without tariffs it charges a
	// standard one.
	Locations []Location
	Tariffs   []Tariff
	// Tokens are what an eMSP has issued.
	Tokens []Token
}

// Platform plays one OCPI platform. Its methods may be called from any
// goroutine.
type Platform struct {
	cfg     Config
	log     *slog.Logger
	client  *http.Client
	watcher watcher
	parties []*party
	infos   *shelf // hubclientinfo

	// serving keeps those apart who start and end the server.
	serving  sync.Mutex
	server   *http.Server
	listener net.Listener
	silent   *silentConns
	served   chan error
	base     string

	// root ends when the platform stops. later counts the goroutines that
	// deliver results; room bounds them.
	root   context.Context
	cancel context.CancelFunc
	later  sync.WaitGroup
	room   chan struct{}

	mu   sync.Mutex
	conn connection
	// offline is closed when the platform is back; nil while it is there.
	offline chan struct{}
}

// party is one of the platform's parties with what it serves.
type party struct {
	Party
	faces map[face]handler
	cpo   *CPO
	emsp  *EMSP
	scsp  *SCSP
}

// face is one interface of one module.
type face struct {
	module ocpi.ModuleID
	side   ocpi.InterfaceRole
}

// handler serves one face for one party.
type handler func(inbound) reply

const (
	requestTimeout = 40 * time.Second // longer than a hub waits for the receiver
	maxBody        = 64 << 20
	mostResults    = 256
)

// NewPlatform makes a platform that does nothing yet. It fails when a party
// stands twice or has a role the simulator cannot play.
func NewPlatform(cfg Config) (*Platform, error) {
	if cfg.PageLimit <= 0 {
		cfg.PageLimit = 50
	}
	if cfg.Pace == nil {
		cfg.Pace = noPace
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Platform{
		cfg: cfg, log: cfg.Logger.With("platform", cfg.Name), infos: newShelf(0),
		watcher: watcher{observe: cfg.Observe},
		room:    make(chan struct{}, mostResults),
		client: &http.Client{
			Timeout:   requestTimeout,
			Transport: newTransport(),
			// A credentials token follows no redirect.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	return p, p.addParties(cfg.Parties)
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConns:        512,
		MaxIdleConnsPerHost: 256, // everything goes to one hub
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

func (p *Platform) addParties(parties []Party) error {
	if len(parties) == 0 {
		return fmt.Errorf("platform %s: has no party", p.cfg.Name)
	}
	seen := map[ocpi.PartyRole]bool{}
	for _, of := range parties {
		if seen[of.PartyRole] {
			return fmt.Errorf("platform %s: %s stands twice", p.cfg.Name, of.PartyRole)
		}
		seen[of.PartyRole] = true
		if of.Name == "" {
			of.Name = of.Party.String()
		}
		member := &party{Party: of}
		switch of.Role {
		case ocpi.RoleCPO:
			member.cpo = newCPO(p, of)
			member.faces = member.cpo.faces()
		case ocpi.RoleEMSP:
			member.emsp = newEMSP(p, of)
			member.faces = member.emsp.faces()
		case ocpi.RoleSCSP:
			member.scsp = newSCSP(p, of)
			member.faces = member.scsp.faces()
		default:
			return fmt.Errorf("platform %s: %s: the simulator plays CPO, EMSP and SCSP only", p.cfg.Name, of.PartyRole)
		}
		p.parties = append(p.parties, member)
	}
	return nil
}

// Name is the platform's name.
func (p *Platform) Name() string { return p.cfg.Name }

// Roles are the platform's parties.
func (p *Platform) Roles() []ocpi.PartyRole {
	roles := make([]ocpi.PartyRole, len(p.parties))
	for i, member := range p.parties {
		roles[i] = member.PartyRole
	}
	return roles
}

// CPO returns the platform's CPO of that key, nil when there is none.
func (p *Platform) CPO(key ocpi.PartyKey) *CPO {
	for _, member := range p.parties {
		if member.cpo != nil && member.PartyRole.Party == key {
			return member.cpo
		}
	}
	return nil
}

// EMSP returns the platform's eMSP of that key, nil when there is none.
func (p *Platform) EMSP(key ocpi.PartyKey) *EMSP {
	for _, member := range p.parties {
		if member.emsp != nil && member.PartyRole.Party == key {
			return member.emsp
		}
	}
	return nil
}

// SCSP returns the platform's SCSP of that key, nil when there is none.
func (p *Platform) SCSP(key ocpi.PartyKey) *SCSP {
	for _, member := range p.parties {
		if member.scsp != nil && member.PartyRole.Party == key {
			return member.scsp
		}
	}
	return nil
}

// Stats are the exchanges so far.
func (p *Platform) Stats() Stats { return p.watcher.snapshot() }

// VersionsURL is where the platform's versions are served, once started.
func (p *Platform) VersionsURL() string { return p.base + versionsPath }

// Start begins to serve. ctx bounds the start only.
func (p *Platform) Start(ctx context.Context) error {
	p.serving.Lock()
	defer p.serving.Unlock()
	address := p.cfg.Listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("platform %s: %w", p.cfg.Name, err)
	}
	p.base = strings.TrimSuffix(p.cfg.PublicURL, "/")
	if p.base == "" {
		p.base = "http://" + listener.Addr().String()
	}
	p.root, p.cancel = context.WithCancel(context.Background())
	p.serve(listener)
	return nil
}

// serve answers on a listener until quit. p.serving is held.
func (p *Platform) serve(listener net.Listener) {
	server, served := p.newServer(), make(chan error, 1)
	p.listener, p.server, p.served = listener, server, served
	go func() { served <- server.Serve(listener) }()
}

func (p *Platform) newServer() *http.Server {
	p.silent = &silentConns{}
	return &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ConnState:         p.silent.track,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// quit ends serving: requests under way may finish until ctx ends. p.serving is
// held.
func (p *Platform) quit(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	p.silent.end()
	err := p.server.Shutdown(ctx)
	if err != nil {
		p.server.Close() // what did not finish in time is cut off
	}
	if serveErr := <-p.served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	p.server = nil
	return err
}

// Stop ends serving, gives up results that were not delivered yet, and waits
// until nothing runs any more, or until ctx ends.
func (p *Platform) Stop(ctx context.Context) error {
	p.serving.Lock()
	defer p.serving.Unlock()
	if p.cancel == nil {
		return nil // it never started
	}
	p.cancel()
	err := p.quit(ctx)
	p.later.Wait() // they hold root, which has ended
	p.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("stop platform %s: %w", p.cfg.Name, err)
	}
	return nil
}
