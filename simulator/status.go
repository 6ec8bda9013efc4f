package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"busbar/ocpi"
)

// The EVSE states that the simulator sets (2.2.1 mod_locations, Status).
const (
	statusAvailable  = "AVAILABLE"
	statusCharging   = "CHARGING"
	statusReserved   = "RESERVED"
	statusOutOfOrder = "OUTOFORDER"
)

// setStatus changes an EVSE's status in the CPO's own Location. last_updated
// always grows, so that of two changes the newer one can be told.
func (c *CPO) setStatus(s Spot, status string) {
	now := c.p.cfg.Now().Truncate(time.Millisecond) // what a DateTime shows
	_, err := c.locations.edit(fold(s.Location), func(d document) (document, error) {
		if !now.After(d.updated) {
			now = d.updated.Truncate(time.Millisecond).Add(time.Millisecond)
		}
		body, err := editPart(d.body, branches([]string{s.EVSE}), func(evse json.RawMessage) (json.RawMessage, error) {
			o, err := readObject(evse)
			if err != nil {
				return nil, err
			}
			o.setText("status", status)
			o.setText("last_updated", ocpi.FormatTime(now))
			return o.bytes(), nil
		})
		return document{body: body, updated: now}, err
	})
	if err != nil {
		c.p.log.Warn("EVSE status not set", "party", c.Key, "location", s.Location, "evse", s.EVSE, "error", err)
		return
	}
	c.changes.add(s)
}

// SetFault takes an EVSE out of order, or mends it. A car or a reservation keeps
// it from breaking.
func (c *CPO) SetFault(s Spot, broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.setBroken(s.key(), broken) {
		return
	}
	if broken {
		c.setStatus(s, statusOutOfOrder)
	} else {
		c.setStatus(s, statusAvailable)
	}
}

// PushStatus PATCHes an EVSE's status to an eMSP, or to all of them when the
// hub's own party is addressed. When the Location is not known there, it PUTs
// that (2.2.1 transport_and_format, PATCH).
func (c *CPO) PushStatus(ctx context.Context, to ocpi.PartyKey, s Spot) error {
	if err := c.p.cfg.Pace(ctx); err != nil {
		return err
	}
	patch, err := c.statusPatch(s) // as it is now, after the pause
	if err != nil {
		return err
	}
	got, err := c.sendAt(ctx, noPace, ocpi.Request{
		Method: http.MethodPatch, Module: ocpi.ModuleLocations, Interface: ocpi.Receiver, To: ocpi.AddressOf(to),
		Path: "/" + pathOf(c.Key.String(), s.Location, s.EVSE), Body: patch,
	})
	if err != nil {
		return err
	}
	if got.HTTP == http.StatusNotFound || got.Status == ocpi.UnknownLocation {
		return c.PushLocation(ctx, to, s.Location)
	}
	return got.Err()
}

// statusPatch is an EVSE's status as the CPO has it.
func (c *CPO) statusPatch(s Spot) ([]byte, error) {
	d, ok := c.locations.get(fold(s.Location))
	if !ok {
		return nil, fmt.Errorf("%s has no Location %s", c.Key, s.Location)
	}
	raw, err := part(d.body, branches([]string{s.EVSE}))
	if err != nil {
		return nil, fmt.Errorf("Location %s: %w", s.Location, err)
	}
	evse, err := readObject(raw)
	if err != nil {
		return nil, fmt.Errorf("Location %s: %w", s.Location, err)
	}
	updated := evse.get("last_updated")
	if updated == nil {
		updated = encode(ocpi.FormatTime(c.p.cfg.Now()))
	}
	return object{{"status", encode(evse.text("status"))}, {"last_updated", updated}}.bytes(), nil
}

// PushLocation PUTs a whole Location to an eMSP, or to all of them when the
// hub's own party is addressed.
func (c *CPO) PushLocation(ctx context.Context, to ocpi.PartyKey, id string) error {
	return c.putLocation(ctx, c.p.cfg.Pace, to, id)
}

func (c *CPO) putLocation(ctx context.Context, pace Pace, to ocpi.PartyKey, id string) error {
	return c.putFrom(ctx, c.locations, ocpi.ModuleLocations, pace, to, id)
}

// putFrom PUTs an object from one of the CPO's shelves, as it is after the pause.
// The URL has its id in the object's own spelling.
func (c *CPO) putFrom(ctx context.Context, docs *shelf, module ocpi.ModuleID, pace Pace, to ocpi.PartyKey, id string) error {
	if err := pace(ctx); err != nil {
		return err
	}
	d, ok := docs.get(fold(id))
	if !ok {
		return fmt.Errorf("%s has no %s in %s", c.Key, id, module)
	}
	o, err := readObject(d.body)
	if err != nil {
		return err
	}
	got, err := c.sendAt(ctx, noPace, ocpi.Request{
		Method: http.MethodPut, Module: module, Interface: ocpi.Receiver, To: ocpi.AddressOf(to),
		Path: "/" + pathOf(c.Key.String(), o.text("id")), Body: d.body,
	})
	if err == nil {
		err = got.Err()
	}
	if err != nil {
		return fmt.Errorf("PUT %s of %s: %w", id, module, err)
	}
	return nil
}

