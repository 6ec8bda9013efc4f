package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"busbar/ocpi"
)

// serveProfile is the Receiver interface of chargingprofiles: GET, PUT and
// DELETE for a running session, each answered at once and followed by a result
// at the response_url (2.2.1 mod_charging_profiles, Receiver interface).
func (c *CPO) serveProfile(in inbound) reply {
	if len(in.segments) != 1 {
		return invalid("URL must be {session_id}")
	}
	responseURL := in.query.Get("response_url")
	var set struct {
		Profile     json.RawMessage `json:"charging_profile"`
		ResponseURL string          `json:"response_url"`
	}
	switch in.method {
	case http.MethodGet:
		if n, err := strconv.Atoi(in.query.Get("duration")); err != nil || n <= 0 {
			return invalid("parameter duration: must be seconds, 1 or more")
		}
	case http.MethodPut:
		if err := json.Unmarshal(in.body, &set); err != nil || set.Profile == nil {
			return invalid("Missing required field: charging_profile")
		}
		responseURL = set.ResponseURL
	case http.MethodDelete:
	default:
		return notAllowed(in.method)
	}
	if fault := c.checkResponseURL(responseURL); fault != nil {
		return refuse(fault)
	}
	v, result := c.applyProfile(in, set.Profile)
	return c.respond(in, v, callback{responseURL, ocpi.ModuleChargingProfiles, result})
}

// profileResult is any of the three results (2.2.1 mod_charging_profiles):
// profile stands in that of a GET only.
type profileResult struct {
	Result  string         `json:"result"`
	Profile *activeProfile `json:"profile,omitempty"`
}

type activeProfile struct {
	StartDateTime string          `json:"start_date_time"`
	Profile       json.RawMessage `json:"charging_profile"`
}

func (c *CPO) applyProfile(in inbound, set json.RawMessage) (verdict, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := c.active[in.segments[0]]
	switch {
	case running == nil:
		return verdict{response: unknownSession}, nil
	case running.customer() != in.from.Party && running.smart != in.from.Party:
		return verdict{response: rejected}, nil
	case !running.site.can("CHARGING_PROFILE_CAPABLE"):
		return verdict{response: notSupported}, nil
	}
	result := profileResult{Result: accepted}
	switch in.method {
	case http.MethodPut:
		running.profile.Store(&set)
		running.steered = in.from.Party
	case http.MethodDelete:
		running.steered = ocpi.PartyKey{}
		if running.profile.Swap(nil) == nil {
			result.Result = "UNKNOWN" // no profile was set
		}
	default:
		result.Profile = &activeProfile{ocpi.FormatTime(c.p.cfg.Now()), running.activeProfile()}
	}
	return verdict{response: accepted}, encode(result)
}

// activeProfile is what was set, else the maximum of the EVSE.
func (g *charge) activeProfile() json.RawMessage {
	if set := g.profile.Load(); set != nil {
		return *set
	}
	return profileOf(int(g.site.kilowatts() * 1000))
}

// errNoSession tells that a session has ended, or that nobody steers it.
var errNoSession = errors.New("no such session is running")

// LimitPower tells of a limit of the charge point's own, in W: who set the
// session's charging profile hears of it (2.2.1 mod_charging_profiles, Flow).
// With open, the message names no receiver and the hub finds it.
func (c *CPO) LimitPower(ctx context.Context, session string, watts int, open bool) error {
	c.mu.Lock()
	running := c.active[session]
	if running == nil || running.steered.IsZero() {
		c.mu.Unlock()
		return fmt.Errorf("session %s: %w", session, errNoSession)
	}
	profile := profileOf(watts)
	running.profile.Store(&profile)
	to := ocpi.AddressOf(running.steered)
	c.mu.Unlock()
	if open {
		to = ocpi.Address{}
	}
	got, err := c.send(ctx, ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleChargingProfiles, Interface: ocpi.Sender,
		Path: "/" + url.PathEscape(session), To: to,
		Body: encode(activeProfile{ocpi.FormatTime(c.p.cfg.Now()), profile}),
	})
	if err != nil {
		return err
	}
	return got.Err()
}

// SetProfile limits the power of a running session of one of the eMSP's
// drivers, in W. The Command it returns waits for the result. Without a CPO the
// hub finds it by the session.
func (e *EMSP) SetProfile(ctx context.Context, cpo ocpi.PartyKey, session string, watts int) (*Command, error) {
	return e.setProfile(ctx, e.Key, cpo, session, watts)
}

func (q *inquiries) setProfile(ctx context.Context, from, cpo ocpi.PartyKey, session string, watts int) (*Command, error) {
	base := q.p.Endpoint(ocpi.ModuleChargingProfiles, ocpi.Sender)
	if base == "" {
		return nil, fmt.Errorf("the hub has no SENDER interface of %s", ocpi.ModuleChargingProfiles)
	}
	c := newCommand(CommandRequest{Type: setChargingProfile, CPO: cpo, SessionID: session})
	body := object{
		{"charging_profile", profileOf(watts)},
		{"response_url", encode(strings.TrimSuffix(base, "/") + "/" + c.ID)},
	}
	q.expect(c)
	return c, q.ask(ctx, c, ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleChargingProfiles, Interface: ocpi.Receiver,
		Path: "/" + url.PathEscape(session), From: ocpi.AddressOf(from), To: addressOf(cpo), Body: body.bytes(),
	})
}

// profileOf is a ChargingProfile of one period (2.2.1 mod_charging_profiles).
func profileOf(watts int) json.RawMessage {
	return json.RawMessage(`{"charging_rate_unit":"W","charging_profile_period":[{"start_period":0,"limit":` + strconv.Itoa(watts) + `}]}`)
}
