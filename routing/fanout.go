package routing

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
	"busbar/parties"
)

// Fanout sends broadcasts to their receivers: one lane for each receiving
// platform, so that none waits for another.
type Fanout struct{ cfg FanoutConfig }

// FanoutConfig wires a Fanout.
type FanoutConfig struct {
	Directory *parties.Directory
	Hub       ocpi.PartyKey
	// Timeout bounds one leg.
	Timeout  time.Duration
	Journals []Journal
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	// Suspect is told of a platform that could not be reached; it must not block.
	Suspect func(parties.PlatformID)
}

// NewFanout makes a Fanout.
func NewFanout(cfg FanoutConfig) *Fanout { return &Fanout{cfg: cfg} }

// Deliver queues a broadcast's legs and returns; done is called when all of them
// have ended.
func (f *Fanout) Deliver(b *Broadcast, done func()) { done() }

// PushClientInfo queues PUTs of a party's ClientInfo to the platform. What is
// queued afterwards of that party's objects waits for them (O5). It implements
// parties.Pusher.
func (f *Fanout) PushClientInfo(to *parties.Entry, info ocpi.ClientInfo) {}

// Stop waits until all lanes are empty or ctx ends; then it cuts off what is
// left.
func (f *Fanout) Stop(ctx context.Context) {}

// Queued is how many legs wait in all lanes.
func (f *Fanout) Queued() int { return 0 }

// Lanes are the platforms for which legs wait, and how many.
func (f *Fanout) Lanes() map[parties.PlatformID]int { return nil }
