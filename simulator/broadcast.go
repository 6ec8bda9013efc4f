package simulator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"busbar/ocpi"
)

// changes are the EVSEs whose status nobody was told yet, the oldest change
// first. An EVSE that changes again before it is told stands in it once.
type changes struct {
	mu      sync.Mutex
	order   []Spot
	waiting map[string]bool
	// more has room for one; it tells that order is no longer empty.
	more chan struct{}
}

func newChanges() *changes {
	return &changes{waiting: map[string]bool{}, more: make(chan struct{}, 1)}
}

func (c *changes) add(s Spot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key := s.key(); !c.waiting[key] {
		c.waiting[key] = true
		c.order = append(c.order, s)
	}
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *changes) take() (Spot, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.order) == 0 {
		return Spot{}, false
	}
	s := c.order[0]
	c.order = c.order[1:]
	delete(c.waiting, s.key())
	return s, true
}

// next waits for a change, or until ctx ends.
func (c *changes) next(ctx context.Context) (Spot, error) {
	for ctx.Err() == nil {
		if s, ok := c.take(); ok {
			return s, nil
		}
		select {
		case <-c.more:
		case <-ctx.Done():
		}
	}
	return Spot{}, ctx.Err()
}

// Publish broadcasts everything that the CPO offers: its Tariffs, then its
// Locations, which name them. pace is asked before every message; nil: the
// platform's. What the hub refuses is left out, and the error says how much that
// was; any other error ends it.
func (c *CPO) Publish(ctx context.Context, pace Pace) error {
	if pace == nil {
		pace = c.p.cfg.Pace
	}
	hub, err := c.p.hubParty()
	if err != nil {
		return err
	}
	var first error
	refused := 0
	publish := func(err error) error {
		if !errors.As(err, new(*Refusal)) {
			return err
		}
		if refused++; first == nil {
			first = err
		}
		return nil
	}
	for _, key := range c.tariffs.keys() {
		if err := publish(c.putTariff(ctx, pace, hub, key)); err != nil {
			return err
		}
	}
	for _, key := range c.locations.keys() {
		if err := publish(c.putLocation(ctx, pace, hub, key)); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%s: the hub refuses %d objects, first: %w", c.Key, refused, first)
	}
	return nil
}

// Stream broadcasts every change of an EVSE's status, one after the other, so
// that the last one arrives last everywhere; a change that was overtaken by the
// next of the same EVSE is not sent. It returns nil when ctx ends; what was not
// sent then is for the next Stream. A refusal is logged.
func (c *CPO) Stream(ctx context.Context) error {
	hub, err := c.p.hubParty()
	if err != nil {
		return err
	}
	for {
		s, err := c.changes.next(ctx)
		if err != nil {
			return nil
		}
		if err := c.tellStatus(ctx, hub, s); err != nil && ctx.Err() == nil {
			c.p.log.Log(ctx, levelOf(err), "status not broadcast", "party", c.Key, "location", s.Location, "evse", s.EVSE, "error", err)
		}
	}
}

// tellStatus puts back what could not be sent because somebody ended it, or
// because the platform is offline; then it waits until it is back.
func (c *CPO) tellStatus(ctx context.Context, to ocpi.PartyKey, s Spot) error {
	err := c.PushStatus(ctx, to, s)
	switch {
	case errors.Is(err, ErrOffline):
		c.changes.add(s)
		select {
		case <-c.p.back():
		case <-ctx.Done():
		}
		return nil
	case ctx.Err() != nil:
		c.changes.add(s)
	}
	return err
}

// errNoHub tells that the credentials of the other side have no role HUB.
var errNoHub = errors.New("the other side does not say which party the hub is")

// hubParty is Hub, or an error.
func (p *Platform) hubParty() (ocpi.PartyKey, error) {
	if _, err := p.hubToken(); err != nil {
		return ocpi.PartyKey{}, err
	}
	if hub := p.Hub(); !hub.IsZero() {
		return hub, nil
	}
	return ocpi.PartyKey{}, errNoHub
}
