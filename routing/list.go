package routing

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

// Sealer keeps what a cursor holds from those who carry it.
type Sealer interface {
	// Seal makes text that only Open with the same context can read.
	Seal(text, context string) (string, error)
	Open(sealed, context string) (string, error)
}

// list answers GET All: from the catalog, or gathered live from the parties
// whose objects the hub does not keep (2.2.1 transport_and_format, GET All via
// Hubs).
func (r *Router) list(ctx context.Context, caller *parties.Entry, req *ocpi.Request, m *Message) Reply {
	q, refusal := readListQuery(req)
	switch {
	case refusal != nil:
	case catalog.Keeps(req.Module):
		var reply Reply
		if reply, refusal = r.listCatalog(caller, req, q); refusal == nil {
			m.Outcome = OutcomeOK
			return reply
		}
	default:
		return r.gather(ctx, caller, req, q, m)
	}
	m.Outcome, m.Detail = refusalOutcome(refusal.Status), refusal.Message
	return r.hubAnswer(req, refusal)
}

// listQuery are the parameters of GET All.
type listQuery struct {
	ocpi.Paging
	// filters are those without offset, limit and cursor, in the requester's
	// bytes; values are the same, decoded.
	filters string
	values  url.Values
	cursor  string
}

// longestFilters bounds what has to stand in a link.
const longestFilters = 2048

func readListQuery(req *ocpi.Request) (*listQuery, *ocpi.Error) {
	values, err := url.ParseQuery(req.Query)
	if err != nil {
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "the query is not valid: %v", err)
	}
	paging, err := ocpi.ParsePaging(values)
	if err != nil {
		refusal, _ := ocpi.AsError(err)
		return nil, refusal
	}
	q := &listQuery{Paging: paging, values: values}
	given := values[paramCursor]
	switch {
	case len(given) > 1:
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "parameter %s: stands twice", paramCursor)
	case len(given) == 1:
		q.cursor = given[0]
	}
	if q.cursor != "" && q.Offset != 0 {
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "parameter offset: the link's %s says already where the page begins", paramCursor)
	}
	q.filters = withoutPlace(req.Query)
	if len(q.filters) > longestFilters {
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "the query has more than %d characters", longestFilters)
	}
	for name := range values {
		if isPlace(name) {
			values.Del(name)
		}
	}
	return q, nil
}

// isPlace tells the parameters that say which page is meant.
func isPlace(name string) bool { return name == "offset" || name == "limit" || name == paramCursor }

// withoutPlace drops those, and empty parameters, from a valid query.
func withoutPlace(query string) string {
	var kept []string
	for _, parameter := range strings.Split(query, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if decoded, err := url.QueryUnescape(name); parameter != "" && (err != nil || !isPlace(decoded)) {
			kept = append(kept, parameter)
		}
	}
	return strings.Join(kept, "&")
}

// listCatalog answers from the catalog.
func (r *Router) listCatalog(caller *parties.Entry, req *ocpi.Request, q *listQuery) (Reply, *ocpi.Error) {
	s := r.cfg.Directory.Snapshot()
	query := catalog.Query{
		Module: req.Module, From: q.From, To: q.To, Offset: q.Offset, Limit: q.Limit,
		Reader: reader{s, caller.Platform.ID, req.From.Party},
		Owners: func(owner ocpi.PartyKey) bool { return readable(s, caller, req, owner) != nil },
	}
	if q.cursor != "" {
		var refusal *ocpi.Error
		if query.After, refusal = readCatalogCursor(req.Module, q.cursor); refusal != nil {
			return Reply{}, refusal
		}
	}
	buf := newPage()
	bytes, page, err := r.cfg.Catalog.AppendPage(buf.bytes, query)
	if err != nil {
		buf.release()
		if refusal, ok := ocpi.AsError(err); ok {
			return Reply{}, refusal
		}
		r.cfg.Logger.Error("list the catalog", "module", req.Module, "error", err)
		return Reply{}, ocpi.Errorf(ocpi.HubError, "the hub could not read its %s", req.Module)
	}
	buf.bytes = bytes
	buf.shared = page.Shared
	link := ""
	if page.Next != 0 && q.Limit > 0 {
		link = r.listURL(req, q, catalogCursor(req.Module, page.Next))
	}
	return r.pageReply(req, buf, listHeaders(page.Total, link)), nil
}

