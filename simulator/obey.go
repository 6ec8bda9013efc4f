package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"busbar/ocpi"
)

// What a CPO answers to a command at once, and what its charge points do with
// it (2.2.1 mod_commands, CommandResponseType and CommandResultType).
const (
	accepted           = "ACCEPTED"
	rejected           = "REJECTED"
	notSupported       = "NOT_SUPPORTED"
	unknownSession     = "UNKNOWN_SESSION"
	evseOccupied       = "EVSE_OCCUPIED"
	evseInoperative    = "EVSE_INOPERATIVE"
	unknownReservation = "UNKNOWN_RESERVATION"

	canceledReservation = "CANCELED_RESERVATION"
)

// commandTimeout is what the CPO promises, in seconds.
const commandTimeout = 30

// verdict is what a CPO makes of a command: the answer, and what the charge
// point will say when the answer is ACCEPTED.
type verdict struct {
	response, result string
	status           ocpi.StatusCode // 0: 1000
	message          string
}

// serveCommand answers a command and posts its result to the response_url
// afterwards (2.2.1 mod_commands, Flow).
func (c *CPO) serveCommand(in inbound) reply {
	if in.method != http.MethodPost {
		return notAllowed(in.method)
	}
	if len(in.segments) != 1 {
		return invalid("URL must be {command}")
	}
	var body commandBody
	if err := json.Unmarshal(in.body, &body); err != nil {
		return invalid("body does not fit the command: %v", err)
	}
	if fault := c.checkResponseURL(body.ResponseURL); fault != nil {
		return refuse(fault)
	}
	v, fault := c.obey(CommandType(in.segments[0]), body, in.from)
	if fault != nil {
		return refuse(fault)
	}
	return c.respond(in, v, callback{body.ResponseURL, ocpi.ModuleCommands, encode(commandResult{v.result})})
}

// callback is a result on its way to a response_url.
type callback struct {
	url    string
	module ocpi.ModuleID
	body   []byte
}

// respond answers a verdict; an accepted one is followed by its result, which
// goes back to the requester under this CPO's own credentials token.
func (c *CPO) respond(in inbound, v verdict, result callback) reply {
	r := answer(encode(commandResponse{Result: v.response, Timeout: commandTimeout}))
	if v.status != 0 {
		r.status, r.message = v.status, v.message
	}
	if v.response != accepted {
		return r
	}
	r.then = func(ctx context.Context) {
		if err := c.deliver(ctx, in.from, result); err != nil {
			c.p.log.Log(ctx, levelOf(err), "result not delivered", "party", c.Key, "to", in.from.Party, "module", result.module, "error", err)
		}
	}
	return r
}

