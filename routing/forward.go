package routing

import (
	"context"
	"strings"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// forward sends a direct request and leads the answer home.
func (r *Router) forward(ctx context.Context, caller *parties.Entry, plan *Plan, req *ocpi.Request, m *Message) Reply {
	headers := [6]ocpi.Header{
		{Name: ocpi.HeaderRequestID, Value: ocpi.NewMessageID()}, // R7: a fresh one for every leg
		{Name: ocpi.HeaderCorrelationID, Value: req.CorrelationID},
		{Name: ocpi.HeaderFromCountryCode, Value: req.From.CountryCode},
		{Name: ocpi.HeaderFromPartyID, Value: req.From.PartyID},
		{Name: ocpi.HeaderToCountryCode, Value: req.To.CountryCode},
		{Name: ocpi.HeaderToPartyID, Value: req.To.PartyID},
	}
	call := peer.Call{
		Method: req.Method, Target: plan.Target, Path: req.Path, Query: req.Query,
		Headers: headers[:], Body: req.Body, Anonymous: plan.Anonymous, Stranger: plan.Stranger,
		Requester: caller.Client,
	}
	sent := time.Now()
	answer, err := plan.Receiver.Client.Do(ctx, sent.Add(r.timeout(req)), &call)
	m.Peer = time.Since(sent)
	if err != nil {
		if !plan.Anonymous && lost(err) {
			r.cfg.Suspect(plan.Receiver.Platform.ID)
		}
		return r.failed(req, err, m)
	}
	reply, refusal := r.accept(plan, req, answer, m)
	if refusal != nil {
		answer.Release()
		m.Outcome, m.Detail = OutcomeBadAnswer, refusal.Message
		return r.hubAnswer(req, refusal)
	}
	return reply
}

// failed answers for a receiver that did not (2.2.1 status_codes, 4xxx; S3,
// S4).
func (r *Router) failed(req *ocpi.Request, err error, m *Message) Reply {
	outcome, refusal := failureOf(err, req.To.Party)
	m.Outcome, m.Detail = outcome, peer.Reason(err)
	return r.hubAnswer(req, refusal)
}

// lost tells failures that make it doubtful whether the platform is there at
// all.
func lost(err error) bool {
	switch peer.FailureOf(err) {
	case peer.Unreachable, peer.Broken, peer.TimedOut:
		return true
	}
	return false
}

// failureOf says how a call ended that got no answer, and what the requester is
// told of it.
func failureOf(err error, to ocpi.PartyKey) (Outcome, *ocpi.Error) {
	switch peer.FailureOf(err) {
	case peer.Unreachable:
		return OutcomeUnreachable, ocpi.Errorf(ocpi.ConnectionProblem, "no connection to the platform of %s could be opened", to)
	case peer.Broken:
		return OutcomeUnreachable, ocpi.Errorf(ocpi.ConnectionProblem,
			"the platform of %s closed the connection before it answered; the message may have arrived", to)
	case peer.TimedOut:
		return OutcomeTimeout, ocpi.Errorf(ocpi.ForwardTimeout, "%s did not answer in time; the message was forwarded", to)
	case peer.Cancelled:
		return OutcomeCancelled, ocpi.Errorf(ocpi.HubError, "the requester closed the connection")
	case peer.Busy:
		return OutcomeUnreachable, ocpi.Errorf(ocpi.HubError, "all connections to the platform of %s that you may have are in use, of %d that there are at most", to, peer.MaxConns)
	case peer.Full:
		return OutcomeBadAnswer, ocpi.Errorf(ocpi.HubError,
			"the hub had no room for the answer of %s (BUSBAR_BODY_MEMORY); the message was forwarded", to)
	}
	return OutcomeBadAnswer, ocpi.Errorf(ocpi.HubError, "%s answered with something that is not HTTP, or too large", to)
}

// accept passes on what the receiver answered, if that is an OCPI response, and
// says what is wrong with it otherwise (S4: 4000).
func (r *Router) accept(plan *Plan, req *ocpi.Request, answer *peer.Answer, m *Message) (Reply, *ocpi.Error) {
	outcome, code, refusal := judge(answer, req.To.Party, answerNeedsData(req))
	if refusal != nil {
		return Reply{}, refusal
	}
	m.Outcome = outcome
	reply := r.reply(plan, req, answer)
	reply.HTTP, reply.Status, reply.Body = answer.Status(), code, answer.Body()
	if reply.HTTP/100 == 2 && reply.HTTP > 202 {
		reply.HTTP = 200 // 204 and 205 have no body, 206 only a part of one
	}
	if len(reply.Body) == 0 {
		// It was accepted, so the hub says so in OCPI's words.
		reply.Body = ocpi.Envelope(nil, ocpi.Success, "accepted by the receiver without a response body")
		if reply.HTTP != 201 { // A6
			reply.HTTP = 200
		}
	}
	return reply, nil
}

// judge tells what an answer is worth. The refusal says what is wrong with one
// that is no OCPI response; an empty one counts as a 1000, unless the requester
// waits for data (field-quirks: pushes answered with nothing).
func judge(answer *peer.Answer, to ocpi.PartyKey, needsData bool) (Outcome, ocpi.StatusCode, *ocpi.Error) {
	status, body := answer.Status(), answer.Body()
	switch {
	case status == 401:
		return OutcomeBadAnswer, 0, ocpi.Errorf(ocpi.HubError,
			"%s refused the hub's credentials token (HTTP 401); its registration at the hub must be renewed", to)
	case status/100 == 3:
		return OutcomeBadAnswer, 0, ocpi.Errorf(ocpi.HubError,
			"%s answered with a redirect (HTTP %d), which is not followed", to, status)
	case aboutTheConnection(status):
		return OutcomeBadAnswer, 0, ocpi.Errorf(ocpi.HubError,
			"%s answered HTTP %d, which is about the hub's connection to it and not about the message", to, status)
	case answer.Encoded():
		return OutcomeBadAnswer, 0, ocpi.Errorf(ocpi.HubError, "%s answered with a Content-Encoding that was not asked for", to)
	case status/100 == 2 && len(body) == 0 && !needsData:
		return OutcomeOK, ocpi.Success, nil
	}
	code, ok := ocpi.ScanEnvelope(body)
	if !ok {
		return OutcomeBadAnswer, 0, ocpi.Errorf(ocpi.HubError,
			"%s answered HTTP %d with a body that is not an OCPI response", to, status)
	}
	switch code / 1000 {
	case 1:
		return OutcomeOK, code, nil
	case 2:
		return OutcomeClientError, code, nil
	}
	return OutcomeServerError, code, nil
}

// aboutTheConnection tells statuses that a requester's HTTP library would take for
// the hub's own: it would ask for a proxy's password, or send again (S4).
func aboutTheConnection(status int) bool {
	switch status {
	case 407, 408, 411, 417, 421, 425, 426, 431, 511:
		return true
	}
	return status >= 600
}

// answerNeedsData tells the requests whose answer is an object that the
// requester waits for, so that an empty one is no answer.
func answerNeedsData(req *ocpi.Request) bool {
	switch {
	case req.Method == "GET":
		return true
	case req.Module == ocpi.ModuleCommands || req.Module == ocpi.ModuleChargingProfiles:
		return req.Interface == ocpi.Receiver
	case req.Module == "bookings":
		return req.Method == "POST"
	}
	return req.IsAuthorize()
}

// reply addresses the answer and leads its URLs through the hub.
func (r *Router) reply(plan *Plan, req *ocpi.Request, answer *peer.Answer) Reply {
	reply := Reply{To: req.From, answer: answer}
	reply.From = req.To
	if req.Method == "GET" {
		// P3: a proxied page keeps its paging headers.
		for _, name := range [...]string{ocpi.HeaderTotalCount, ocpi.HeaderLimit} {
			if v := answer.Header(name); v != "" {
				reply.Headers = append(reply.Headers, ocpi.Header{Name: name, Value: v})
			}
		}
		if link := r.link(plan, req, answer.Header(ocpi.HeaderLink)); link != "" {
			reply.Headers = append(reply.Headers, ocpi.Header{Name: ocpi.HeaderLink, Value: link})
		}
	}
	if location := answer.Header(ocpi.HeaderLocation); location != "" {
		// U4: the URL of a stored CDR, sometimes relative. One that leads past the
		// hub would draw the requester's token for the hub to somebody else.
		if path, query, ok := plan.Target.RelativePath(location); ok {
			reply.Headers = append(reply.Headers, ocpi.Header{Name: ocpi.HeaderLocation, Value: r.hubURL(req, path, query)})
		}
	}
	return reply
}

// link leads the next page's URL through the hub (U5).
func (r *Router) link(plan *Plan, req *ocpi.Request, header string) string {
	path, query, ok := nextPage(plan.Target, header, req.Path)
	if !ok {
		return ""
	}
	return "<" + r.hubURL(req, path, query) + `>; rel="next"`
}

// nextLink finds the URL with rel next in a Link header (RFC 8288).
func nextLink(header string) (string, bool) {
	for header != "" {
		open := strings.IndexByte(header, '<')
		if open < 0 {
			return "", false
		}
		end := strings.IndexByte(header[open:], '>')
		if end < 0 {
			return "", false
		}
		target := header[open+1 : open+end]
		params, rest := header[open+end+1:], ""
		if next := strings.IndexByte(params, '<'); next >= 0 {
			params, rest = params[:next], params[next:]
		}
		for _, param := range strings.FieldsFunc(params, func(c rune) bool { return c == ';' || c == ',' || c == ' ' || c == '\t' }) {
			name, value, _ := strings.Cut(param, "=")
			if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(value, `"`), "next") {
				return target, true
			}
		}
		header = rest
	}
	return "", false
}