// reader is all that readable depends on, besides module and owner.
type reader struct {
	snapshot *parties.Snapshot // never changed, but replaced
	platform parties.PlatformID
	party    ocpi.PartyKey
}

// readable is the platform from which the party's objects of the module come, if
// the requester may read them; nil otherwise. The platform is connected or was:
// one that is not registered or was suspended offers nothing. The requester's
// own platform has its objects already, and no broadcast brings them to it
// either.
func readable(s *parties.Snapshot, caller *parties.Entry, req *ocpi.Request, owner ocpi.PartyKey) *parties.Entry {
	e := ownerPlatform(s, owner, req.Module)
	if e == nil || !offers(e) || e.Platform.ID == caller.Platform.ID || !s.Permits(req.From.Party, owner, req.Module) {
		return nil
	}
	return e
}

// ownerPlatform picks the platform that is the module's Sender for the party: it
// may be CPO on one and eMSP on another (R8).
func ownerPlatform(s *parties.Snapshot, owner ocpi.PartyKey, m ocpi.ModuleID) *parties.Entry {
	candidates := s.Speakers(owner)
	if len(candidates) == 1 {
		return candidates[0]
	}
	var best *parties.Entry
	bestRank := 0
	for _, e := range candidates {
		rank := 1
		if sends(e, owner, m) {
			rank += 4
		}
		if offers(e) {
			rank += 2
		}
		if e.Endpoint(m, ocpi.Sender) != nil {
			rank++
		}
		// The order of candidates is none, so that of ids decides.
		if rank > bestRank || rank == bestRank && e.Platform.ID < best.Platform.ID {
			best, bestRank = e, rank
		}
	}
	return best
}

// offers tells that the platform's objects are to be had, now or when it is back.
func offers(e *parties.Entry) bool {
	p := &e.Platform
	return p.Registered() && !p.Held && (p.Status == ocpi.Connected || p.Status == ocpi.Offline)
}

// sends tells that a role of the party on the platform implements the module's
// Sender.
func sends(e *parties.Entry, party ocpi.PartyKey, m ocpi.ModuleID) bool {
	for i := range e.Platform.Roles {
		if r := &e.Platform.Roles[i]; r.Party == party && r.Role.Implements(m, ocpi.Sender) {
			return true
		}
	}
	return false
}

// pageBuffer holds the body of a page of GET All while it is answered.
type pageBuffer struct {
	// bytes are what the page has of its own. Documents that others read too are
	// shared; they stand behind begin.
	bytes  []byte
	shared []byte
	rest   [2][]byte
}

// largestPage bounds the buffers that wait for reuse: a hundred big Locations.
const largestPage = 1 << 20

var pages = sync.Pool{New: func() any { return &pageBuffer{bytes: make([]byte, 0, 64<<10)} }}

// begin is a body whose data is a list.
const begin = `{"data":[`

func newPage() *pageBuffer {
	p := pages.Get().(*pageBuffer)
	p.bytes = append(p.bytes[:0], begin...)
	return p
}

func (p *pageBuffer) release() {
	p.shared, p.rest = nil, [2][]byte{}
	if cap(p.bytes) <= largestPage {
		pages.Put(p)
	}
}

// pageReply ends the list and answers with it, from the hub.
func (r *Router) pageReply(req *ocpi.Request, page *pageBuffer, headers []ocpi.Header) Reply {
	page.bytes = append(page.bytes, `],"status_code":1000,"status_message":"Success","timestamp":"`...)
	page.bytes = append(append(page.bytes, ocpi.FormatTime(time.Now())...), `"}`...)
	reply := Reply{
		Response: r.fromHub(ocpi.Response{HTTP: 200, Status: ocpi.Success, Body: page.bytes, Headers: headers}),
		To:       req.From, page: page,
	}
	if page.shared != nil {
		page.rest = [2][]byte{page.shared, page.bytes[len(begin):]}
		reply.Body, reply.Rest = page.bytes[:len(begin)], page.rest[:]
	}
	return reply
}
