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

// setStatus changes an EVSE's status in the CPO's own Location.
func (c *CPO) setStatus(s Spot, status string) {
	now := c.p.cfg.Now()
	_, err := c.locations.edit(fold(s.Location), func(d document) (document, error) {
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
	}
}

// SetFault takes an EVSE out of order, or mends it. A car or a reservation keeps
// it from breaking.
func (c *CPO) SetFault(s Spot, broken bool) {
	if !c.setBroken(s.key(), broken) {
		return
	}
	if broken {
		c.setStatus(s, statusOutOfOrder)
	} else {
		c.setStatus(s, statusAvailable)
	}
}

// PushStatus PATCHes an EVSE's status to an eMSP. When the eMSP does not have
// the Location, it PUTs that (2.2.1 transport_and_format, PATCH).
func (c *CPO) PushStatus(ctx context.Context, emsp ocpi.PartyKey, s Spot) error {
	d, ok := c.locations.get(fold(s.Location))
	if !ok {
		return fmt.Errorf("%s has no Location %s", c.Key, s.Location)
	}
	raw, err := part(d.body, branches([]string{s.EVSE}))
	if err != nil {
		return fmt.Errorf("Location %s: %w", s.Location, err)
	}
	evse, err := readObject(raw)
	if err != nil {
		return fmt.Errorf("Location %s: %w", s.Location, err)
	}
	updated := evse.get("last_updated")
	if updated == nil {
		updated = encode(ocpi.FormatTime(c.p.cfg.Now()))
	}
	patch := object{{"status", encode(evse.text("status"))}, {"last_updated", updated}}
	req := ocpi.Request{
		Method: http.MethodPatch, Module: ocpi.ModuleLocations, Interface: ocpi.Receiver, To: ocpi.AddressOf(emsp),
		Path: "/" + pathOf(c.Key.String(), s.Location, s.EVSE), Body: patch.bytes(),
	}
	got, err := c.send(ctx, req)
	if err != nil {
		return err
	}
	if got.HTTP == http.StatusNotFound || got.Status == ocpi.UnknownLocation {
		return c.PushLocation(ctx, emsp, s.Location)
	}
	return got.Err()
}

// PushLocation PUTs a whole Location to an eMSP.
func (c *CPO) PushLocation(ctx context.Context, emsp ocpi.PartyKey, id string) error {
	d, ok := c.locations.get(fold(id))
	if !ok {
		return fmt.Errorf("%s has no Location %s", c.Key, id)
	}
	got, err := c.send(ctx, ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleLocations, Interface: ocpi.Receiver, To: ocpi.AddressOf(emsp),
		Path: "/" + pathOf(c.Key.String(), id), Body: d.body,
	})
	if err != nil {
		return err
	}
	return got.Err()
}

// PushTariffs PUTs every tariff to an eMSP.
func (c *CPO) PushTariffs(ctx context.Context, emsp ocpi.PartyKey) error {
	tariffs, _ := c.tariffs.page(window{limit: c.tariffs.size()}, ocpi.PartyKey{})
	for _, body := range tariffs {
		o, err := readObject(body)
		if err != nil {
			return err
		}
		got, err := c.send(ctx, ocpi.Request{
			Method: http.MethodPut, Module: ocpi.ModuleTariffs, Interface: ocpi.Receiver, To: ocpi.AddressOf(emsp),
			Path: "/" + pathOf(c.Key.String(), o.text("id")), Body: body,
		})
		if err == nil {
			err = got.Err()
		}
		if err != nil {
			return fmt.Errorf("tariff %s: %w", o.text("id"), err)
		}
	}
	return nil
}

// PullLocations walks a CPO's list of Locations page by page and keeps what it
// holds. A zero since asks for all of them. It returns how many came.
func (e *EMSP) PullLocations(ctx context.Context, cpo ocpi.PartyKey, since time.Time) (int, error) {
	req := ocpi.Request{
		Module: ocpi.ModuleLocations, Interface: ocpi.Sender, From: ocpi.AddressOf(e.Key), To: ocpi.AddressOf(cpo),
	}
	if !since.IsZero() {
		req.Query = "date_from=" + url.QueryEscape(ocpi.FormatTime(since))
	}
	count := 0
	err := e.p.Pages(ctx, req, func(page []json.RawMessage) error {
		for _, raw := range page {
			o, err := readObject(raw)
			if err != nil {
				return fmt.Errorf("Location: %w", err)
			}
			owner, err := ocpi.ParsePartyKey(o.text("country_code"), o.text("party_id"))
			if err != nil {
				continue // it may be ignored (2.2.1 transport_and_format, Client Owned Object Pull)
			}
			e.locations.put(fold(owner.String(), o.text("id")), document{body: raw, updated: e.p.cfg.Now()})
			count++
		}
		return nil
	})
	return count, err
}

// PushToken PUTs one of the eMSP's tokens to a CPO.
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
