package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"busbar/ocpi"
)

// inquiries are the commands and charging profiles that a party sent and whose
// results come later, at its Sender interface of the module.
type inquiries struct {
	p *Platform

	mu      sync.Mutex
	pending map[string]*Command
	order   []string
	// profiles are what CPOs told of the power of sessions, by session id.
	profiles *shelf
}

func newInquiries(p *Platform) *inquiries {
	return &inquiries{p: p, pending: map[string]*Command{}, profiles: newShelf(mostSessions)}
}

// mostResultsEach is how many results of one command are kept for who waits.
const mostResultsEach = 4

func newCommand(req CommandRequest) *Command {
	return &Command{CommandRequest: req, ID: newID(), results: make(chan string, mostResultsEach)}
}

// expect remembers a command until many others came after it: a CPO may post a
// second time, to cancel a reservation (2.2.1 mod_commands, Flow).
func (q *inquiries) expect(c *Command) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending[c.ID] = c
	q.order = append(q.order, c.ID)
	if len(q.order) > mostCommands {
		delete(q.pending, q.order[0])
		q.order = q.order[1:]
	}
}

// ask sends the request of a command and notes what is answered at once.
func (q *inquiries) ask(ctx context.Context, c *Command, req ocpi.Request) error {
	if err := q.p.cfg.Pace(ctx); err != nil {
		return err
	}
	got, err := q.p.Do(ctx, req)
	if err != nil {
		return err
	}
	var response commandResponse
	if json.Unmarshal(got.Data, &response) != nil || response.Result == "" {
		if err := got.Err(); err != nil {
			return fmt.Errorf("%s: %w", c.Type, err)
		}
		return fmt.Errorf("%s: the answer says no result", c.Type)
	}
	c.Response, c.Timeout = response.Result, time.Duration(response.Timeout)*time.Second
	return nil
}

// receive is the Sender interface of commands and chargingprofiles.
func (q *inquiries) receive(in inbound) reply {
	switch in.method {
	case http.MethodPost:
		return q.receiveResult(in)
	case http.MethodPut:
		return q.receiveProfile(in)
	}
	return notAllowed(in.method)
}

// receiveResult takes a result. The last segment of the URL is the one that the
// response_url was given.
func (q *inquiries) receiveResult(in inbound) reply {
	if len(in.segments) == 0 {
		return missing(ocpi.ClientError, "this URL was given to nobody")
	}
	var result commandResult
	if err := json.Unmarshal(in.body, &result); err != nil || result.Result == "" {
		return invalid("Missing required field: result")
	}
	q.mu.Lock()
	c, known := q.pending[in.segments[len(in.segments)-1]]
	q.mu.Unlock()
	if !known {
		return missing(ocpi.ClientError, "this URL was given to nobody")
	}
	select {
	case c.results <- result.Result:
	default: // more than anybody waits for
	}
	return answer(nil)
}

// receiveProfile keeps an ActiveChargingProfile that changed (2.2.1
// mod_charging_profiles, Sender PUT).
func (q *inquiries) receiveProfile(in inbound) reply {
	if len(in.segments) != 1 {
		return invalid("URL must be {session_id}")
	}
	var profile activeProfile
	if err := json.Unmarshal(in.body, &profile); err != nil || profile.StartDateTime == "" || profile.Profile == nil {
		return invalid("Missing required field: start_date_time or charging_profile")
	}
	q.profiles.put(fold(in.segments[0]), document{body: in.body, updated: q.p.cfg.Now(), from: in.from.Party})
	return answer(nil)
}

// ActiveProfile is the ActiveChargingProfile that the CPO of a session told
// last.
func (q *inquiries) ActiveProfile(session string) (json.RawMessage, bool) {
	d, ok := q.profiles.get(fold(session))
	return d.body, ok
}
