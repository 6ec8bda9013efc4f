package simulator

import (
	"math"
	"time"

	"busbar/ocpi"
)

// Tariff is the object of the tariffs module (2.2.1 mod_tariffs, Tariff object)
// as far as the simulator's CPOs use it: no restrictions, hence no times of
// day.
type Tariff struct {
	CountryCode string          `json:"country_code"`
	PartyID     string          `json:"party_id"`
	ID          string          `json:"id"`
	Currency    string          `json:"currency"`
	Type        string          `json:"type,omitempty"`
	AltText     []DisplayText   `json:"tariff_alt_text,omitempty"`
	MinPrice    *Price          `json:"min_price,omitempty"`
	MaxPrice    *Price          `json:"max_price,omitempty"`
	Elements    []TariffElement `json:"elements"`
	LastUpdated string          `json:"last_updated"`
}

// TariffElement groups price components (2.2.1 mod_tariffs, TariffElement).
type TariffElement struct {
	PriceComponents []PriceComponent `json:"price_components"`
}

// PriceComponent prices one dimension (2.2.1 mod_tariffs, PriceComponent): Price
// per kWh, per hour, or once; VAT in percent; StepSize in Wh or seconds, 0
// counts as 1.
type PriceComponent struct {
	Type     Dimension `json:"type"`
	Price    float64   `json:"price"`
	VAT      *float64  `json:"vat,omitempty"`
	StepSize int       `json:"step_size"`
}

// Dimension is what a price component or a charging period measures (2.2.1
// mod_tariffs, TariffDimensionType; mod_cdrs, CdrDimensionType).
type Dimension string

// The dimensions that the simulator uses. MaxPower stands in periods only.
const (
	Energy      Dimension = "ENERGY"
	Flat        Dimension = "FLAT"
	ParkingTime Dimension = "PARKING_TIME"
	Time        Dimension = "TIME"
	MaxPower    Dimension = "MAX_POWER"
)

// Price is an amount of money (2.2.1 types, Price).
type Price struct {
	ExclVAT float64 `json:"excl_vat"`
	InclVAT float64 `json:"incl_vat"`
}

// DisplayText is a text for people (2.2.1 types, DisplayText).
type DisplayText struct {
	Language string `json:"language"`
	Text     string `json:"text"`
}

// Usage is what a car took: energy in Wh, and how long it charged and only
// parked.
type Usage struct {
	WattHours         int
	Charging, Parking time.Duration
}

// Costs are the totals of a session, as a CDR has them (2.2.1 mod_cdrs, CDR
// object). A nil part has no price in the tariff.
type Costs struct {
	Total                        Price
	Fixed, Energy, Time, Parking *Price
}

// Costs prices a usage. Each dimension is rounded to cents: OCPI leaves rounding
// to law and contract (2.2.1 mod_tariffs, Tariff object, NOTE).
func (t Tariff) Costs(u Usage) Costs {
	var c Costs
	charging, parking := t.billedTimes(u)
	if p, ok := t.component(Flat); ok {
		c.Fixed = p.times(1)
	}
	if p, ok := t.component(Energy); ok {
		c.Energy = p.times(float64(stepUp(u.WattHours, p.StepSize)) / 1000)
	}
	if p, ok := t.component(Time); ok {
		c.Time = p.times(float64(charging) / 3600)
	}
	if p, ok := t.component(ParkingTime); ok {
		c.Parking = p.times(float64(parking) / 3600)
	}
	for _, part := range []*Price{c.Fixed, c.Energy, c.Time, c.Parking} {
		if part != nil {
			c.Total.ExclVAT += part.ExclVAT
			c.Total.InclVAT += part.InclVAT
		}
	}
	c.Total = t.bounded(Price{cents(c.Total.ExclVAT), cents(c.Total.InclVAT)})
	return c
}

// component is the first one of a dimension: no element has restrictions, so
// the first applies (2.2.1 mod_tariffs, Tariff object).
func (t Tariff) component(d Dimension) (PriceComponent, bool) {
	for _, e := range t.Elements {
		for _, p := range e.PriceComponents {
			if p.Type == d {
				return p, true
			}
		}
	}
	return PriceComponent{}, false
}

// billedTimes are the seconds to pay for. step_size counts once for TIME and
// PARKING_TIME together, for the period that comes last (2.2.1 mod_cdrs,
// step_size).
func (t Tariff) billedTimes(u Usage) (charging, parking int) {
	charging, parking = int(u.Charging.Seconds()), int(u.Parking.Seconds())
	byTime, hasTime := t.component(Time)
	byParking, hasParking := t.component(ParkingTime)
	switch {
	case parking > 0 && hasParking:
		parking = stepUp(parking, byParking.StepSize)
	case hasTime:
		charging = stepUp(charging, byTime.StepSize)
	}
	return charging, parking
}

// bounded applies min_price and max_price, each with and without VAT (2.2.1
// mod_tariffs, Tariff object, NOTE).
func (t Tariff) bounded(p Price) Price {
	if t.MinPrice != nil {
		p = Price{max(p.ExclVAT, t.MinPrice.ExclVAT), max(p.InclVAT, t.MinPrice.InclVAT)}
	}
	if t.MaxPrice != nil {
		p = Price{min(p.ExclVAT, t.MaxPrice.ExclVAT), min(p.InclVAT, t.MaxPrice.InclVAT)}
	}
	return p
}

func (p PriceComponent) times(volume float64) *Price {
	excl, vat := p.Price*volume, 0.0
	if p.VAT != nil {
		vat = *p.VAT
	}
	return &Price{ExclVAT: cents(excl), InclVAT: cents(excl * (100 + vat) / 100)}
}

func stepUp(n, step int) int {
	if step <= 1 {
		return n
	}
	return (n + step - 1) / step * step
}

// cents rounds to two decimals. The addend makes up for decimal halves that
// have no exact binary form.
func cents(x float64) float64 { return math.Round(x*100+1e-7) / 100 }

// decimals4 rounds to the precision of OCPI numbers (2.2.1 types, number).
func decimals4(x float64) float64 { return math.Round(x*1e4) / 1e4 }

// standardTariff is what a CPO charges that brought no tariff of its own.
func standardTariff(owner ocpi.PartyKey, at time.Time) Tariff {
	vat := 20.0
	return Tariff{
		CountryCode: owner.CountryCode(), PartyID: owner.PartyID(), ID: "STANDARD", Currency: "EUR", Type: "REGULAR",
		Elements: []TariffElement{{[]PriceComponent{
			{Type: Flat, Price: 0.35, VAT: &vat, StepSize: 1},
			{Type: Energy, Price: 0.42, VAT: &vat, StepSize: 1},
		}}},
		LastUpdated: ocpi.FormatTime(at),
	}
}
