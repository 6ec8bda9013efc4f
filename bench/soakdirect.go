//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"busbar/ocpi"
)

// directTraffic is what parties of a country send each other through the hub.
type directTraffic struct {
	*soaking
	mu    sync.Mutex
	kinds map[traffic]*directCount
	count int
	// example is a message that failed.
	example string
}

// directCount is what became of one kind of message.
type directCount struct {
	OK, Failed uint64
	lags       lags
}

func newDirectTraffic(s *soaking) *directTraffic {
	return &directTraffic{soaking: s, kinds: make(map[traffic]*directCount)}
}

// directAtOnce bounds the direct messages that wait for their answer.
const directAtOnce = 256

// mix is what of a hundred messages is what.
var mix = [...]struct {
	below int
	kind  traffic
}{{30, putSession}, {75, patchSession}, {80, postCDR}, {92, authorizeTkn}, {100, startCommand}}

// send sends some message between a CPO and an eMSP that is healthy.
func (d *directTraffic) send(ctx context.Context) {
	cpo := d.field.cpos[d.random.below(len(d.field.cpos))]
	emsps := d.field.in(healthy)
	emsp := emsps[d.random.below(len(emsps))]
	for emsp.Role != ocpi.RoleEMSP {
		emsp = emsps[d.random.below(len(emsps))]
	}
	d.mu.Lock()
	d.count++
	count := d.count
	d.mu.Unlock()
	drawn := d.random.below(100)
	for _, part := range mix {
		if drawn < part.below {
			d.do(ctx, part.kind, d.compose(part.kind, count, cpo, emsp))
			return
		}
	}
}

// compose writes the count-th message.
func (d *directTraffic) compose(kind traffic, count int, cpo, emsp platform) message {
	from, to := cpo.Parties[0], emsp.Parties[0]
	id := "SOAK" + strconv.Itoa(count)
	m := message{Method: "POST", Authorization: cpo.authorization(), From: from, To: to}
	owned := "/" + from.CountryCode() + "/" + from.PartyID() + "/" + id
	path := ""
	now := formatTime(time.Now())
	switch kind {
	case putSession:
		m.Method, path = "PUT", "receiver/sessions"+owned
		m.Body = fmt.Appendf(nil, sessionText, from.CountryCode(), from.PartyID(), id, now, to.CountryCode(), to.PartyID(), id, now)
	case patchSession:
		m.Method, path = "PATCH", "receiver/sessions"+owned
		m.Body = fmt.Appendf(nil, `{"kwh":%d.5,"total_cost":{"excl_vat":%d.25},"last_updated":%q}`, count%80, count%40, now)
	case postCDR:
		path = "receiver/cdrs"
		m.Body = fmt.Appendf(nil, cdrText, from.CountryCode(), from.PartyID(), id, now, now, to.CountryCode(), to.PartyID(), id, now)
	case authorizeTkn:
		path = "sender/tokens/" + id + "/authorize?type=RFID"
		m.Body = []byte(`{"location_id":"LOC1"}`)
	case startCommand:
		m.From, m.To, m.Authorization = to, from, emsp.authorization()
		path = "receiver/commands/START_SESSION"
		m.Body = fmt.Appendf(nil, `{"response_url":%q,"token":{"country_code":%q,"party_id":%q,"uid":%q,"type":"RFID","contract_id":%q,"issuer":"soak","valid":true,"whitelist":"NEVER","last_updated":%q},"location_id":"LOC1"}`,
			"http://"+d.backend.addr+"/"+emsp.Name+"/"+resultPath+id, to.CountryCode(), to.PartyID(), id, id, now)
	}
	m.URL = "http://" + d.hubs[count%len(d.hubs)].seat.listen + "/ocpi/2.2.1/" + path
	return m
}

// The bodies of a Session and of a CDR, which nobody here reads.
const (
	sessionText = `{"country_code":%q,"party_id":%q,"id":%q,"start_date_time":%q,"kwh":0.5,"cdr_token":{"country_code":%q,"party_id":%q,"uid":%q,"type":"RFID","contract_id":"C1"},"auth_method":"WHITELIST","location_id":"LOC1","evse_uid":"1","connector_id":"1","currency":"EUR","status":"ACTIVE","last_updated":%q}`
	cdrText     = `{"country_code":%q,"party_id":%q,"id":%q,"start_date_time":%q,"end_date_time":%q,"cdr_token":{"country_code":%q,"party_id":%q,"uid":%q,"type":"RFID","contract_id":"C1"},"auth_method":"WHITELIST","cdr_location":{"id":"LOC1","address":"Stationsplein 1","city":"Utrecht","country":"NLD","coordinates":{"latitude":"52.1","longitude":"5.1"},"evse_uid":"1","evse_id":"NL*ABC*E1","connector_id":"1","connector_standard":"IEC_62196_T2","connector_format":"SOCKET","connector_power_type":"AC_3_PHASE"},"currency":"EUR","charging_periods":[{"start_date_time":"2026-01-01T00:00:00Z","dimensions":[{"type":"ENERGY","volume":12.5}]}],"total_cost":{"excl_vat":4.5},"total_energy":12.5,"total_time":1.5,"last_updated":%q}`
)

func (d *directTraffic) do(ctx context.Context, kind traffic, m message) {
	sent := time.Now()
	answer, err := d.caller.do(ctx, m)
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.kinds[kind]
	if c == nil {
		c = &directCount{}
		d.kinds[kind] = c
	}
	c.lags.add(time.Since(sent))
	switch {
	case err != nil:
		d.example = string(kind) + ": " + err.Error()
	case !answer.ok():
		d.example = fmt.Sprintf("%s: %d %.300s", kind, answer.HTTP, answer.Body)
	default:
		c.OK++
		return
	}
	c.Failed++
}

// obeyEvery is how often the CPOs post the results of their commands.
const obeyEvery = 100 * time.Millisecond

// obey posts the results of the commands that CPOs got, until ctx ends and none
// is left.
func (d *directTraffic) obey(ctx, whole context.Context) error {
	byName := make(map[string]platform)
	for _, p := range d.field.cpos {
		byName[p.Name] = p
	}
	for {
		last := !pause(ctx, obeyEvery)
		var commands []command
		if err := d.country(whole, "commands", nil, &commands); err != nil {
			return err
		}
		for _, c := range commands {
			cpo := byName[c.CPO]
			d.do(whole, commandResult, message{
				Method: "POST", URL: c.URL, Authorization: cpo.authorization(), Body: []byte(`{"result":"ACCEPTED"}`),
			})
		}
		if last && len(commands) == 0 {
			return nil
		}
	}
}
