package simulator

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"

	"busbar/ocpi"
)

// CPO is one charge point operator of a platform: it serves Locations, Tariffs,
// Sessions and CDRs, receives tokens and commands, and charges cars.
type CPO struct {
	Key ocpi.PartyKey

	p         *Platform
	locations *shelf
	tariffs   *shelf
	sessions  *shelf
	cdrs      *shelf
	tokens    *shelf
	prices    map[string]Tariff // by id; read only
	standard  Tariff
	sites     []site
	bySpot    map[string]*site
	// remote holds sessions that were started by command and wait for a driver.
	remote chan Arrival
	// changes wait for Stream.
	changes *changes

	mu           sync.Mutex
	rand         *rand.Rand
	taken        map[string]hold        // by EVSE key
	active       map[string]*charge     // by session id
	reservations map[string]reservation // by requester and reservation id
}

const mostRemoteStarts = 64

func newCPO(p *Platform, of Party) *CPO {
	key := of.PartyRole.Party
	c := &CPO{
		Key: key, p: p,
		locations: newShelf(0), tariffs: newShelf(0), tokens: newShelf(0),
		sessions: newShelf(mostSessions), cdrs: newShelf(mostCDRs),
		prices: map[string]Tariff{}, bySpot: map[string]*site{},
		remote: make(chan Arrival, mostRemoteStarts), changes: newChanges(),
		rand:  rand.New(rand.NewPCG(p.cfg.Seed, seedOf(key))),
		taken: map[string]hold{}, active: map[string]*charge{}, reservations: map[string]reservation{},
	}
	for _, l := range of.Locations {
		c.locations.put(fold(l.ID), document{body: l.Doc, updated: l.LastUpdated})
		c.sites = append(c.sites, l.sites()...)
	}
	for i := range c.sites {
		c.bySpot[c.sites[i].key()] = &c.sites[i]
	}
	tariffs := of.Tariffs
	if len(tariffs) == 0 {
		tariffs = []Tariff{standardTariff(key, p.cfg.Now())}
	}
	c.standard = tariffs[0]
	for _, t := range tariffs {
		c.prices[fold(t.ID)] = t
		updated, _ := ocpi.ParseTime(t.LastUpdated) // unreadable: the beginning of time
		c.tariffs.put(fold(t.ID), document{body: encode(t), updated: updated})
	}
	return c
}

// seedOf makes a number of a party, so that each draws its own luck.
func seedOf(key ocpi.PartyKey) uint64 {
	n := uint64(0)
	for _, b := range key {
		n = n<<8 | uint64(b)
	}
	return n
}

func (s Spot) key() string { return fold(s.Location, s.EVSE) }

func (c *CPO) faces() map[face]handler {
	token := owned{
		docs: c.tokens, id: "uid", variant: "type", variantDefault: RFID, unknown: ocpi.UnknownToken, now: c.p.cfg.Now,
		methods: []string{http.MethodGet, http.MethodPut, http.MethodPatch},
	}
	return map[face]handler{
		{ocpi.ModuleLocations, ocpi.Sender}:          c.serveLocations,
		{ocpi.ModuleTariffs, ocpi.Sender}:            c.serveTariffs,
		{ocpi.ModuleSessions, ocpi.Sender}:           c.serveSessions,
		{ocpi.ModuleCDRs, ocpi.Sender}:               c.serveCDRs,
		{ocpi.ModuleTokens, ocpi.Receiver}:           token.handle,
		{ocpi.ModuleCommands, ocpi.Receiver}:         c.serveCommand,
		{ocpi.ModuleChargingProfiles, ocpi.Receiver}: c.serveProfile,
	}
}

// Spots lists every EVSE with a connector.
func (c *CPO) Spots() []Spot {
	spots := make([]Spot, len(c.sites))
	for i, s := range c.sites {
		spots[i] = s.Spot
	}
	return spots
}

// Token returns a token as its eMSP pushed it.
func (c *CPO) Token(emsp ocpi.PartyKey, uid, kind string) (json.RawMessage, bool) {
	d, ok := c.tokens.get(fold(emsp.String(), uid, kind))
	return d.body, ok
}