// PushTariffs PUTs every tariff to an eMSP, or to all of them when the hub's own
// party is addressed.
func (c *CPO) PushTariffs(ctx context.Context, to ocpi.PartyKey) error {
	for _, key := range c.tariffs.keys() {
		if err := c.putTariff(ctx, c.p.cfg.Pace, to, key); err != nil {
			return err
		}
	}
	return nil
}

func (c *CPO) putTariff(ctx context.Context, pace Pace, to ocpi.PartyKey, id string) error {
	return c.putFrom(ctx, c.tariffs, ocpi.ModuleTariffs, pace, to, id)
}

// Sync pulls Locations and Tariffs of all CPOs from the hub, which keeps what
// was broadcast: all of them for a zero since, else what changed (2.2.1
// transport_and_format, GET All via Hubs). It returns how many came.
func (e *EMSP) Sync(ctx context.Context, since time.Time) (locations, tariffs int, err error) {
	hub, err := e.p.hubParty()
	if err != nil {
		return 0, 0, err
	}
	if locations, err = e.PullLocations(ctx, hub, since); err != nil {
		return locations, 0, fmt.Errorf("%s pulls Locations: %w", e.Key, err)
	}
	if tariffs, err = e.pull(ctx, ocpi.ModuleTariffs, e.tariffs, hub, since); err != nil {
		return locations, tariffs, fmt.Errorf("%s pulls Tariffs: %w", e.Key, err)
	}
	return locations, tariffs, nil
}

// PullLocations walks a CPO's list of Locations page by page, or the hub's list
// of all, and keeps what it holds. A zero since asks for all of them. It returns
// how many came.
func (e *EMSP) PullLocations(ctx context.Context, from ocpi.PartyKey, since time.Time) (int, error) {
	return e.pull(ctx, ocpi.ModuleLocations, e.locations, from, since)
}

func (e *EMSP) pull(ctx context.Context, module ocpi.ModuleID, into *shelf, from ocpi.PartyKey, since time.Time) (int, error) {
	req := ocpi.Request{Module: module, Interface: ocpi.Sender, From: ocpi.AddressOf(e.Key), To: ocpi.AddressOf(from)}
	if !since.IsZero() {
		req.Query = "date_from=" + url.QueryEscape(ocpi.FormatTime(since))
	}
	count := 0
	err := e.p.Pages(ctx, req, func(page []json.RawMessage) error {
		for _, raw := range page {
			o, err := readObject(raw)
			if err != nil {
				return fmt.Errorf("list of %s: %w", module, err)
			}
			owner, err := ocpi.ParsePartyKey(o.text("country_code"), o.text("party_id"))
			if err != nil {
				continue // it may be ignored (2.2.1 transport_and_format, Client Owned Object Pull)
			}
			// A push may have overtaken the page.
			into.putNewer(fold(owner.String(), o.text("id")), document{body: raw, updated: looseTime(o.text("last_updated")), from: from})
			count++
		}
		return nil
	})
	return count, err
}

// PushToken PUTs one of the eMSP's tokens to a CPO, or to all of them when the
// hub's own party is addressed.
func (e *EMSP) PushToken(ctx context.Context, cpo ocpi.PartyKey, uid, kind string) error {
	token, ok := e.issued[fold(uid, kind)]
	if !ok {
		return fmt.Errorf("%s has issued no token %s", e.Key, uid)
	}
	if err := e.p.cfg.Pace(ctx); err != nil {
		return err
	}
	got, err := e.p.Do(ctx, ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleTokens, Interface: ocpi.Receiver,
		Path: "/" + pathOf(e.Key.String(), uid), Query: "type=" + url.QueryEscape(kind),
		From: ocpi.AddressOf(e.Key), To: ocpi.AddressOf(cpo), Body: encode(token),
	})
	if err != nil {
		return err
	}
	return got.Err()
}

// CheckLocation reads a Location as an eMSP has it (2.2.1 mod_locations,
// Receiver GET).
func (c *CPO) CheckLocation(ctx context.Context, emsp ocpi.PartyKey, id string) error {
	got, err := c.send(ctx, ocpi.Request{
		Method: http.MethodGet, Module: ocpi.ModuleLocations, Interface: ocpi.Receiver, To: ocpi.AddressOf(emsp),
		Path: "/" + pathOf(c.Key.String(), id),
	})
	if err != nil {
		return err
	}
	return got.Err()
}
