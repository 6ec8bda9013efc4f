package simulator

import (
	"context"
	"encoding/json"
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
	running := c.active[in.segments[0]]
	c.mu.Unlock()
	switch {
	case running == nil:
		return verdict{response: unknownSession}, nil
	case running.customer() != in.from.Party:
		return verdict{response: rejected}, nil
	case !running.site.can("CHARGING_PROFILE_CAPABLE"):
		return verdict{response: notSupported}, nil
	}
	result := profileResult{Result: accepted}
	switch in.method {
	case http.MethodPut:
		running.profile.Store(&set)
	case http.MethodDelete:
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
	watts := strconv.Itoa(int(g.site.kilowatts() * 1000))
	return json.RawMessage(`{"charging_rate_unit":"W","charging_profile_period":[{"start_period":0,"limit":` + watts + `}]}`)
}

// SetProfile limits the power of a running session of one of the eMSP's
// drivers, in W. The Command it returns waits for the result.
func (e *EMSP) SetProfile(ctx context.Context, cpo ocpi.PartyKey, session string, watts int) (*Command, error) {
	base := e.p.Endpoint(ocpi.ModuleChargingProfiles, ocpi.Sender)
	if base == "" {
		return nil, fmt.Errorf("the hub has no SENDER interface of %s", ocpi.ModuleChargingProfiles)
	}
	c := &Command{
		CommandRequest: CommandRequest{Type: "SET_CHARGING_PROFILE", CPO: cpo, SessionID: session},
		ID:             newID(), result: make(chan string, 1),
	}
	profile := json.RawMessage(`{"charging_rate_unit":"W","charging_profile_period":[{"start_period":0,"limit":` + strconv.Itoa(watts) + `}]}`)
	body := object{
		{"charging_profile", profile},
		{"response_url", encode(strings.TrimSuffix(base, "/") + "/" + c.ID)},
	}
	e.expect(c)
	return c, e.ask(ctx, c, ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleChargingProfiles, Interface: ocpi.Receiver,
		Path: "/" + url.PathEscape(session), From: ocpi.AddressOf(e.Key), To: ocpi.AddressOf(cpo), Body: body.bytes(),
	})
}
