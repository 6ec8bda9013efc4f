//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"busbar/ocpi"
)

// statuses are those that an EVSE changes between here, all of one length, so
// that every push is as long as the next.
var statuses = [...]string{"CHARGING", "RESERVED"}

// sampleLocation writes the n-th Location of an owner. Locations are as long as
// real ones (2.8 KB on average) and no more alike: names, places, EVSEs,
// connectors, hours and times all differ, so that what compresses them is not
// flattered.
func sampleLocation(buf []byte, n int, owner ocpi.PartyKey) []byte {
	d := draw{rand.New(rand.NewPCG(uint64(n), 1)), owner}
	city := d.of(cities[:])
	street := d.word() + d.of([]string{"straat", "weg", "laan", "plein", "kade", "dijk", "singel", "park"})
	house := 1 + d.IntN(400)
	buf = fmt.Appendf(buf, `{"country_code":%q,"party_id":%q,"id":%q,"publish":%t,"name":"%s %s %s","address":"%s %d","city":%q,"postal_code":"%d%c%c","country":"NLD","coordinates":{"latitude":"%d.%06d","longitude":"%d.%06d"},"parking_type":%q,"evses":[`,
		owner.CountryCode(), owner.PartyID(), locationID(n), d.IntN(20) > 0, d.of(places[:]), street, city, street, house, city,
		1000+d.IntN(9000), 'A'+d.IntN(26), 'A'+d.IntN(26), 51+d.IntN(2), d.IntN(1_000_000), 4+d.IntN(3), d.IntN(1_000_000),
		d.of([]string{"ON_STREET", "PARKING_LOT", "PARKING_GARAGE", "ALONG_MOTORWAY"}))
	// One operator builds one site: its EVSEs have the same plug and tariff.
	e := site{plugs[d.IntN(len(plugs))], d.IntN(100_000), d.IntN(10_000_000), d.of(levels[:])}
	for i := range 2 + d.IntN(4) {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = d.evse(buf, n, i, e)
	}
	buf = fmt.Appendf(buf, `],"directions":[{"language":"nl","text":"%s %s, %s %d m na %s."}],"operator":{"name":"Laadbedrijf %s","website":"https://%s.example"},"facilities":[%q,%q],"time_zone":"Europe/Amsterdam","opening_times":`,
		d.of(places[:]), d.word(), d.word(), 10*d.IntN(90), d.word(), owner.PartyID(), owner.PartyID(),
		d.of(facilities[:]), d.of(facilities[:]))
	buf = d.hours(buf)
	return fmt.Appendf(buf, `,"energy_mix":{"is_green_energy":%t,"energy_sources":[{"source":"WIND","percentage":%d}],"supplier_name":"%s Stroom"},"last_updated":%q}`,
		d.IntN(3) > 0, d.IntN(101), d.word(), d.time())
}

// locationID and evseUID are how the n-th Location and its i-th EVSE are called.
func locationID(n int) string       { return "LOC" + strconv.Itoa(n) }
func evseUID(n, i int) string       { return fmt.Sprintf("%016x-%d", uint64(n+1)*0x9e3779b97f4a7c15, i+1) }
func evsePath(n int) string         { return "/" + locationID(n) + "/" + evseUID(n, 0) }
func locationPath(n int) string     { return "/" + locationID(n) }
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// sampleStatus is the body of a PATCH of an EVSE, as long as the one of P2.
func sampleStatus(status string, at time.Time) []byte {
	return statusBody(status, formatTime(at))
}

func statusBody(status, lastUpdated string) []byte {
	return fmt.Appendf(nil, `{"status":%q,"capabilities":["RFID_READER"],"physical_reference":"1","floor_level":"-1","status_schedule":[],"last_updated":%q}`,
		status, lastUpdated)
}

// draw makes up one Location.
type draw struct {
	*rand.Rand
	owner ocpi.PartyKey
}

func (d draw) of(choices []string) string { return choices[d.IntN(len(choices))] }

// word is a name that nobody has.
func (d draw) word() string {
	text := d.of(onsets[:])
	for range 1 + d.IntN(2) {
		text += d.of(rimes[:])
	}
	return text
}

// time is in the last year, to the second.
func (d draw) time() string {
	return formatTime(time.Date(2025, 6, 1, 0, 0, d.IntN(365*86400), 0, time.UTC))
}

