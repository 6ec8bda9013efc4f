package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"busbar/ocpi"
)

// NetworkConfig is a network before it starts. Enrol is required.
type NetworkConfig struct {
	// Enrol obtains a token A for each platform.
	Enrol Enrol
	// Locations are real ones. Their owners are the CPOs then, spread over the
	// CPO platforms. Nil: a sample network of about eighty Locations.
	Locations []Location
	// MessagesPerSecond is the pace of the whole network. 0: 2.
	MessagesPerSecond float64
	// Pace replaces MessagesPerSecond.
	Pace Pace
	// Direct keeps to messages that name the party they are for: no broadcast, no
	// GET All, no open routing, and no platform goes offline. It is for hubs that
	// can no more.
	Direct bool
	// PublishPerSecond is how many Locations and Tariffs are broadcast each
	// second until all are. 0: 200. Pace replaces it too.
	PublishPerSecond float64
	// OutageAfter is after how many messages of the network a platform of eMSPs
	// goes offline, again and again; OutageLasts after how many more it comes
	// back, but not before all others know. 0: 150, 40.
	OutageAfter, OutageLasts int
	// Story hears, in a sentence, what no message shows: that a platform went
	// offline or is back. It must not block. Nil: nobody does.
	Story func(text string)
	// Drivers is how many things happen at the same time, at most. 0: 12.
	Drivers int
	// Seed decides the sample network and what happens. 0 is a seed like any
	// other.
	Seed uint64
	// ResultDelay is the time a charge point takes to carry out a command. 0:
	// none.
	ResultDelay time.Duration
	// PageLimit is the most objects in one page of a list. 0: 50.
	PageLimit int
	// Observe hears of every exchange of every platform; it must not block. Nil:
	// nobody does.
	Observe func(Event)
	// Logger gets what goes wrong. Nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock of last_updated and charging. Nil: time.Now.
	Now func() time.Time

	publishPace Pace
}

// Network is a ready set of platforms.
type Network struct {
	cfg       NetworkConfig
	log       *slog.Logger
	platforms []*Platform
	cpos      []*CPO
	emsps     []*EMSP
	scsps     []*SCSP
	// owners counts the CPOs that have a Location of an id: only where that is
	// one can an open message be led by it.
	owners map[string]int

	running sync.WaitGroup
	// published is closed when every CPO has broadcast what it offers.
	published chan struct{}
	outages   *outages

	mu  sync.Mutex
	end context.CancelFunc
	// pulled is when an eMSP last asked a CPO, or the hub, for Locations.
	pulled map[string]time.Time
}

// NewNetwork builds the platforms; none of them serves yet.
func NewNetwork(cfg NetworkConfig) (*Network, error) {
	if cfg.Enrol == nil {
		return nil, errors.New("simulated network: Enrol is required")
	}
	cfg.fillDefaults()
	n := &Network{
		cfg: cfg, log: cfg.Logger, pulled: map[string]time.Time{}, owners: map[string]int{},
		published: make(chan struct{}), outages: newOutages(),
	}
	for _, c := range cfg.cast() {
		p, err := NewPlatform(Config{
			Name: c.name, Parties: c.parties, PageLimit: cfg.PageLimit, Pace: n.outages.counting(cfg.Pace), ResultDelay: cfg.ResultDelay,
			Observe: cfg.Observe, Seed: cfg.Seed, Logger: cfg.Logger, Now: cfg.Now, told: n.outages.look,
		})
		if err != nil {
			return nil, fmt.Errorf("simulated network: %w", err)
		}
		n.platforms = append(n.platforms, p)
		for _, member := range p.parties {
			n.admit(member)
		}
	}
	if len(n.cpos) == 0 {
		return nil, errors.New("simulated network: no Location has an EVSE to charge at")
	}
	return n, nil
}

