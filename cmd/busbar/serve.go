package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"busbar/hub"
)

// serveCommand has one flag for every setting of contract.md, in the order of
// hub.Settings. Their text is checked there, so that all faults are reported at
// once.
type serveCommand struct {
	Config   string   `help:"YAML file with settings, named like the flags with underscores." placeholder:"FILE"`
	Settings settings `embed:""`
}

type settings struct {
	Listen      string `help:"OCPI listener (:8080)." placeholder:"HOST:PORT"`
	AdminListen string `help:"Admin API, metrics and health (127.0.0.1:8081)." placeholder:"HOST:PORT"`
	PublicURL   string `name:"public-url" help:"Base of every URL the hub hands out (http://localhost:8080)." placeholder:"URL"`
	Party       string `help:"The hub's own country code and party id (EUBUS)." placeholder:"PARTY"`
	Name        string `help:"The hub's business name in its credentials (Busbar)." placeholder:"NAME"`

	DataDir  string `help:"SQLite file and generated keys (./data)." placeholder:"DIR"`
	Database string `help:"sqlite:FILE or postgres://… (SQLite in the data dir)." placeholder:"URL"`
	Redis    string `help:"redis://… or rediss://… (none: in-process)." placeholder:"URL"`

	SecretKey  string `help:"Seals peers' tokens; required with Postgres. A list with commas rotates: the first seals, all open." placeholder:"KEY,…"`
	AdminToken string `help:"Bearer token of the admin API (generated, printed once at the first start)." placeholder:"TOKEN"`

	ForwardTimeout string `help:"Deadline of a forwarded request (30s)." placeholder:"DURATION"`
	AliveInterval  string `help:"Silence after which a platform is checked (5m)." placeholder:"DURATION"`
	Agreements     string `help:"open: all may talk; closed: only parties with an agreement." placeholder:"open|closed"`

	AllowPrivatePeers string `type:"switch" help:"Platforms may live on private and loopback addresses." placeholder:"BOOL"`
	MaxBody           string `help:"Larger requests get 413 (16MiB)." placeholder:"SIZE"`

	PlatformConcurrency string `help:"Requests of one platform in flight on a replica; more get 429 (256; 0: no limit)." placeholder:"NUMBER"`
	PlatformRate        string `help:"Requests per second of one platform over all replicas; more get 429 (0: no limit)." placeholder:"NUMBER"`
	BodyMemory          string `help:"Memory for bodies that are under way; without room, 429 (512MiB)." placeholder:"SIZE"`
	MaxConnections      string `help:"Connections that the OCPI listener holds (10000)." placeholder:"NUMBER"`
	TrustedProxies      string `help:"Proxies that tell the caller's address in X-Forwarded-For (none)." placeholder:"CIDR,…"`

	TLSCert       string `name:"tls-cert" help:"Certificate of the OCPI listener, PEM." placeholder:"FILE"`
	TLSKey        string `name:"tls-key" help:"Its key, PEM." placeholder:"FILE"`
	TLSClientCA   string `name:"tls-client-ca" help:"Ask for client certificates of this CA, PEM." placeholder:"FILE"`
	TLSClientAuth string `name:"tls-client-auth" help:"require: no connection without a client certificate; request: only platforms with a bound one need it (require)." placeholder:"require|request"`

	LogLevel         string `help:"debug, info, warn or error (info)." placeholder:"LEVEL"`
	LogFormat        string `help:"text or json (text)." placeholder:"FORMAT"`
	JournalRetention string `help:"How long message metadata is kept (30d)." placeholder:"DURATION"`
	AuditRetention   string `help:"How long the audit trail of the admin API is kept (365d)." placeholder:"DURATION"`

	SuppressUnchanged string `type:"switch" help:"Do not send on broadcasts that change nothing but last_updated." placeholder:"BOOL"`
	PullNewPlatforms  string `type:"switch" help:"Fetch the Locations and Tariffs of a CPO after its first registration." placeholder:"BOOL"`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, s streams, parsed *kong.Context) error {
	fileErr := fillFromFile(parsed)
	cfg, err := hub.Settings(c.Settings).Config()
	if err = errors.Join(fileErr, err); err != nil {
		return usageError{fmt.Errorf("settings:\n%w", err)}
	}
	return serve(ctx, cfg, s, nil)
}

// serve runs a hub until ctx ends or it fails by itself. meanwhile, if given,
// runs beside it and ends it by returning.
func serve(ctx context.Context, cfg hub.Config, s streams, meanwhile func(context.Context, *hub.Hub) error) error {
	keepHeadroom()
	h, err := hub.New(ctx, cfg, s.err)
	if err != nil {
		return err
	}
	// Before Start, which may fail: only its hash is kept.
	greet(s.out, h)
	if err := h.Start(ctx); err != nil {
		return err
	}
	beside := make(chan error, 1)
	besideCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if meanwhile != nil {
		go func() { beside <- meanwhile(besideCtx, h) }()
	}
	select {
	case <-ctx.Done():
	case err = <-h.Failed():
	case err = <-beside:
		meanwhile = nil
	}
	cancel()
	if meanwhile != nil {
		<-beside
	}
	// ctx has ended; stopping has its own bound.
	h.Stop(context.WithoutCancel(ctx))
	return err
}

// greet shows a generated admin token, this once. It goes to the terminal and
// not to the log.
func greet(out io.Writer, h *hub.Hub) {
	if token := h.FreshAdminToken(); token != "" {
		fmt.Fprintf(out, "Admin token, generated and shown this once (BUSBAR_ADMIN_TOKEN sets another):\n  %s\n", token)
	}
}