// site is what the EVSEs of a Location share.
type site struct {
	plug           plug
	tariff, number int
	level          string
}

type plug struct {
	standard, format, power string
	volts, amperes, watts   int
}

func (d draw) evse(buf []byte, n, i int, of site) []byte {
	buf = fmt.Appendf(buf, `{"uid":%q,"evse_id":"NL*%s*E%07d*%d","status":%q,"capabilities":["RFID_READER","REMOTE_START_STOP_CAPABLE"],"connectors":[`,
		evseUID(n, i), d.owner.PartyID(), of.number, i+1, d.of([]string{"AVAILABLE", "CHARGING", "OUTOFORDER", "RESERVED"}))
	for c := range 1 + d.IntN(5)/4 {
		if c > 0 {
			buf = append(buf, ',')
		}
		buf = fmt.Appendf(buf, `{"id":"%d","standard":%q,"format":%q,"power_type":%q,"max_voltage":%d,"max_amperage":%d,"max_electric_power":%d,"tariff_ids":["T-%d"],"last_updated":%q}`,
			100_000+d.IntN(900_000), of.plug.standard, of.plug.format, of.plug.power, of.plug.volts, of.plug.amperes, of.plug.watts, of.tariff, d.time())
	}
	return fmt.Appendf(buf, `],"floor_level":%q,"physical_reference":"%02d-%d","parking_restrictions":["EV_ONLY"],"last_updated":%q}`,
		of.level, d.IntN(100), i+1, d.time())
}

func (d draw) hours(buf []byte) []byte {
	if d.IntN(2) == 0 {
		return append(buf, `{"twentyfourseven":true}`...)
	}
	buf = append(buf, `{"twentyfourseven":false,"regular_hours":[`...)
	for day := 1; day <= 7; day++ {
		if day > 1 {
			buf = append(buf, ',')
		}
		buf = fmt.Appendf(buf, `{"weekday":%d,"period_begin":"%02d:%02d","period_end":"%02d:%02d"}`,
			day, 5+d.IntN(5), 15*d.IntN(4), 18+d.IntN(6), 15*d.IntN(4))
	}
	return append(buf, `]}`...)
}

var (
	cities = [...]string{
		"Utrecht", "Amsterdam", "Rotterdam", "Den Haag", "Eindhoven", "Groningen", "Tilburg", "Almere", "Breda", "Nijmegen",
		"Apeldoorn", "Haarlem", "Arnhem", "Enschede", "Amersfoort", "Zwolle", "Leiden", "Maastricht", "Dordrecht", "Ede",
		"Alkmaar", "Delft", "Venlo", "Deventer", "Assen", "Gouda", "Hilversum", "Roosendaal", "Emmen", "Middelburg",
	}
	places = [...]string{
		"Parkeerplaats", "Garage", "Stationsplein", "Winkelcentrum", "Tankstation", "Hotel", "Sporthal", "Gemeentehuis",
		"Ziekenhuis", "Bouwmarkt", "Supermarkt", "Zwembad", "Haven", "Kantoor", "School", "Restaurant",
	}
	facilities = [...]string{"TRAIN_STATION", "RESTAURANT", "WIFI", "HOTEL", "SUPERMARKET", "PARKING_LOT", "NATURE", "SPORT", "FUEL_STATION", "CAFE"}
	onsets     = [...]string{"B", "Br", "D", "Dr", "G", "Gr", "H", "K", "Kl", "L", "M", "N", "P", "R", "S", "Sch", "St", "T", "V", "W", "Z", "Zw"}
	rimes      = [...]string{"aan", "eer", "ij", "oos", "uin", "elde", "onk", "ardt", "ick", "oek", "andel", "ester", "ooi", "ing", "ouw", "erse"}
	levels     = [...]string{"-2", "-1", "0", "0", "1", "2"}
	plugs      = [...]plug{
		{"IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 16, 11040},
		{"IEC_62196_T2", "SOCKET", "AC_3_PHASE", 230, 32, 22080},
		{"IEC_62196_T2_COMBO", "CABLE", "DC", 500, 300, 150000},
		{"IEC_62196_T2_COMBO", "CABLE", "DC", 920, 500, 350000},
		{"CHADEMO", "CABLE", "DC", 500, 125, 50000},
	}
)
