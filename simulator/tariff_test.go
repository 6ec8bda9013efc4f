package simulator

import (
	"testing"
	"time"
)

func priced(parts ...PriceComponent) Tariff {
	return Tariff{Elements: []TariffElement{{parts}}}
}

// The cases are the worked examples of 2.2.1 mod_tariffs, Tariff object.
func TestCostsAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	energy := PriceComponent{Type: Energy, Price: 0.25, VAT: new(10.0), StepSize: 1}
	start := PriceComponent{Type: Flat, Price: 0.50, VAT: new(20.0), StepSize: 1}
	limited := priced(start, energy)
	limited.MaxPrice = &Price{10, 11}
	floored := priced(energy)
	floored.MinPrice = &Price{0.50, 0.55}
	perHour := func(price, vat float64, step int, d Dimension) PriceComponent {
		return PriceComponent{Type: d, Price: price, VAT: new(vat), StepSize: step}
	}
	tests := []struct {
		name   string
		tariff Tariff
		usage  Usage
		want   Price
	}{
		{"0.25 per kWh", priced(energy), Usage{WattHours: 20000}, Price{5.00, 5.50}},
		{"0.25 per kWh and a start fee", priced(start, energy), Usage{WattHours: 20000}, Price{5.50, 6.10}},
		{"minimum price reached", floored, Usage{WattHours: 20000}, Price{5.00, 5.50}},
		{"minimum price applies", floored, Usage{WattHours: 1500}, Price{0.50, 0.55}},
		{"parking in steps of 15 minutes", priced(start, energy, perHour(2, 20, 900, ParkingTime)),
			Usage{WattHours: 20000, Charging: time.Hour, Parking: 40 * time.Minute}, Price{7.00, 7.90}},
		{"maximum price applies", limited, Usage{WattHours: 50000}, Price{10, 11}},
		{"maximum price not reached", limited, Usage{WattHours: 30000}, Price{8.00, 8.85}},
		{"2 per hour", priced(perHour(2, 10, 60, Time)), Usage{Charging: 150 * time.Minute}, Price{5.00, 5.50}},
		{"parking does not count as time", priced(perHour(2, 10, 60, Time)),
			Usage{Charging: 150 * time.Minute, Parking: time.Hour}, Price{5.00, 5.50}},
		{"3 per hour, 5 parking", priced(perHour(3, 10, 60, Time), perHour(5, 20, 300, ParkingTime)),
			Usage{Charging: 150 * time.Minute, Parking: 42 * time.Minute}, Price{11.25, 12.75}},
		{"1.90 per hour", priced(perHour(1.90, 5.2, 300, Time)), Usage{Charging: 150 * time.Minute}, Price{4.75, 5.00}},
		{"energy in steps of 100 Wh", priced(start, PriceComponent{Type: Energy, Price: 0.25, VAT: new(10.0), StepSize: 100}),
			Usage{WattHours: 20450}, Price{5.63, 6.24}},
		{"step_size of parking only, when both are priced", priced(perHour(1, 0, 600, Time), perHour(2, 0, 600, ParkingTime)),
			Usage{Charging: 21 * time.Minute, Parking: 16 * time.Minute}, Price{1.02, 1.02}},
		{"free of charge", priced(PriceComponent{Type: Flat}), Usage{WattHours: 20000}, Price{0, 0}},
	}
	for _, test := range tests {
		if got := test.tariff.Costs(test.usage).Total; got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestCostsKeepTheirParts(t *testing.T) {
	t.Parallel()
	got := priced(
		PriceComponent{Type: Flat, Price: 0.5}, PriceComponent{Type: ParkingTime, Price: 2},
	).Costs(Usage{WattHours: 1000, Parking: 30 * time.Minute})
	if got.Energy != nil || got.Time != nil {
		t.Errorf("costs for dimensions without a price: %+v", got)
	}
	if *got.Fixed != (Price{0.5, 0.5}) || *got.Parking != (Price{1, 1}) {
		t.Errorf("fixed %+v, parking %+v", *got.Fixed, *got.Parking)
	}
}
