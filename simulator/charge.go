package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"busbar/ocpi"
)

// Arrival is a car at an EVSE and the token that its driver shows.
type Arrival struct {
	Spot Spot
	// EMSP is the provider that the card names. Zero: the CPO does not know, and
	// lets the hub find out (2.2.1 transport_and_format, Open Routing Request).
	EMSP ocpi.PartyKey
	// AskHub addresses the hub instead of nobody, when EMSP is zero.
	AskHub   bool
	TokenUID string
	// TokenType is empty for RFID.
	TokenType string

	// command is set when START_SESSION brought the token: it is authorised
	// already (2.2.1 mod_commands, StartSession).
	command *commandBody
}

// Outcome is how an arrival went.
type Outcome struct {
	// Allowed is what the eMSP said; only after Allowed is the rest set.
	Allowed   AllowedType
	SessionID string
	CDRID     string
	// CDRURL is where the CDR can be read again, as the hub gave it.
	CDRURL string
	Total  Price
}

// ErrOccupied tells that another car or a reservation has the EVSE.
var ErrOccupied = errors.New("the EVSE is occupied")

// RemoteStart returns a session that an eMSP started by command and that nobody
// charges yet; ok is false when there is none.
func (c *CPO) RemoteStart() (a Arrival, ok bool) {
	select {
	case a = <-c.remote:
		return a, true
	default:
		return a, false
	}
}

// Charge plays an arrival to its end: authorisation, Session, CDR, each through
// the hub to the token's eMSP. A driver who is refused leaves: no error.
func (c *CPO) Charge(ctx context.Context, a Arrival) (Outcome, error) {
	s, ok := c.bySpot[a.Spot.key()]
	if !ok {
		return Outcome{}, fmt.Errorf("%s has no EVSE %s", c.Key, a.Spot.key())
	}
	// A remote start has taken the EVSE when it was accepted.
	if a.command == nil && !c.occupy(s.key(), a.EMSP) {
		return Outcome{}, ErrOccupied
	}
	defer c.free(s.key())
	run, outcome, err := c.authorise(ctx, s, a)
	if err != nil || outcome.Allowed != Allowed {
		return outcome, err
	}
	c.setStatus(s.Spot, statusCharging)
	defer c.setStatus(s.Spot, statusAvailable)
	err = run.play(ctx, &outcome)
	return outcome, err
}

// authorise asks the token's eMSP (2.2.1 mod_tokens, Real-time authorization),
// unless a command brought the token.
func (c *CPO) authorise(ctx context.Context, s *site, a Arrival) (*run, Outcome, error) {
	if a.command != nil {
		r := c.newRun(s, authorisation{a.EMSP, a.command.Token.forCDR(), authCommand, a.command.AuthReference})
		return r, Outcome{Allowed: Allowed}, nil
	}
	query := ""
	if a.TokenType != "" {
		query = "type=" + url.QueryEscape(a.TokenType)
	}
	to := addressOf(a.EMSP)
	if to.IsZero() && a.AskHub {
		to = addressOf(c.p.Hub())
	}
	got, err := c.send(ctx, ocpi.Request{
		Method: http.MethodPost, Module: ocpi.ModuleTokens, Interface: ocpi.Sender,
		Path: "/" + url.PathEscape(a.TokenUID) + "/authorize", Query: query, To: to,
		Body: encode(locationReferences{LocationID: s.Location, EVSEUIDs: []string{s.EVSE}}),
	})
	if err != nil {
		return nil, Outcome{}, err
	}
	if got.Status == ocpi.UnknownToken {
		return nil, Outcome{Allowed: UnknownToken}, nil
	}
	if err := got.Err(); err != nil {
		return nil, Outcome{}, fmt.Errorf("authorize: %w", err)
	}
	var info authorizationInfo
	if err := json.Unmarshal(got.Data, &info); err != nil {
		return nil, Outcome{}, fmt.Errorf("authorize: AuthorizationInfo: %w", err)
	}
	emsp := a.EMSP
	if emsp.IsZero() {
		// The token says who issued it; the rest of the story goes there.
		if emsp, err = ocpi.ParsePartyKey(info.Token.CountryCode, info.Token.PartyID); err != nil {
			return nil, Outcome{}, fmt.Errorf("authorize: AuthorizationInfo: token: %w", err)
		}
	}
	r := c.newRun(s, authorisation{emsp, info.Token.forCDR(), authRequest, info.Reference})
	return r, Outcome{Allowed: info.Allowed}, nil
}

// run is a charge with what its messages need.
type run struct {
	charge
	authorisation
	c      *CPO
	id     string
	tariff Tariff
	story  story
}