// levelOf is how loudly to complain: that a receiver is away is nobody's fault.
func levelOf(err error) slog.Level {
	var refusal *Refusal
	if errors.Is(err, ErrOffline) || errors.As(err, &refusal) && refusal.Status >= ocpi.HubError {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// deliver posts a result to a response_url.
func (c *CPO) deliver(ctx context.Context, to ocpi.Address, result callback) error {
	got, err := c.p.Follow(ctx, result.url, ocpi.Request{
		Method: http.MethodPost, Module: result.module, Interface: ocpi.Sender,
		From: ocpi.AddressOf(c.Key), To: to, Body: result.body,
	})
	if err != nil {
		return err
	}
	return got.Err()
}

// checkResponseURL refuses a URL that is not on the hub: the CPO's credentials
// token goes nowhere else.
func (c *CPO) checkResponseURL(raw string) *ocpi.Error {
	if raw == "" {
		return ocpi.Errorf(ocpi.InvalidParameters, "Missing required field: response_url")
	}
	if u, err := url.Parse(raw); err != nil || !c.p.isHubURL(u) {
		return ocpi.Errorf(ocpi.InvalidParameters, "field response_url: is not on the host that this platform is registered at")
	}
	return nil
}

func (c *CPO) obey(command CommandType, body commandBody, from ocpi.Address) (verdict, *ocpi.Error) {
	switch command {
	case StopSession:
		return c.stopSession(body, from.Party), nil
	case CancelReservation:
		return c.cancelReservation(body, from.Party), nil
	case StartSession, ReserveNow, UnlockConnector:
	default:
		return verdict{}, ocpi.Errorf(ocpi.InvalidParameters, "command %q is not one of OCPI 2.2.1", command)
	}
	if command != UnlockConnector && body.Token == nil {
		return verdict{}, ocpi.Errorf(ocpi.InvalidParameters, "Missing required field: token")
	}
	s := c.find(body.LocationID, body.EVSEUID)
	if s == nil {
		// As in the diagram "UNLOCK_CONNECTOR Unknown Location".
		return verdict{response: rejected, status: ocpi.UnknownLocation, message: "Unknown Location or EVSE"}, nil
	}
	switch command {
	case StartSession:
		return c.startSession(s, body, from.Party), nil
	case ReserveNow:
		return c.reserve(s, body, from), nil
	}
	if !s.can("UNLOCK_CAPABLE") {
		return verdict{response: accepted, result: notSupported}, nil
	}
	return verdict{response: accepted, result: accepted}, nil
}

// find looks up an EVSE. Without a uid it is a free one of the Location, since
// the charge point may decide (2.2.1 mod_commands, StartSession), or any.
func (c *CPO) find(location, evse string) *site {
	if evse != "" {
		return c.bySpot[Spot{Location: location, EVSE: evse}.key()]
	}
	var some *site
	for i := range c.sites {
		s := &c.sites[i]
		if fold(s.Location) != fold(location) {
			continue
		}
		if c.isFree(s.key()) {
			return s
		}
		some = s
	}
	return some
}

// startSession takes the EVSE and queues the arrival; a driver of the simulator
// charges it. The CPO does not check the token (2.2.1 mod_commands,
// StartSession).
func (c *CPO) startSession(s *site, body commandBody, from ocpi.PartyKey) verdict {
	if c.isBroken(s.key()) {
		return verdict{response: accepted, result: evseInoperative}
	}
	if !c.occupy(s.key(), from) {
		return verdict{response: accepted, result: evseOccupied}
	}
	select {
	case c.remote <- Arrival{Spot: s.Spot, EMSP: from, TokenUID: body.Token.UID, TokenType: body.Token.Type, command: &body}:
		return verdict{response: accepted, result: accepted}
	default:
		c.free(s.key())
		return verdict{response: rejected}
	}
}

func (c *CPO) stopSession(body commandBody, from ocpi.PartyKey) verdict {
	c.mu.Lock()
	running := c.active[body.SessionID]
	c.mu.Unlock()
	switch {
	case running == nil:
		return verdict{response: unknownSession}
	case running.customer() != from:
		return verdict{response: rejected}
	}
	running.stopped.Store(true)
	return verdict{response: accepted, result: accepted}
}

// reserve keeps an EVSE for a driver until the expiry date.
func (c *CPO) reserve(s *site, body commandBody, from ocpi.Address) verdict {
	if !s.can("RESERVABLE") {
		return verdict{response: notSupported}
	}
	until, err := ocpi.ParseTime(body.ExpiryDate)
	if err != nil || body.ReservationID == "" {
		return verdict{
			response: rejected, status: ocpi.InvalidParameters, message: "Missing required field: expiry_date or reservation_id",
		}
	}
	wanted := reservation{evse: s.key(), by: from, until: until, responseURL: body.ResponseURL}
	if !c.book(reservationKey(from.Party, body.ReservationID), wanted) {
		return verdict{response: accepted, result: evseOccupied}
	}
	return verdict{response: accepted, result: accepted}
}

func (c *CPO) cancelReservation(body commandBody, from ocpi.PartyKey) verdict {
	if _, known := c.unbook(reservationKey(from, body.ReservationID)); !known {
		return verdict{response: accepted, result: unknownReservation}
	}
	return verdict{response: accepted, result: accepted}
}

// errNoReservation tells that it expired, was used, or never was.
var errNoReservation = errors.New("there is no such reservation")

// Withdraw cancels a reservation that the CPO had accepted: the driver's eMSP is
// told at the response_url of its RESERVE_NOW, once more (2.2.1 mod_commands,
// Reservation canceled by the CPO).
func (c *CPO) Withdraw(ctx context.Context, emsp ocpi.PartyKey, reservationID string) error {
	r, known := c.unbook(reservationKey(emsp, reservationID))
	if !known {
		return fmt.Errorf("%s: reservation %s of %s: %w", c.Key, reservationID, emsp, errNoReservation)
	}
	if err := c.p.cfg.Pace(ctx); err != nil {
		return err
	}
	return c.deliver(ctx, r.by, callback{r.responseURL, ocpi.ModuleCommands, encode(commandResult{canceledReservation})})
}
