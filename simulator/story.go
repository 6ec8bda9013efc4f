package simulator

import (
	"math"
	"math/rand/v2"
	"time"

	"busbar/ocpi"
)

// story is how a car charges, decided before it starts: chapters of charging,
// one message each, and perhaps one of parking.
type story struct {
	start    time.Time
	power    float64 // kW
	chapters []chapter
}

// chapter is one charging period: charging when it has energy, else parking.
type chapter struct {
	lasts     time.Duration
	wattHours int
}

// newStory tells a charge that ends at end, so that nothing it says lies in the
// future: time is compressed, and the whole charge has just happened.
func newStory(s *site, end time.Time, luck *rand.Rand) story {
	power := math.Min(s.kilowatts(), 11)
	minutes, chapters := 45+luck.IntN(180), 2+luck.IntN(3)
	if s.direct() {
		power = math.Min(s.kilowatts(), float64(60+luck.IntN(120)))
		minutes = 12 + luck.IntN(30)
	}
	each := time.Duration(minutes) * time.Minute / time.Duration(chapters)
	each = each.Round(time.Second)
	t := story{power: decimals4(power)}
	for i := range chapters {
		load := 0.95
		if i == chapters-1 {
			load = 0.6 // a full battery takes less
		}
		t.chapters = append(t.chapters, chapter{each, int(power * 1000 * load * each.Hours())})
	}
	if luck.IntN(3) == 0 {
		t.chapters = append(t.chapters, chapter{lasts: time.Duration(5+luck.IntN(40)) * time.Minute})
	}
	t.start = end
	for _, c := range t.chapters {
		t.start = t.start.Add(-c.lasts)
	}
	return t
}

// until is the story's first n chapters.
func (t story) until(n int) story {
	t.chapters = t.chapters[:n]
	return t
}

func (t story) end() time.Time {
	end := t.start
	for _, c := range t.chapters {
		end = end.Add(c.lasts)
	}
	return end
}

// usage is what is to pay for.
func (t story) usage() Usage {
	var u Usage
	for _, c := range t.chapters {
		u.WattHours += c.wattHours
		if c.wattHours > 0 {
			u.Charging += c.lasts
		} else {
			u.Parking += c.lasts
		}
	}
	return u
}

// periods are the chapters as OCPI has them. All dimensions are allowed in CDRs
// too (2.2.1 mod_cdrs, CdrDimensionType: Session Only).
func (t story) periods(tariff string) []chargingPeriod {
	var periods []chargingPeriod
	at := t.start
	for _, c := range t.chapters {
		p := chargingPeriod{StartDateTime: ocpi.FormatTime(at), TariffID: tariff}
		hours := decimals4(c.lasts.Hours())
		if c.wattHours > 0 {
			p.Dimensions = []cdrDimension{{Energy, float64(c.wattHours) / 1000}, {Time, hours}, {MaxPower, t.power}}
		} else {
			p.Dimensions = []cdrDimension{{ParkingTime, hours}}
		}
		periods = append(periods, p)
		at = at.Add(c.lasts)
	}
	return periods
}
