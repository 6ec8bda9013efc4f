package simulator

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"busbar/ocpi"
)

// sampleEpoch is when the sample network says it was last updated, so that the
// same seed makes the same bytes. A status that changes later is newer.
var sampleEpoch = time.Date(2025, time.March, 3, 8, 0, 0, 0, time.UTC)

// sampleLocation is a Location of the simulator's own making (2.2.1
// mod_locations, Location object).
type sampleLocation struct {
	CountryCode        string          `json:"country_code"`
	PartyID            string          `json:"party_id"`
	ID                 string          `json:"id"`
	Publish            bool            `json:"publish"`
	Name               string          `json:"name"`
	Address            string          `json:"address"`
	City               string          `json:"city"`
	PostalCode         string          `json:"postal_code"`
	Country            string          `json:"country"`
	Coordinates        coordinates     `json:"coordinates"`
	ParkingType        string          `json:"parking_type"`
	EVSEs              []sampleEVSE    `json:"evses"`
	Operator           businessDetails `json:"operator"`
	Facilities         []string        `json:"facilities"`
	TimeZone           string          `json:"time_zone"`
	OpeningTimes       openingTimes    `json:"opening_times"`
	ChargingWhenClosed bool            `json:"charging_when_closed"`
	LastUpdated        string          `json:"last_updated"`
}

type sampleEVSE struct {
	UID               string            `json:"uid"`
	EVSEID            string            `json:"evse_id"`
	Status            string            `json:"status"`
	Capabilities      []string          `json:"capabilities"`
	Connectors        []sampleConnector `json:"connectors"`
	PhysicalReference string            `json:"physical_reference"`
	LastUpdated       string            `json:"last_updated"`
}

type sampleConnector struct {
	ID               string   `json:"id"`
	Standard         string   `json:"standard"`
	Format           string   `json:"format"`
	PowerType        string   `json:"power_type"`
	MaxVoltage       int      `json:"max_voltage"`
	MaxAmperage      int      `json:"max_amperage"`
	MaxElectricPower int      `json:"max_electric_power"`
	TariffIDs        []string `json:"tariff_ids"`
	LastUpdated      string   `json:"last_updated"`
}

type businessDetails struct {
	Name    string `json:"name"`
	Website string `json:"website,omitempty"`
}

type openingTimes struct {
	TwentyFourSeven bool `json:"twentyfourseven"`
}

// settings are the kinds of places, with what fits to them.
var settings = [...]struct {
	name, parking string
	facilities    []string
	fast          bool
}{
	{"Station", "PARKING_LOT", []string{"TRAIN_STATION", "BUS_STOP"}, false},
	{"Centrum", "PARKING_GARAGE", []string{"MALL", "RESTAURANT"}, false},
	{"Park", "ON_STREET", []string{"RECREATION_AREA"}, false},
	{"Autoport", "ALONG_MOTORWAY", []string{"FUEL_STATION", "CAFE", "WIFI"}, true},
	{"Hotel", "UNDERGROUND_GARAGE", []string{"HOTEL", "WIFI"}, false},
	{"Market", "PARKING_LOT", []string{"SUPERMARKET"}, true},
}

// sampleLocations makes two Locations per city of the party's country, the same
// for the same seed.
func sampleLocations(owner castParty, key ocpi.PartyKey, seed uint64) []Location {
	luck := rand.New(rand.NewPCG(seed, seedOf(key)))
	land := countries()[key.CountryCode()]
	var all []Location
	for i, place := range land.cities {
		for twin := range 2 {
			l := sampleLocation{
				CountryCode: key.CountryCode(), PartyID: key.PartyID(),
				ID: fmt.Sprintf("%s-%03d", key.PartyID(), 2*i+twin+1), Publish: true, City: place.name,
				PostalCode: place.postalCode, Country: land.alpha3, TimeZone: land.timeZone,
				Address:     land.streets[luck.IntN(len(land.streets))] + " " + strconv.Itoa(1+luck.IntN(120)),
				Coordinates: near(place, luck), Operator: businessDetails{owner.name, owner.website},
				OpeningTimes: openingTimes{true}, ChargingWhenClosed: true, LastUpdated: ocpi.FormatTime(sampleEpoch),
			}
			kind := settings[luck.IntN(len(settings))]
			l.Name, l.ParkingType, l.Facilities = kind.name+" "+place.name, kind.parking, kind.facilities
			for n := range 2 + luck.IntN(4) {
				l.EVSEs = append(l.EVSEs, sampleEVSEOf(key, l.ID, n+1, kind.fast))
			}
			all = append(all, Location{Owner: key, ID: l.ID, LastUpdated: sampleEpoch, Doc: encode(l)})
		}
	}
	return all
}

// near scatters Locations over some kilometres.
func near(c city, luck *rand.Rand) coordinates {
	return coordinates{
		Latitude:  fmt.Sprintf("%.6f", c.latitude+(luck.Float64()-0.5)*0.04),
		Longitude: fmt.Sprintf("%.6f", c.longitude+(luck.Float64()-0.5)*0.06),
	}
}