// reader is who may see what belongs to one eMSP: that eMSP, and the hub.
func (c *CPO) reader(in inbound) ocpi.PartyKey {
	if c.p.isHub(in.from.Party) {
		return ocpi.PartyKey{}
	}
	return in.from.Party
}

// serveLocations lists Locations, or answers one, or an EVSE or Connector of it
// (2.2.1 mod_locations, Sender interface).
func (c *CPO) serveLocations(in inbound) reply {
	switch n := len(in.segments); {
	case in.method != http.MethodGet || n > 3:
		return notAllowed(in.method)
	case n == 0:
		return in.list(c.locations, ocpi.PartyKey{}, c.p.cfg.PageLimit)
	}
	d, ok := c.locations.get(fold(in.segments[0]))
	if !ok {
		return missing(ocpi.UnknownLocation, "no Location %s", in.segments[0])
	}
	body, err := part(d.body, branches(in.segments[1:]))
	if err != nil {
		return missing(ocpi.UnknownLocation, "Location %s: %v", in.segments[0], err)
	}
	return answer(body)
}

func (c *CPO) serveTariffs(in inbound) reply {
	if in.method != http.MethodGet || len(in.segments) > 0 {
		return notAllowed(in.method)
	}
	return in.list(c.tariffs, ocpi.PartyKey{}, c.p.cfg.PageLimit)
}

// serveSessions lists the Sessions of the asking eMSP's drivers and takes
// charging preferences (2.2.1 mod_sessions, Sender interface).
func (c *CPO) serveSessions(in inbound) reply {
	switch {
	case in.method == http.MethodGet && len(in.segments) == 0:
		if in.query.Get("date_from") == "" {
			return invalid("Missing required parameter: date_from")
		}
		return in.list(c.sessions, c.reader(in), c.p.cfg.PageLimit)
	case in.method == http.MethodPut && len(in.segments) == 2 && in.segments[1] == "charging_preferences":
		return c.setPreferences(in)
	}
	return notAllowed(in.method)
}

func (c *CPO) serveCDRs(in inbound) reply {
	if in.method != http.MethodGet || len(in.segments) > 0 {
		return notAllowed(in.method)
	}
	return in.list(c.cdrs, c.reader(in), c.p.cfg.PageLimit)
}

// setPreferences answers a ChargingPreferencesResponse. Where the EVSE cannot,
// that is HTTP 404 with 2001 (2.2.1 mod_sessions, ChargingPreferencesResponse).
func (c *CPO) setPreferences(in inbound) reply {
	c.mu.Lock()
	running := c.active[in.segments[0]]
	c.mu.Unlock()
	if running == nil || running.customer() != in.from.Party {
		return missing(ocpi.InvalidParameters, "no running session %s", in.segments[0])
	}
	if !running.site.can("CHARGING_PREFERENCES_CAPABLE") {
		return missing(ocpi.InvalidParameters, "the EVSE takes no charging preferences")
	}
	body, err := readObject(in.body)
	if err != nil || body.text("profile_type") == "" {
		return invalid("Missing required field: profile_type")
	}
	switch body.text("profile_type") {
	case "CHEAP", "GREEN":
		if body.get("departure_time") == nil {
			return answer(encode("DEPARTURE_REQUIRED"))
		}
	}
	return answer(encode("ACCEPTED"))
}

// charge is a session that runs.
type charge struct {
	site    *site
	token   cdrToken
	stopped atomic.Bool // by STOP_SESSION
	profile atomic.Pointer[json.RawMessage]

	// Guarded by the CPO's mu: the SCSP that the session was shared with, and who
	// set its charging profile.
	smart, steered ocpi.PartyKey
}

func (g *charge) customer() ocpi.PartyKey {
	key, err := ocpi.ParsePartyKey(g.token.CountryCode, g.token.PartyID)
	if err != nil {
		return ocpi.PartyKey{} // no party has that key
	}
	return key
}

// running returns a session of one of an eMSP's drivers.
func (c *CPO) running(emsp ocpi.PartyKey) (id string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, g := range c.active {
		if g.customer() == emsp {
			return id, true
		}
	}
	return "", false
}
