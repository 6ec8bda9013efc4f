package simulator

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"busbar/ocpi"
)

// CommandType names a command (2.2.1 mod_commands, CommandType).
type CommandType string

// The commands.
const (
	CancelReservation CommandType = "CANCEL_RESERVATION"
	ReserveNow        CommandType = "RESERVE_NOW"
	StartSession      CommandType = "START_SESSION"
	StopSession       CommandType = "STOP_SESSION"
	UnlockConnector   CommandType = "UNLOCK_CONNECTOR"
)

// CommandRequest is a command that an eMSP sends. Which fields count depends on
// the type (2.2.1 mod_commands, Object description).
type CommandRequest struct {
	Type CommandType
	// CPO is whom to ask. Zero: the hub finds it, by the Location, session or
	// reservation that the command names.
	CPO ocpi.PartyKey
	// Spot is for START_SESSION, RESERVE_NOW and UNLOCK_CONNECTOR.
	Spot Spot
	// TokenUID and TokenType name a token of the eMSP, for START_SESSION and
	// RESERVE_NOW.
	TokenUID, TokenType string
	// SessionID is for STOP_SESSION.
	SessionID string
	// ReservationID is for CANCEL_RESERVATION, and for RESERVE_NOW, where empty
	// means a new one.
	ReservationID string
	// For is how long a reservation lasts. 0: 15 minutes.
	For time.Duration
}

// Command is a command that was sent.
type Command struct {
	CommandRequest
	// ID is the last segment of its response_url.
	ID string
	// Response is what the CPO answered at once: ACCEPTED, REJECTED,
	// NOT_SUPPORTED or UNKNOWN_SESSION; Timeout is how long the result may take.
	Response string
	Timeout  time.Duration

	results chan string
}

// CommandRequest.Type of what an eMSP or SCSP asks of a session's power, which
// is no command but goes the same way.
const setChargingProfile CommandType = "SET_CHARGING_PROFILE"

// Result waits for what the charge point did with an accepted command (2.2.1
// mod_commands, CommandResultType). Called again, it waits for the next result:
// a reservation that was accepted may be cancelled by the CPO.
func (c *Command) Result(ctx context.Context) (string, error) {
	select {
	case result := <-c.results:
		return result, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// commandBody is the request body of any of the five commands.
type commandBody struct {
	ResponseURL   string `json:"response_url"`
	Token         *Token `json:"token,omitempty"`
	ExpiryDate    string `json:"expiry_date,omitempty"`
	ReservationID string `json:"reservation_id,omitempty"`
	LocationID    string `json:"location_id,omitempty"`
	EVSEUID       string `json:"evse_uid,omitempty"`
	ConnectorID   string `json:"connector_id,omitempty"`
	SessionID     string `json:"session_id,omitempty"`
	AuthReference string `json:"authorization_reference,omitempty"`
}

// commandResponse is what the Receiver answers at once, commandResult what it
// posts later (2.2.1 mod_commands). The objects of chargingprofiles have the
// same two fields.
type commandResponse struct {
	Result  string        `json:"result"`
	Timeout int           `json:"timeout"`
	Message []DisplayText `json:"message,omitempty"`
}

type commandResult struct {
	Result string `json:"result"`
}

// Command sends a command to a CPO. The result comes back through the hub: the
// response_url lies on the hub's own Sender interface of commands, which sends
// it on to the eMSP's like any other request.
func (e *EMSP) Command(ctx context.Context, req CommandRequest) (*Command, error) {
	base := e.p.Endpoint(ocpi.ModuleCommands, ocpi.Sender)
	if base == "" {
		return nil, fmt.Errorf("%s: the hub has no SENDER interface of commands", req.Type)
	}
	c := newCommand(req)
	body, err := e.commandBody(c)
	if err != nil {
		return nil, err
	}
	body.ResponseURL = strings.TrimSuffix(base, "/") + "/" + string(req.Type) + "/" + c.ID
	e.expect(c)
	return c, e.ask(ctx, c, ocpi.Request{
		Method: http.MethodPost, Module: ocpi.ModuleCommands, Interface: ocpi.Receiver, Path: "/" + string(req.Type),
		From: ocpi.AddressOf(e.Key), To: addressOf(req.CPO), Body: encode(body),
	})
}

// addressOf is an address that may be none.
func addressOf(party ocpi.PartyKey) ocpi.Address {
	if party.IsZero() {
		return ocpi.Address{}
	}
	return ocpi.AddressOf(party)
}

func (e *EMSP) commandBody(c *Command) (commandBody, error) {
	switch c.Type {
	case StopSession:
		return commandBody{SessionID: c.SessionID}, nil
	case CancelReservation:
		return commandBody{ReservationID: c.ReservationID}, nil
	}
	body := commandBody{LocationID: c.Spot.Location, EVSEUID: c.Spot.EVSE}
	if c.Type == UnlockConnector {
		body.ConnectorID = c.Spot.Connector
		return body, nil
	}
	kind := c.TokenType
	if kind == "" {
		kind = RFID
	}
	token, ok := e.issued[fold(c.TokenUID, kind)]
	if !ok {
		return body, fmt.Errorf("%s: %s has issued no token %s", c.Type, e.Key, c.TokenUID)
	}
	body.Token, body.AuthReference = &token, newID()
	if c.Type == StartSession {
		body.ConnectorID = c.Spot.Connector
		return body, nil
	}
	if c.ReservationID == "" {
		c.ReservationID = newID()
	}
	if c.For <= 0 {
		c.For = 15 * time.Minute
	}
	body.ReservationID, body.ExpiryDate = c.ReservationID, ocpi.FormatTime(e.p.cfg.Now().Add(c.For))
	return body, nil
}

// pathOf joins ids to a path, the compact party key split in two, each escaped.
func pathOf(owner string, ids ...string) string {
	parts := []string{owner[:2], owner[2:]}
	for _, id := range ids {
		parts = append(parts, url.PathEscape(id))
	}
	return strings.Join(parts, "/")
}