// sampleEVSEOf makes the n-th EVSE of a Location, with an EVSE id as eMI3 writes
// it.
func sampleEVSEOf(key ocpi.PartyKey, location string, n int, fast bool) sampleEVSE {
	at := ocpi.FormatTime(sampleEpoch)
	connector := sampleConnector{
		ID: "1", Standard: "IEC_62196_T2", Format: "SOCKET", PowerType: "AC_3_PHASE", MaxVoltage: 230, MaxAmperage: 32,
		MaxElectricPower: 22000, TariffIDs: []string{tariffAC}, LastUpdated: at,
	}
	can := []string{"RFID_READER", "REMOTE_START_STOP_CAPABLE", "UNLOCK_CAPABLE", "RESERVABLE", "CHARGING_PROFILE_CAPABLE", "CHARGING_PREFERENCES_CAPABLE"}
	if fast {
		connector.Standard, connector.Format, connector.PowerType = "IEC_62196_T2_COMBO", "CABLE", "DC"
		connector.MaxVoltage, connector.MaxAmperage, connector.MaxElectricPower = 920, 250, 150000
		connector.TariffIDs = []string{tariffDC}
		can = []string{"RFID_READER", "REMOTE_START_STOP_CAPABLE", "CONTACTLESS_CARD_SUPPORT", "CHARGING_PROFILE_CAPABLE"}
	}
	uid := fmt.Sprintf("%s-%d", location, n)
	return sampleEVSE{
		UID: uid, EVSEID: fmt.Sprintf("%s*%s*E%s*%d", key.CountryCode(), key.PartyID(), location[len(key.PartyID())+1:], n),
		Status: statusAvailable, Capabilities: can, Connectors: []sampleConnector{connector},
		PhysicalReference: strconv.Itoa(n), LastUpdated: at,
	}
}

// The tariffs of every CPO of the sample.
const (
	tariffAC = "AC-STANDARD"
	tariffDC = "DC-FAST"
)

// sampleTariffs are the two, at prices that differ from party to party.
func sampleTariffs(key ocpi.PartyKey, seed uint64) []Tariff {
	luck := rand.New(rand.NewPCG(seed+1, seedOf(key)))
	vat := countries()[key.CountryCode()].vat
	price := func(from float64) float64 { return cents(from + float64(luck.IntN(12))/100) }
	make := func(id string, parts ...PriceComponent) Tariff {
		for i := range parts {
			parts[i].VAT = &vat
		}
		return Tariff{
			CountryCode: key.CountryCode(), PartyID: key.PartyID(), ID: id, Currency: "EUR", Type: "REGULAR",
			Elements: []TariffElement{{parts}}, LastUpdated: ocpi.FormatTime(sampleEpoch),
		}
	}
	return []Tariff{
		make(tariffAC,
			PriceComponent{Type: Energy, Price: price(0.28), StepSize: 1},
			PriceComponent{Type: ParkingTime, Price: price(0.60), StepSize: 300}),
		make(tariffDC,
			PriceComponent{Type: Flat, Price: price(0.25), StepSize: 1},
			PriceComponent{Type: Energy, Price: price(0.46), StepSize: 1},
			PriceComponent{Type: ParkingTime, Price: price(4.80), StepSize: 60}),
	}
}

// sampleTokens are an eMSP's cards and app users; some may not charge.
func sampleTokens(issuer castParty, key ocpi.PartyKey, seed uint64) []Token {
	const cards, apps = 30, 10
	luck := rand.New(rand.NewPCG(seed+2, seedOf(key)))
	trouble := map[int]AllowedType{3: Blocked, 11: Expired, 19: NoCredit, 27: NotAllowed}
	language := map[string]string{"NL": "nl", "FR": "fr", "LT": "lt"}[key.CountryCode()]
	if language == "" {
		language = "de"
	}
	var all []Token
	for i := range cards + apps {
		contract := fmt.Sprintf("%s-%s-C%08d", key.CountryCode(), key.PartyID(), 10000+i)
		t := Token{
			CountryCode: key.CountryCode(), PartyID: key.PartyID(), UID: fmt.Sprintf("%014X", luck.Uint64()>>8), Type: RFID,
			ContractID: contract, VisualNumber: contract, Issuer: issuer.name, Valid: true, Whitelist: "ALLOWED",
			Language: language, LastUpdated: ocpi.FormatTime(sampleEpoch), Allowed: trouble[i],
		}
		t.Valid = t.Allowed == "" || t.Allowed == NotAllowed
		if i >= cards {
			// Whitelisting has no use for app users (2.2.1 mod_tokens, TokenType).
			t.Type, t.Whitelist, t.VisualNumber = AppUser, "NEVER", ""
		}
		all = append(all, t)
	}
	return all
}
