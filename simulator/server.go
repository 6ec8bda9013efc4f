package simulator

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"busbar/ocpi"
)

// The platform's URLs. OCPI fixes none of them.
const (
	versionsPath    = "/ocpi/versions"
	detailsPath     = "/ocpi/2.2.1"
	credentialsPath = detailsPath + "/credentials"
)

// modulePath is where a face is served.
func (f face) path() string {
	return detailsPath + "/" + strings.ToLower(string(f.side)) + "/" + string(f.module)
}

// clientInfoFace receives what the hub says about other parties. It belongs to
// the platform, not to a party, and has no routing headers (2.2.1
// transport_and_format, Message Routing Headers).
var clientInfoFace = face{ocpi.ModuleHubClientInfo, ocpi.Receiver}

// ServeHTTP answers one request of the hub.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := p.cfg.Now()
	event := Event{
		Time: start, Platform: p.cfg.Name, Received: true, Method: r.Method, Path: r.URL.EscapedPath(),
		RequestID: r.Header.Get(ocpi.HeaderRequestID), CorrelationID: r.Header.Get(ocpi.HeaderCorrelationID),
	}
	answer := p.answer(r, w.Header(), &event)
	event.HTTP, event.Status, event.Message = p.write(w, r, answer), answer.status, answer.message
	event.Duration = p.cfg.Now().Sub(start)
	p.watcher.note(event)
	if answer.then != nil {
		p.afterwards(answer)
	}
}

// write sends a reply whole, so that it has left before anything follows it.
func (p *Platform) write(w http.ResponseWriter, r *http.Request, a reply) int {
	h := w.Header()
	setHeader(h, ocpi.HeaderRequestID, r.Header.Get(ocpi.HeaderRequestID))
	setHeader(h, ocpi.HeaderCorrelationID, r.Header.Get(ocpi.HeaderCorrelationID))
	for _, header := range a.headers {
		setHeader(h, header.Name, header.Value)
	}
	body := a.envelope(p.cfg.Now())
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	status := a.http
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	if _, err := w.Write(body); err == nil {
		http.NewResponseController(w).Flush() // a failed write shows at the requester
	}
	return status
}

// afterwards runs what follows an answer, or drops it when there is no room:
// the requester's timeout covers that (2.2.1 mod_commands, CommandResponse).
func (p *Platform) afterwards(a reply) {
	if p.root.Err() != nil {
		return // Stop is waiting already
	}
	select {
	case p.room <- struct{}{}:
	default:
		p.log.Warn("result dropped: too many are under way")
		return
	}
	p.later.Go(func() {
		defer func() { <-p.room }()
		if wait(p.root, p.cfg.ResultDelay) == nil {
			a.then(p.root)
		}
	})
}

// answer finds who answers. It fills in what the event knows of the request and,
// for functional modules, the routing headers of the answer.
func (p *Platform) answer(r *http.Request, h http.Header, event *Event) reply {
	valid := p.authorised(r)
	path := r.URL.EscapedPath()
	switch path {
	case versionsPath, detailsPath, credentialsPath:
		event.Module = "versions"
		if path == credentialsPath {
			event.Module = ocpi.ModuleCredentials
		}
		event.Path = ""
		if valid == noAccess {
			return unauthorised()
		}
		return p.serveConfiguration(r, path)
	}
	f, rest, ok := p.faceOf(path)
	if !ok {
		return missing(ocpi.ClientError, "nothing is served here")
	}
	event.Module, event.Interface, event.Path = f.module, f.side, rest
	if valid != fullAccess {
		// Token A opens versions and credentials only (2.2.1
		// transport_and_format, Authorization header).
		return unauthorised()
	}
	in, fault := p.read(r, f, rest)
	event.From, event.To = in.from.Party, in.to.Party
	if f != clientInfoFace {
		setRouting(h, in.to, in.from)
	}
	if fault != nil {
		return refuse(fault)
	}
	if f == clientInfoFace {
		return p.receiveClientInfo(in)
	}
	return p.dispatch(in, f, event, h)
}

func unauthorised() reply {
	return refuse(ocpi.HTTPErrorf(http.StatusUnauthorized, ocpi.ClientError, "credentials token missing or not known"))
}

// faceOf splits an escaped path into the face and what follows it.
func (p *Platform) faceOf(path string) (f face, rest string, ok bool) {
	for _, f := range p.faces() {
		if rest, found := strings.CutPrefix(path, f.path()); found && (rest == "" || rest[0] == '/') {
			return f, rest, true
		}
	}
	return face{}, "", false
}

// read takes a request apart. The inbound holds the addresses even when there
// is a fault, as far as they could be read.
func (p *Platform) read(r *http.Request, f face, rest string) (inbound, *ocpi.Error) {
	in := inbound{method: r.Method, query: r.URL.Query(), self: p.base + f.path()}
	var faults [2]error
	in.from, faults[0] = ocpi.ParseAddress("from", r.Header.Get(ocpi.HeaderFromCountryCode), r.Header.Get(ocpi.HeaderFromPartyID))
	in.to, faults[1] = ocpi.ParseAddress("to", r.Header.Get(ocpi.HeaderToCountryCode), r.Header.Get(ocpi.HeaderToPartyID))
	for _, err := range faults {
		if fault, ok := ocpi.AsError(err); ok {
			return in, fault
		}
	}
	if rest = strings.Trim(rest, "/"); rest != "" {
		for segment := range strings.SplitSeq(rest, "/") {
			plain, err := url.PathUnescape(segment)
			if err != nil {
				return in, ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, "URL path has a broken percent escape")
			}
			in.segments = append(in.segments, plain)
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return in, ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, "body cannot be read")
	}
	if len(body) > 0 {
		if err := ocpi.CheckJSON(body); err != nil {
			return in, ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, "body is not valid JSON: %v", err)
		}
		in.body = body
	}
	return in, nil
}

// dispatch hands a request to the party that is addressed. Without TO it is the
// only one that has the interface, if there is only one.
func (p *Platform) dispatch(in inbound, f face, event *Event, h http.Header) reply {
	var found *party
	for _, member := range p.parties {
		if member.faces[f] == nil || !in.to.IsZero() && member.PartyRole.Party != in.to.Party {
			continue
		}
		if found != nil {
			return invalid("header %s is missing: this platform has several parties", ocpi.HeaderToPartyID)
		}
		found = member
	}
	if found == nil {
		return invalid("no party %s with the %s interface of %s on this platform", in.to.Party, f.side, f.module)
	}
	if in.to.IsZero() {
		in.to = ocpi.AddressOf(found.PartyRole.Party)
		event.To = in.to.Party
		setRouting(h, in.to, in.from)
	}
	return found.faces[f](in)
}

// object answers a GET of one document.
func (in inbound) object(from *shelf, key string) reply {
	d, ok := from.get(key)
	if !ok {
		return missing(ocpi.ClientError, "no such object: %s", key)
	}
	return answer(d.body)
}
