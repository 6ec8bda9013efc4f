package routing

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

// Fanout sends broadcasts to their receivers: one lane for each receiving
// platform, so that none waits for another. What failed is not sent again: a receiver
// that missed something GETs it (2.2.1 transport_and_format, Offline behaviour;
// O1).
type Fanout struct {
	cfg     FanoutConfig
	from    ocpi.Address
	metrics *legMetrics

	mu     sync.Mutex
	lanes  map[parties.PlatformID]*lane
	closed bool

	// waiting counts the legs that are queued, in flight or owed; empty is told
	// when it falls to zero.
	waiting atomic.Int64
	owed    atomic.Int64 // of them, objects that lanes owe
	held    atomic.Int64 // the bytes of the bodies of deliveries that have not ended
	// reached is the highest revision that the catalog is known to have.
	reached  atomic.Int64
	tenure   Tenure // of a log that is this replica's alone
	pursuit  pursuit
	asking   outage
	empty    chan struct{}
	watching atomic.Bool
	workers  workers

	// ctx ends when Stop cuts off what is left; running are all goroutines.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// FanoutConfig wires a Fanout.
type FanoutConfig struct {
	Directory *parties.Directory
	Hub       ocpi.PartyKey
	// Timeout bounds one leg; it must be positive.
	Timeout  time.Duration
	Journals []Journal
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	// Suspect is told of a platform that could not be reached, now and then while
	// that lasts; it must not block. Nil is fine.
	Suspect func(parties.PlatformID)
	// Present is the catalog. Nil: what finds no room in a lane is not sent, and
	// what comes again goes as it was.
	Present Present
	// Parcels is the OutboxStore. Nil: a Token push goes as it was.
	Parcels Parcels
	// CutOff is told that what ends from now on was cut off, and has not reached
	// everybody. Nil is fine.
	CutOff func()
	// Receivers are the legs of a broadcast. Nil is the rule of OCPI, see the
	// function Receivers.
	Receivers func(*Broadcast) []Leg
}

// watchEvery is how soon a lane whose calls all hang notices that its platform
// went offline.
const watchEvery = time.Second

// NewFanout makes a Fanout. It needs no Run: goroutines begin with work to do,
// and end with it.
func NewFanout(cfg FanoutConfig) *Fanout {
	f := &Fanout{
		cfg: cfg, from: ocpi.AddressOf(cfg.Hub),
		lanes: make(map[parties.PlatformID]*lane), empty: make(chan struct{}, 1),
		asking: outage{log: cfg.Logger, what: "ask whether a broadcast is the newest of its object"},
	}
	if f.cfg.Receivers == nil {
		f.cfg.Receivers = f.receivers
	}
	f.tenure.begun, f.tenure.tokens.begun = true, true
	f.metrics = newLegMetrics(cfg.Metrics, f.Queued)
	showHeld(cfg.Metrics, f.held.Load)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *Fanout) receivers(b *Broadcast) []Leg {
	view := View{Snapshot: f.cfg.Directory.Snapshot(), Hub: f.cfg.Hub}
	return Receivers(view, b.From, b.Platform, b.Module, nil)
}

// Deliver queues a broadcast's legs and returns; its Done is called once, when all
// of them have ended, which may be before Deliver returns. Broadcasts of one
// object reach a party in the order of the calls. For one that comes again, or is
// to be what its object is now, Deliver waits until the catalog knows.
func (f *Fanout) Deliver(h Handed) {
	r := &receipt{done: h.Done, held: h.Held, tenure: h.Tenure}
	r.hold() // until everything is queued
	defer r.release()
	if !f.sendNewest(h, r) && r.shared() {
		r.dropped.Store(true)
		f.leaveOut(h.Broadcast, r, OutcomeCancelled)
	}
}

// sendNewest sends what is to be sent for a broadcast that was handed over. It is
// false when newest is.
func (f *Fanout) sendNewest(h Handed, r *receipt) bool {
	if !catalog.Keeps(h.Module) {
		return f.sendUnkept(h, r)
	}
	b, ok := f.newest(h)
	switch {
	case !ok:
	case b.Method == "":
		f.leaveOut(h.Broadcast, r, OutcomeSuperseded)
	default:
		f.send(b, r)
	}
	return ok
}

// send queues the legs of a broadcast, which hold the receipt until they have
// ended.
func (f *Fanout) send(b *Broadcast, r *receipt) {
	legs := f.cfg.Receivers(b)
	d := f.delivery(b, r, len(legs))
	for i := range legs {
		f.queue(legs[i].Receiver.Platform.ID, &leg{of: d, to: legs[i].Party})
	}
	d.release()
}

// leaveOut ends a broadcast of which nothing is sent: what its receivers have had, or
// will, makes it pointless, or another replica sends it. So each leg is counted.
func (f *Fanout) leaveOut(b *Broadcast, r *receipt, o Outcome) {
	legs := len(f.cfg.Receivers(b.with("", nil)))
	d := f.delivery(b, r, legs)
	f.waiting.Add(int64(legs))
	for range legs {
		d.end(o, nil)
	}
	d.release()
}

// delivery begins one. It is held once more than there are legs: it cannot end
// while they are queued.
func (f *Fanout) delivery(b *Broadcast, r *receipt, legs int) *delivery {
	r.hold()
	r.of(b, f.cfg.Journals)
	d := &delivery{Broadcast: b, fanout: f, receipt: r, total: legs, counters: f.metrics.of(b.Module)}
	d.left.Store(int32(legs) + 1)
	d.hold()
	return d
}

// PushClientInfo queues the PUT of a party's ClientInfo to the platform (2.2.1
// mod_hub_client_info, Receiver Interface). What is queued afterwards of that
// party's objects waits for it (O5). A platform without the endpoint is
// skipped. It does not block.
func (f *Fanout) PushClientInfo(to *parties.Entry, info ocpi.ClientInfo) {
	party, err := ocpi.ParsePartyKey(info.CountryCode, info.PartyID)
	if err != nil || to.Endpoint(ocpi.ModuleHubClientInfo, ocpi.Receiver) == nil {
		return
	}
	body, err := json.Marshal(info)
	if err != nil {
		panic("routing: client info: " + err.Error()) // strings always encode
	}
	d := &delivery{
		Broadcast: &Broadcast{
			Object: string(ocpi.ModuleHubClientInfo) + "/" + party.String(), Owner: party, Accepted: time.Now(),
			CorrelationID: ocpi.NewMessageID(), Method: "PUT", Module: ocpi.ModuleHubClientInfo,
			Path: "/" + info.CountryCode + "/" + info.PartyID, Body: body,
		},
		fanout: f, announces: info.Role, total: 1, counters: f.metrics.of(ocpi.ModuleHubClientInfo),
	}
	d.left.Store(1)
	f.queue(to.Platform.ID, &leg{of: d})
}

// Announced waits until all platforms have answered the ClientInfos of parties that
// were pushed here, or ctx ends. What other replicas pass on of these parties' objects
// comes behind them then (O5).
func (f *Fanout) Announced(ctx context.Context, of []ocpi.PartyKey) {
	f.mu.Lock()
	lanes := slices.Collect(maps.Values(f.lanes))
	f.mu.Unlock()
	for _, l := range lanes {
		for _, party := range of {
			opened := l.opened(party)
			if opened == nil {
				continue
			}
			select {
			case <-opened:
			case <-ctx.Done():
				return
			}
		}
	}
}

// queue puts a leg in the lane of its platform.
func (f *Fanout) queue(id parties.PlatformID, g *leg) {
	f.waiting.Add(1)
	for {
		f.mu.Lock()
		l := f.lanes[id]
		if l == nil {
			l = newLane(f, id, f.closed)
			f.lanes[id] = l
		}
		f.mu.Unlock()
		if l.add(g) {
			break
		} // else it was removed in this moment
	}
	if !f.watching.Load() && f.waiting.Load() > 0 {
		f.watch()
	}
}

// watch looks after the lanes while there are legs.
func (f *Fanout) watch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.watching.Swap(true) {
		return
	}
	f.running.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			f.sendHome(false)
			select {
			case <-f.ctx.Done():
				return
			case <-tick.C:
			}
			f.look()
			f.sendHome(true)
			// In this order, so that a leg queued now finds a watcher or is seen.
			f.watching.Store(false)
			if f.waiting.Load() == 0 || f.watching.Swap(true) {
				return
			}
		}
	})
}