func (cfg *NetworkConfig) fillDefaults() {
	if cfg.Drivers <= 0 {
		cfg.Drivers = 12
	}
	if cfg.MessagesPerSecond <= 0 {
		cfg.MessagesPerSecond = 2
	}
	if cfg.PublishPerSecond <= 0 {
		cfg.PublishPerSecond = 200
	}
	if cfg.OutageAfter <= 0 {
		cfg.OutageAfter = 150
	}
	if cfg.OutageLasts <= 0 {
		cfg.OutageLasts = 40
	}
	cfg.publishPace = cfg.Pace
	if cfg.Pace == nil {
		cfg.Pace, cfg.publishPace = EvenPace(cfg.MessagesPerSecond), EvenPace(cfg.PublishPerSecond)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
}

// admit gives a party its part in what happens.
func (n *Network) admit(member *party) {
	switch {
	case member.cpo != nil:
		for _, id := range member.cpo.locations.keys() {
			n.owners[id]++
		}
		if len(member.cpo.sites) > 0 {
			n.cpos = append(n.cpos, member.cpo)
		}
	case member.emsp != nil:
		n.emsps = append(n.emsps, member.emsp)
	case member.scsp != nil:
		n.scsps = append(n.scsps, member.scsp)
	}
}

// castPlatform is a platform with its parties filled in.
type castPlatform struct {
	name    string
	parties []Party
}

// cast fills the roles: the sample's CPOs, or the owners of the real Locations
// in turn over the CPO platforms.
func (cfg NetworkConfig) cast() []castPlatform {
	var all []castPlatform
	for _, c := range cpoCompanies() {
		all = append(all, castPlatform{c.name, cfg.fill(c, cfg.Locations == nil)})
	}
	owners, of := ByOwner(cfg.Locations)
	for i, owner := range owners {
		host := &all[i%len(all)]
		host.parties = append(host.parties, Party{
			PartyRole: ocpi.PartyRole{Party: owner, Role: ocpi.RoleCPO}, Locations: of[owner],
		})
	}
	for _, c := range append(emspCompanies(), scspCompanies()...) {
		all = append(all, castPlatform{c.name, cfg.fill(c, true)})
	}
	played := all[:0]
	for _, p := range all {
		if len(p.parties) > 0 {
			played = append(played, p)
		}
	}
	return played
}

// fill gives a company's parties what they offer; without the sample, its CPOs
// stay away.
func (cfg NetworkConfig) fill(c company, sample bool) []Party {
	var parties []Party
	for _, of := range c.parties {
		key, err := ocpi.ParseParty(of.code)
		if err != nil {
			panic("simulator: cast: " + err.Error()) // the table is the package's own
		}
		p := Party{PartyRole: ocpi.PartyRole{Party: key, Role: of.role}, Name: of.name, Website: of.website}
		switch {
		case of.role == ocpi.RoleSCSP:
		case of.role == ocpi.RoleEMSP:
			p.Tokens = sampleTokens(of, key, cfg.Seed)
		case sample:
			p.Locations, p.Tariffs = sampleLocations(of, key, cfg.Seed), sampleTariffs(key, cfg.Seed)
		default:
			continue
		}
		parties = append(parties, p)
	}
	return parties
}

// Platforms are the network's platforms, CPOs first.
func (n *Network) Platforms() []*Platform { return n.platforms }

// CPOs are all CPOs with an EVSE to charge at.
func (n *Network) CPOs() []*CPO { return n.cpos }

// EMSPs are all eMSPs.
func (n *Network) EMSPs() []*EMSP { return n.emsps }

// SCSPs are all smart charging providers.
func (n *Network) SCSPs() []*SCSP { return n.scsps }

// Stats sum up all platforms. What one sends to another counts at both, as sent
// and as received.
func (n *Network) Stats() Stats {
	sum := Stats{}
	for _, p := range n.platforms {
		sum = sum.Add(p.Stats())
	}
	return sum
}

// Start serves every platform and registers it at the hub. When one fails, those
// before it go on serving until Stop.
func (n *Network) Start(ctx context.Context) error {
	for _, p := range n.platforms {
		if err := p.Start(ctx); err != nil {
			return err
		}
		versionsURL, tokenA, err := n.cfg.Enrol(ctx, p.Name(), p.Roles())
		if err != nil {
			return err
		}
		if err := p.Register(ctx, versionsURL, tokenA); err != nil {
			return err
		}
	}
	return nil
}

// Run broadcasts what the CPOs offer and charges cars until ctx ends or Stop is
// called. It returns nil then, and nothing of it runs any more. A message that
// fails is logged and life goes on. It is called once.
func (n *Network) Run(ctx context.Context) error {
	for _, p := range n.platforms {
		if !p.Registered() {
			return fmt.Errorf("platform %s: %w", p.Name(), ErrNotRegistered)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	n.end = cancel
	if !n.cfg.Direct {
		n.running.Go(func() { n.broadcast(ctx) })
		n.running.Go(func() { n.takeOffline(ctx) })
	}
	for i := range n.cfg.Drivers {
		n.running.Go(func() { n.newDirector(i).run(ctx) })
	}
	n.mu.Unlock()
	n.running.Wait()
	return nil
}

// Stop ends Run and every platform.
func (n *Network) Stop(ctx context.Context) error {
	n.mu.Lock()
	if n.end != nil {
		n.end()
	}
	n.mu.Unlock()
	n.running.Wait()
	errs := make([]error, len(n.platforms))
	var stopping sync.WaitGroup
	for i, p := range n.platforms {
		stopping.Go(func() { errs[i] = p.Stop(ctx) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}