// hubURL is where the hub serves a path of the request's module. It carries who
// asks whom, since some clients follow a link without their routing headers.
func (r *Router) hubURL(req *ocpi.Request, path, query string) string {
	url := r.cfg.Hub.Base(req.Version) + "/" + strings.ToLower(string(req.Interface)) + "/" + string(req.Module) + path
	if query != "" {
		query += "&"
	}
	return url + "?" + query + carriedTo + "=" + req.To.Party.String() + "&" + carriedFrom + "=" + req.From.Party.String()
}

// The query parameters of the hub's own links.
const (
	carriedTo   = "busbar_to"
	carriedFrom = "busbar_from"
)

// TakeCarried takes the parameters that hubURL added out of the query. They
// stand in for routing headers that the requester left out. A TO header wins; a
// FROM header must name who was given the link.
func TakeCarried(req *ocpi.Request) *ocpi.Error {
	if !strings.Contains(req.Query, carriedTo+"=") && !strings.Contains(req.Query, carriedFrom+"=") {
		return nil
	}
	var kept []string
	for _, parameter := range strings.Split(req.Query, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		into := &req.To
		switch name {
		case carriedTo:
		case carriedFrom:
			into = &req.From
		default:
			kept = append(kept, parameter)
			continue
		}
		party, err := ocpi.ParseParty(value)
		if err != nil {
			return ocpi.Errorf(ocpi.InvalidParameters, "parameter %s: %v", name, err)
		}
		switch {
		case into.IsZero():
			*into = ocpi.AddressOf(party)
		case name == carriedFrom && into.Party != party:
			// U4: the URL of a CDR is for the party that posted it.
			return ocpi.HTTPErrorf(404, ocpi.InvalidParameters,
				"this URL was given to %s: no other party may use it", party)
		}
	}
	req.Query = strings.Join(kept, "&")
	return nil
}