// look ends what waits for platforms that are no longer reachable, and forgets
// the lanes of those that are gone.
func (f *Fanout) look() {
	snapshot := f.cfg.Directory.Snapshot()
	f.mu.Lock()
	var lost []*lane
	for id, l := range f.lanes {
		if e := snapshot.Platform(id); e == nil || !e.Reachable() {
			lost = append(lost, l)
		}
	}
	f.mu.Unlock()
	for _, l := range lost {
		l.clear()
		f.mu.Lock()
		if snapshot.Platform(l.id) == nil && l.retire() {
			delete(f.lanes, l.id)
		}
		f.mu.Unlock()
	}
}

// landed notes that a leg has ended.
func (f *Fanout) landed() {
	if f.waiting.Add(-1) == 0 {
		select {
		case f.empty <- struct{}{}:
		default: // Stop looks at waiting again
		}
	}
}

// Queued is how many legs are queued or in flight.
func (f *Fanout) Queued() int { return int(f.waiting.Load()) }

// Lanes are the numbers of legs that are queued or in flight, for the platforms
// that have any.
func (f *Fanout) Lanes() map[parties.PlatformID]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	lengths := make(map[parties.PlatformID]int)
	for id, l := range f.lanes {
		if n := l.length(); n > 0 {
			lengths[id] = n
		}
	}
	return lengths
}

// Stop waits until all lanes are empty or ctx ends; then it cuts off what is
// left. What is delivered while it waits is still sent; what comes afterwards
// ends at once.
func (f *Fanout) Stop(ctx context.Context) {
	for f.waiting.Load() > 0 {
		select {
		case <-f.empty:
			continue
		case <-ctx.Done():
		}
		break
	}
	if f.cfg.CutOff != nil {
		f.cfg.CutOff()
	}
	f.cancel()
	f.mu.Lock()
	f.closed = true
	lanes := make([]*lane, 0, len(f.lanes))
	for _, l := range f.lanes {
		lanes = append(lanes, l)
	}
	f.mu.Unlock()
	for _, l := range lanes {
		l.close()
	}
	f.sendHome(true)
	f.closePursuit()
	f.running.Wait()
}
