package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"busbar/hub"
	"busbar/ocpi"
	"busbar/routing"
	"busbar/simulator"
)

// demoCommand runs a hub on embedded defaults in a folder of its own, and a
// network of simulated platforms that is registered to it over real HTTP.
type demoCommand struct {
	Listen      string `help:"OCPI listener (:8080)." placeholder:"HOST:PORT"`
	AdminListen string `help:"Admin API, metrics and health (127.0.0.1:8081)." placeholder:"HOST:PORT"`
	AdminToken  string `help:"Bearer token of the admin API (generated and printed)." placeholder:"TOKEN"`
	Locations   string `help:"Real Locations for the network: JSON array or JSON lines, plain or gzip." placeholder:"FILE" env:"-"`
	Pace        string `help:"Messages per second (2)." placeholder:"NUMBER" env:"-"`
	Direct      bool   `help:"Only messages that name their receiver: no broadcasts, no open routing, no outages." env:"-"`
}

// Run runs the demo until ctx ends.
func (c *demoCommand) Run(ctx context.Context, s streams) error {
	pace, cfg, err := c.settings()
	if err != nil {
		return usageError{err}
	}
	locations, err := c.locations(s)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "busbar-demo-")
	if err != nil {
		return fmt.Errorf("folder for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	cfg.DataDir = dir
	screen := newScreen(s.out, cfg.Party)
	cfg.Journals = []routing.Journal{screen}
	return serve(ctx, cfg, s, func(ctx context.Context, h *hub.Hub) error {
		return c.play(ctx, h, cfg, simulator.NetworkConfig{
			MessagesPerSecond: pace, Locations: locations, ResultDelay: 500 * time.Millisecond,
			Direct: c.Direct, Story: screen.Story,
			Logger: slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		}, screen)
	})
}

// settings are the hub's, quiet, since the screen shows messages in its own way.
func (c *demoCommand) settings() (pace float64, _ hub.Config, err error) {
	if c.Pace != "" {
		if pace, err = strconv.ParseFloat(c.Pace, 64); err != nil || pace <= 0 || pace > 1000 {
			return 0, hub.Config{}, fmt.Errorf("--pace: %q must be a number of messages per second, more than 0 and at most 1000", c.Pace)
		}
	}
	token := c.AdminToken
	if token == "" {
		token = ocpi.NewCredentialsToken().Reveal()
	}
	settings := hub.Settings{
		Listen: c.Listen, AdminListen: c.AdminListen, AdminToken: token, AllowPrivatePeers: "true", LogLevel: "warn",
		// A platform that goes offline is soon found out.
		AliveInterval: "5s",
	}
	if _, port, err := net.SplitHostPort(c.Listen); err == nil {
		if port == "0" {
			return 0, hub.Config{}, errors.New("--listen: the demo needs a port that is known beforehand, not 0")
		}
		settings.PublicURL = "http://localhost:" + port
	}
	cfg, err := settings.Config()
	cfg.QuietMessages = true
	return pace, cfg, err
}

// locations reads the file that --locations names, and says what it found.
func (c *demoCommand) locations(s streams) ([]simulator.Location, error) {
	if c.Locations == "" {
		return nil, nil
	}
	fallback, err := ocpi.ParseParty("NLDEM")
	if err != nil {
		return nil, err
	}
	loaded, err := simulator.LoadLocations(c.Locations, fallback)
	if err != nil {
		return nil, fmt.Errorf("--locations: %w", err)
	}
	owners, _ := simulator.ByOwner(loaded.Locations)
	fmt.Fprintf(s.out, "%d Locations of %d parties from %s\n", len(loaded.Locations), len(owners), c.Locations)
	for _, reason := range slices.Sorted(maps.Keys(loaded.Skipped)) {
		fmt.Fprintf(s.out, "  %d left out: %s\n", loaded.Skipped[reason], reason)
	}
	if len(loaded.Faults) > 0 {
		fmt.Fprintf(s.out, "  the first: %s\n", loaded.Faults[0])
	}
	return loaded.Locations, nil
}

// leaveTime bounds how long the network may take to leave.
const leaveTime = 10 * time.Second

// play registers the network and lets it charge cars until ctx ends.
func (c *demoCommand) play(ctx context.Context, h *hub.Hub, cfg hub.Config, network simulator.NetworkConfig, screen *screen) (err error) {
	network.Enrol = simulator.AdminEnrol("http://"+h.AdminAddr(), cfg.AdminToken)
	n, err := simulator.NewNetwork(network)
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
		defer cancel()
		err = errors.Join(err, n.Stop(stop))
	}()
	if err := n.Start(ctx); err != nil {
		return err
	}
	screen.welcome(n, h, cfg)
	return n.Run(ctx)
}
