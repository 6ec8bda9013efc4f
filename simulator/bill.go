package simulator

import (
	"context"
	"fmt"
	"net/http"

	"busbar/ocpi"
)

// postCDR sends the CDR of a finished charge to the token's eMSP (2.2.1
// mod_cdrs, Push model).
func (r *run) postCDR(ctx context.Context, out *Outcome) error {
	record := r.cdr()
	body := encode(record)
	r.c.cdrs.put(fold(record.ID), document{body: body, updated: r.c.p.cfg.Now(), audience: r.emsp})
	got, err := r.c.send(ctx, ocpi.Request{
		Method: http.MethodPost, Module: ocpi.ModuleCDRs, Interface: ocpi.Receiver, To: ocpi.AddressOf(r.emsp), Body: body,
	})
	if err == nil {
		err = got.Err()
	}
	if err != nil {
		return fmt.Errorf("CDR %s: %w", record.ID, err)
	}
	out.CDRID, out.CDRURL, out.Total = record.ID, got.Header.Get(ocpi.HeaderLocation), record.TotalCost
	return nil
}

// cdr is the whole story with its price. total_time counts charging and parking
// (2.2.1 mod_cdrs, CDR object).
func (r *run) cdr() cdr {
	usage := r.story.usage()
	costs := r.tariff.Costs(usage)
	return cdr{
		CountryCode: r.c.Key.CountryCode(), PartyID: r.c.Key.PartyID(), ID: newID(),
		StartDateTime: ocpi.FormatTime(r.story.start), EndDateTime: ocpi.FormatTime(r.story.end()),
		SessionID: r.id, CDRToken: r.card, AuthMethod: r.method, AuthReference: r.reference,
		Location: r.site.forCDR(), Currency: r.tariff.Currency, Tariffs: []Tariff{r.tariff},
		ChargingPeriods: r.story.periods(r.tariff.ID),
		TotalCost:       costs.Total, TotalFixedCost: costs.Fixed,
		TotalEnergy: float64(usage.WattHours) / 1000, TotalEnergyCost: costs.Energy,
		TotalTime: decimals4((usage.Charging + usage.Parking).Hours()), TotalTimeCost: costs.Time,
		TotalParkingTime: decimals4(usage.Parking.Hours()), TotalParkingCost: costs.Parking,
		LastUpdated: ocpi.FormatTime(r.c.p.cfg.Now()),
	}
}

// ReadCDR gets a CDR back from where its eMSP keeps it (2.2.1 mod_cdrs,
// Receiver GET), to see that it arrived.
func (c *CPO) ReadCDR(ctx context.Context, emsp ocpi.PartyKey, cdrURL string) (Answer, error) {
	if err := c.p.cfg.Pace(ctx); err != nil {
		return Answer{}, err
	}
	return c.p.Follow(ctx, cdrURL, ocpi.Request{
		Method: http.MethodGet, Module: ocpi.ModuleCDRs, Interface: ocpi.Receiver,
		From: ocpi.AddressOf(c.Key), To: ocpi.AddressOf(emsp),
	})
}