// authorisation is by whom and how a driver may charge.
type authorisation struct {
	emsp      ocpi.PartyKey
	card      cdrToken
	method    string // 2.2.1 mod_cdrs, AuthMethod
	reference string
}

func (c *CPO) newRun(s *site, by authorisation) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	tariff := c.standard
	for _, id := range s.connector.TariffIDs {
		if t, ok := c.prices[fold(string(id))]; ok {
			tariff = t
			break
		}
	}
	return &run{
		charge: charge{site: s, token: by.card}, authorisation: by, c: c, id: newID(), tariff: tariff,
		story: newStory(s, c.p.cfg.Now().UTC().Truncate(time.Second), c.rand),
	}
}

// play tells the story: PUT ACTIVE, a PATCH for each chapter, PUT COMPLETED,
// POST CDR.
func (r *run) play(ctx context.Context, out *Outcome) error {
	out.SessionID = r.id
	if err := r.put(ctx, r.session(0, sessionActive)); err != nil {
		return err
	}
	// Nobody can ask for a session that nobody was told of.
	r.c.mu.Lock()
	r.c.active[r.id] = &r.charge
	r.c.mu.Unlock()
	defer func() {
		r.c.mu.Lock()
		delete(r.c.active, r.id)
		r.c.mu.Unlock()
	}()
	done := 0
	// A CDR needs one period at least, however soon the driver stops.
	for done < len(r.story.chapters) && (done == 0 || !r.stopped.Load()) {
		done++
		if err := r.patch(ctx, done); err != nil {
			return err
		}
	}
	r.story = r.story.until(done)
	if err := r.put(ctx, r.session(done, sessionCompleted)); err != nil {
		return err
	}
	return r.postCDR(ctx, out)
}

// session is the Session after n chapters.
func (r *run) session(n int, status string) session {
	told := r.story.until(n)
	costs := r.tariff.Costs(told.usage())
	s := session{
		CountryCode: r.c.Key.CountryCode(), PartyID: r.c.Key.PartyID(), ID: r.id,
		StartDateTime: ocpi.FormatTime(told.start), KWh: float64(told.usage().WattHours) / 1000,
		CDRToken: r.card, AuthMethod: r.method, AuthReference: r.reference,
		LocationID: r.site.Location, EVSEUID: r.site.EVSE, ConnectorID: r.site.Connector,
		Currency: r.tariff.Currency, ChargingPeriods: told.periods(r.tariff.ID), TotalCost: &costs.Total,
		Status: status, LastUpdated: ocpi.FormatTime(r.c.p.cfg.Now()),
	}
	if status == sessionCompleted {
		s.EndDateTime = ocpi.FormatTime(told.end())
	}
	return s
}

func (r *run) keep(s session) {
	r.c.sessions.put(fold(r.id), document{body: encode(s), updated: r.c.p.cfg.Now(), audience: r.emsp})
}

func (r *run) put(ctx context.Context, s session) error {
	r.keep(s)
	return r.push(ctx, http.MethodPut, encode(s))
}

// patch sends the n-th chapter. The receiver adds its period to those it has
// (2.2.1 mod_sessions, PATCH), so only the new one is sent.
func (r *run) patch(ctx context.Context, n int) error {
	s := r.session(n, sessionActive)
	r.keep(s)
	return r.push(ctx, http.MethodPatch, encode(sessionPatch{
		KWh: s.KWh, ChargingPeriods: s.ChargingPeriods[n-1:], TotalCost: s.TotalCost, Status: s.Status, LastUpdated: s.LastUpdated,
	}))
}

func (r *run) push(ctx context.Context, method string, body []byte) error {
	got, err := r.c.send(ctx, ocpi.Request{
		Method: method, Module: ocpi.ModuleSessions, Interface: ocpi.Receiver,
		Path: "/" + pathOf(r.c.Key.String(), r.id), To: ocpi.AddressOf(r.emsp), Body: body,
	})
	if err == nil {
		err = got.Err()
	}
	if err != nil {
		return fmt.Errorf("session %s: %s: %w", r.id, method, err)
	}
	return nil
}

// send sends a message of this CPO when its turn has come.
func (c *CPO) send(ctx context.Context, req ocpi.Request) (Answer, error) {
	return c.sendAt(ctx, c.p.cfg.Pace, req)
}

func (c *CPO) sendAt(ctx context.Context, pace Pace, req ocpi.Request) (Answer, error) {
	if err := pace(ctx); err != nil {
		return Answer{}, err
	}
	req.From = ocpi.AddressOf(c.Key)
	return c.p.Do(ctx, req)
}
