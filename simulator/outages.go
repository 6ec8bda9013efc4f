package simulator

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"busbar/ocpi"
)

// outages count the messages of a network, by which its platforms go offline and
// come back, so that a faster network lives faster.
type outages struct {
	sent atomic.Int64
	// turns is odd while a platform is away.
	turns atomic.Int64
	// looks has room for one; it tells that there is something to see.
	looks chan struct{}
}

func newOutages() *outages { return &outages{looks: make(chan struct{}, 1)} }

func (o *outages) look() {
	select {
	case o.looks <- struct{}{}:
	default:
	}
}

// counting is the pace, counted.
func (o *outages) counting(pace Pace) Pace {
	return func(ctx context.Context) error {
		o.sent.Add(1)
		o.look()
		return pace(ctx)
	}
}

// until waits for a condition, and at most for so many messages of the network.
// It tells whether the condition came true. Only one may wait.
func (o *outages) until(ctx context.Context, most int, condition func() bool) bool {
	end := o.sent.Load() + int64(most)
	for !condition() {
		if o.sent.Load() >= end {
			return false
		}
		select {
		case <-o.looks:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// pause waits for so many messages of the network.
func (o *outages) pause(ctx context.Context, messages int) {
	o.until(ctx, messages, func() bool { return false })
}

// explain tells whether a platform was away at any time since turns was read.
func (o *outages) explain(turns int64) bool { return turns%2 == 1 || o.turns.Load() != turns }

// frail is the platform that goes offline: the last one that has eMSPs only.
func (n *Network) frail() *Platform {
	for _, p := range slices.Backward(n.platforms) {
		only := true
		for _, role := range p.Roles() {
			only = only && role.Role == ocpi.RoleEMSP
		}
		if only {
			return p
		}
	}
	return nil
}

// takeOffline lets a platform go offline and come back, until ctx ends.
func (n *Network) takeOffline(ctx context.Context) {
	p := n.frail()
	if p == nil {
		return
	}
	select {
	case <-n.published:
	case <-ctx.Done():
		return
	}
	for {
		n.outages.pause(ctx, n.cfg.OutageAfter)
		if ctx.Err() != nil {
			return
		}
		turns := n.outages.turns.Add(1)
		err := n.outage(ctx, p)
		n.outages.turns.Add(1)
		n.note(ctx, "outage", err, turns-1)
	}
}

const (
	// cutOff bounds how long requests under way may take when a platform goes
	// offline.
	cutOff = 5 * time.Second
	// missed is how long before it went offline a platform asks from: what the
	// hub was about to send then has been lost too.
	missed = time.Minute
	// patience is how many times as long as an outage the network waits until
	// all know of it.
	patience = 25
)

// outage plays one: gone, until all others have heard from the hub, and back.
func (n *Network) outage(ctx context.Context, p *Platform) error {
	since := p.cfg.Now().Add(-missed)
	n.tell("%s %v goes offline: its server refuses connections, and it sends nothing", p.Name(), p.Roles())
	bounded, cancel := context.WithTimeout(ctx, cutOff)
	err := p.GoOffline(bounded)
	cancel()
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	n.hear(ctx, p, ocpi.Offline)
	n.outages.pause(ctx, n.cfg.OutageLasts)
	if err := p.ComeBack(ctx); err != nil {
		return err
	}
	if err := n.catchUp(ctx, p, since); err != nil {
		return err
	}
	n.hear(ctx, p, ocpi.Connected)
	return nil
}

// hear waits until the other platforms know of a platform's status.
func (n *Network) hear(ctx context.Context, p *Platform, status ocpi.ConnectionStatus) {
	others := len(n.platforms) - 1
	all := n.outages.until(ctx, patience*n.cfg.OutageLasts, func() bool { return n.knowing(p, status) == others })
	switch {
	case ctx.Err() != nil:
	case all:
		n.tell("the %d other platforms know by HubClientInfo: %s is %s", others, p.Name(), status)
	default:
		n.tell("only %d of %d other platforms were told that %s is %s", n.knowing(p, status), others, p.Name(), status)
	}
}

// knowing counts the other platforms that know a platform's status.
func (n *Network) knowing(p *Platform, status ocpi.ConnectionStatus) int {
	count := 0
	for _, other := range n.platforms {
		knows := other != p
		for _, role := range p.Roles() {
			knows = knows && other.Status(role) == status
		}
		if knows {
			count++
		}
	}
	return count
}

// catchUp fetches what a platform missed; that it calls tells the hub that it is
// back.
func (n *Network) catchUp(ctx context.Context, p *Platform, since time.Time) error {
	infos, err := p.PullClientInfos(ctx)
	if err != nil {
		return err
	}
	n.tell("%s is back: it calls in and reads the status of %d parties", p.Name(), infos)
	for _, member := range p.parties {
		if member.emsp == nil {
			continue
		}
		what := "changed since " + ocpi.FormatTime(since)
		n.mu.Lock()
		if n.pulled[member.emsp.Key.String()].IsZero() {
			since, what = time.Time{}, "in all" // it never had the whole list
		}
		n.mu.Unlock()
		locations, _, err := member.emsp.Sync(ctx, since)
		if err != nil {
			return err
		}
		holds, _ := member.emsp.Holds()
		n.tell("%s catches up by GET All: %d Locations %s; it has %d", member.emsp.Key, locations, what, holds)
	}
	return nil
}
