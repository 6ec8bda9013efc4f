package simulator

import (
	"encoding/json"
	"net/http"
	"strings"

	"busbar/ocpi"
)

// EMSP is one e-mobility provider of a platform: it issues tokens, receives
// Locations, Tariffs, Sessions and CDRs, and sends commands.
type EMSP struct {
	Key ocpi.PartyKey
	*inquiries

	p         *Platform
	tokens    *shelf
	list      []Token
	issued    map[string]Token // list by uid and type; read only
	locations *shelf
	tariffs   *shelf
	sessions  *shelf
	cdrs      *shelf
}

// How much an eMSP and a CPO keep of what happens all day; the oldest goes.
const (
	mostSessions = 5000
	mostCDRs     = 5000
	mostCommands = 1000
)

func newEMSP(p *Platform, of Party) *EMSP {
	e := &EMSP{
		Key: of.PartyRole.Party, p: p, tokens: newShelf(0), list: of.Tokens, issued: map[string]Token{},
		locations: newShelf(0), tariffs: newShelf(0), sessions: newShelf(mostSessions), cdrs: newShelf(mostCDRs),
		inquiries: newInquiries(p),
	}
	for _, t := range of.Tokens {
		key := fold(t.UID, t.Type)
		e.issued[key] = t
		updated, _ := ocpi.ParseTime(t.LastUpdated) // unreadable: the beginning of time
		e.tokens.put(key, document{body: encode(t), updated: updated})
	}
	return e
}

func (e *EMSP) faces() map[face]handler {
	location := owned{
		docs: e.locations, id: "id", parts: 2, unknown: ocpi.UnknownLocation, now: e.p.cfg.Now,
		methods: []string{http.MethodGet, http.MethodPut, http.MethodPatch},
	}
	tariff := owned{
		docs: e.tariffs, id: "id", unknown: ocpi.ClientError, now: e.p.cfg.Now,
		methods: []string{http.MethodGet, http.MethodPut, http.MethodDelete},
	}
	return map[face]handler{
		{ocpi.ModuleLocations, ocpi.Receiver}:      location.handle,
		{ocpi.ModuleTariffs, ocpi.Receiver}:        tariff.handle,
		{ocpi.ModuleSessions, ocpi.Receiver}:       sessionReceiver(e.sessions, e.p).handle,
		{ocpi.ModuleCDRs, ocpi.Receiver}:           e.receiveCDR,
		{ocpi.ModuleTokens, ocpi.Sender}:           e.serveTokens,
		{ocpi.ModuleCommands, ocpi.Sender}:         e.receive,
		{ocpi.ModuleChargingProfiles, ocpi.Sender}: e.receive,
	}
}

// sessionReceiver is the Receiver interface of sessions.
func sessionReceiver(docs *shelf, p *Platform) owned {
	return owned{
		docs: docs, id: "id", appends: "charging_periods", unknown: ocpi.ClientError, now: p.cfg.Now,
		methods: []string{http.MethodGet, http.MethodPut, http.MethodPatch},
	}
}

// Tokens are what the eMSP has issued.
func (e *EMSP) Tokens() []Token { return e.list }

// Session returns a Session as the CPO pushed it.
func (e *EMSP) Session(cpo ocpi.PartyKey, id string) (json.RawMessage, bool) {
	d, ok := e.sessions.get(fold(cpo.String(), id))
	return d.body, ok
}

// CDR returns a CDR as the CPO posted it.
func (e *EMSP) CDR(cpo ocpi.PartyKey, id string) (json.RawMessage, bool) {
	d, ok := e.cdrs.get(fold(cpo.String(), id))
	return d.body, ok
}

// Location returns a Location as it was last pushed or pulled.
func (e *EMSP) Location(cpo ocpi.PartyKey, id string) (json.RawMessage, bool) {
	d, ok := e.locations.get(fold(cpo.String(), id))
	return d.body, ok
}

// Tariff returns a Tariff as it was last pushed or pulled.
func (e *EMSP) Tariff(cpo ocpi.PartyKey, id string) (json.RawMessage, bool) {
	d, ok := e.tariffs.get(fold(cpo.String(), id))
	return d.body, ok
}

// Holds is how many Locations and Tariffs the eMSP knows.
func (e *EMSP) Holds() (locations, tariffs int) { return e.locations.size(), e.tariffs.size() }

// receiveCDR stores a CDR under a URL of its own, which the answer's Location
// names (2.2.1 mod_cdrs, Receiver interface).
func (e *EMSP) receiveCDR(in inbound) reply {
	switch in.method {
	case http.MethodGet:
		if len(in.segments) != 3 {
			return missing(ocpi.ClientError, "this URL was given to nobody")
		}
		return in.object(e.cdrs, fold(in.segments[0]+in.segments[1], in.segments[2]))
	case http.MethodPost:
	default:
		return notAllowed(in.method)
	}
	body, err := readObject(in.body)
	if err != nil {
		return invalid("body must be a JSON object")
	}
	owner, err := ocpi.ParsePartyKey(body.text("country_code"), body.text("party_id"))
	if err != nil {
		return invalid("CDR: %v", err)
	}
	id := body.text("id")
	if id == "" {
		return invalid("Missing required field: id")
	}
	key := fold(owner.String(), id)
	if _, known := e.cdrs.get(key); known {
		// CDRs cannot be replaced (2.2.1 mod_cdrs, Flow and Lifecycle).
		return invalid("CDR %s is known already", id)
	}
	e.cdrs.put(key, document{body: in.body, updated: e.p.cfg.Now()})
	r := answer(nil)
	r.headers = []ocpi.Header{{Name: ocpi.HeaderLocation, Value: in.self + "/" + pathOf(owner.String(), id)}}
	return r
}

// serveTokens lists the issued tokens and authorises one (2.2.1 mod_tokens,
// Sender interface).
func (e *EMSP) serveTokens(in inbound) reply {
	switch {
	case in.method == http.MethodGet && len(in.segments) == 0:
		return in.list(e.tokens, ocpi.PartyKey{}, e.p.cfg.PageLimit)
	case in.method == http.MethodPost && len(in.segments) == 2 && in.segments[1] == "authorize":
		return e.authorise(in)
	}
	return notAllowed(in.method)
}

func (e *EMSP) authorise(in inbound) reply {
	kind := in.query.Get("type")
	if kind == "" {
		kind = RFID // 2.2.1 mod_tokens, POST: default if omitted
	}
	token, known := e.issued[fold(in.segments[0], kind)]
	if !known {
		// HTTP 404 and 2004, both, and no data (2.2.1 mod_tokens, POST).
		return missing(ocpi.UnknownToken, "token %s is not known", in.segments[0])
	}
	info := authorizationInfo{Allowed: token.Allowed, Token: token}
	if info.Allowed == "" {
		info.Allowed = Allowed
	}
	if info.Allowed != Allowed {
		text := "Charging is not possible with this card: " + strings.ToLower(string(info.Allowed))
		info.Info = &DisplayText{Language: "en", Text: text}
		return answer(encode(info))
	}
	info.Reference = newID()
	if len(in.body) > 0 {
		var where locationReferences
		if err := json.Unmarshal(in.body, &where); err != nil || where.LocationID == "" {
			return invalid("body must be a LocationReferences object")
		}
		info.Location = &where
	}
	return answer(encode(info))
}
