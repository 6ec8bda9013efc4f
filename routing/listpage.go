package routing

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// listSender is a party that is asked for its list, and where.
type listSender struct {
	party    ocpi.PartyKey
	receiver *parties.Entry
	target   *peer.Target
}

// listCall asks for one page of a party's list.
type listCall struct {
	listSender
	module        ocpi.ModuleID
	from          ocpi.Address
	correlationID string
	// filters are the query parameters of the list without offset and limit,
	// escaped.
	filters string
	limit   int
	// requester is for whom the list is; nil is the hub.
	requester *peer.Client
}

// listPlace is a page of a party's list: where the party's own link led, or what
// begins at an offset. The zero value is the beginning.
type listPlace struct {
	// Path and Query are behind the party's endpoint, escaped.
	Path   string `json:"u,omitempty"`
	Query  string `json:"q,omitempty"`
	Offset int    `json:"o,omitempty"`
}

// linked tells a place that the party's own link led to.
func (at listPlace) linked() bool { return at.Path != "" || at.Query != "" }

// listPage is what a party answered. Its bytes are valid until release.
type listPage struct {
	answer *peer.Answer
	// data is the list, count how many objects it has.
	data  []byte
	count int
	// total is what the party says that it has in all; -1 when it does not.
	total int
	// next is the following page, if there is more.
	next listPlace
	more bool
}

func (p *listPage) release() { p.answer.Release() }

// has tells that the list this page begins is not empty.
func (p *listPage) has() bool { return p.count > 0 || p.more || p.total > 0 }

// whole is how many objects the list has that this page begins; -1 when nobody
// can tell. A party that ignores limit sends all of them, often without any
// header (field-quirks).
func (p *listPage) whole() int {
	if !p.more || p.total >= 0 {
		return max(p.total, p.count)
	}
	return -1
}

// listFailure is why a party's list cannot be had. The whole list of the hub
// fails with it: objects that are missing in it would count as deleted (P4).
type listFailure struct {
	outcome Outcome
	refusal *ocpi.Error
	// detail says more than the refusal, for the journal; it may be empty.
	detail string
}

func (f *listFailure) Error() string {
	if f.detail != "" {
		return f.refusal.Message + " (" + f.detail + ")"
	}
	return f.refusal.Message
}

func badList(format string, args ...any) *listFailure {
	return &listFailure{outcome: OutcomeBadAnswer, refusal: ocpi.Errorf(ocpi.ConnectionProblem, format, args...)}
}

// get fetches the page at a place.
func (c *listCall) get(ctx context.Context, deadline time.Time, at listPlace) (*listPage, *listFailure) {
	if !c.receiver.Reachable() {
		return nil, &listFailure{outcome: OutcomeUnreachable, refusal: ocpi.Errorf(ocpi.ConnectionProblem,
			"%s is not connected: its platform is %s", c.party, c.receiver.Platform.Status)}
	}
	to := ocpi.AddressOf(c.party)
	headers := [...]ocpi.Header{
		{Name: ocpi.HeaderRequestID, Value: ocpi.NewMessageID()}, // R7
		{Name: ocpi.HeaderCorrelationID, Value: c.correlationID},
		{Name: ocpi.HeaderFromCountryCode, Value: c.from.CountryCode},
		{Name: ocpi.HeaderFromPartyID, Value: c.from.PartyID},
		{Name: ocpi.HeaderToCountryCode, Value: to.CountryCode},
		{Name: ocpi.HeaderToPartyID, Value: to.PartyID},
	}
	path, query := at.Path, at.Query
	if !at.linked() {
		query = c.query(at.Offset)
	}
	answer, err := c.receiver.Client.Do(ctx, deadline, &peer.Call{
		Method: "GET", Target: c.target, Path: path, Query: query, Headers: headers[:], Requester: c.requester,
	})
	if err != nil {
		return nil, unanswered(c.party, err)
	}
	page, failure := c.read(answer, at)
	if failure != nil {
		answer.Release()
		return nil, failure
	}
	return page, nil
}

// query asks for the page at an offset. An offset of 0 is left out: it is the
// default, and not every peer knows it.
func (c *listCall) query(offset int) string {
	query := "limit=" + strconv.Itoa(c.limit)
	if offset > 0 {
		query = "offset=" + strconv.Itoa(offset) + "&" + query
	}
	if c.filters != "" {
		query = c.filters + "&" + query
	}
	return query
}

// unanswered says why there is no answer.
func unanswered(party ocpi.PartyKey, err error) *listFailure {
	f := badList("%s answered with something that is not HTTP, or too large", party)
	switch peer.FailureOf(err) {
	case peer.Unreachable:
		f = badList("no connection to the platform of %s could be opened", party)
		f.outcome = OutcomeUnreachable
	case peer.Broken:
		f = badList("the platform of %s closed the connection before it answered", party)
		f.outcome = OutcomeUnreachable
	case peer.Busy:
		f = badList("all connections to the platform of %s that are to be had are in use", party)
		f.outcome = OutcomeUnreachable
	case peer.TimedOut:
		f = badList("%s did not answer in time", party)
		f.outcome = OutcomeTimeout
	case peer.Cancelled:
		f = badList("the requester closed the connection")
		f.outcome = OutcomeCancelled
	}
	f.detail = peer.Reason(err)
	return f
}

// read makes a page of an answer that is a list.
func (c *listCall) read(answer *peer.Answer, at listPlace) (*listPage, *listFailure) {
	status := answer.Status()
	switch {
	case status == 401:
		return nil, badList("%s refused the hub's credentials token (HTTP 401); its registration at the hub must be renewed", c.party)
	case status/100 == 3:
		return nil, badList("%s answered with a redirect (HTTP %d), which is not followed", c.party, status)
	case answer.Encoded():
		return nil, badList("%s answered with a Content-Encoding that was not asked for", c.party)
	}
	code, data, ok := ocpi.ReadEnvelope(answer.Body())
	switch {
	case !ok:
		return nil, badList("%s answered HTTP %d with a body that is not an OCPI response", c.party, status)
	case code/1000 == 2 || code/1000 == 1 && status/100 == 4:
		return nil, c.refused(OutcomeClientError, code, status)
	case code/1000 != 1 || status/100 != 2:
		return nil, c.refused(OutcomeServerError, code, status)
	}
	page := &listPage{answer: answer, data: data, total: -1}
	if !ocpi.Elements(data, func(int, int) { page.count++ }) || !c.isList(data) {
		return nil, badList("%s answered with data that is not a list", c.party)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(answer.Header(ocpi.HeaderTotalCount))); err == nil && n >= 0 {
		page.total = n
	}
	return page, c.follow(page, at, answer.Header(ocpi.HeaderLink))
}

// isList tells that data which is one object is the list's only one, without its
// array (field-quirks), by its id. Any other would hide what the party has (P4).
func (c *listCall) isList(data []byte) bool {
	name := "id"
	if c.module == ocpi.ModuleTokens {
		name = "uid"
	}
	return !bytes.HasPrefix(data, []byte{'{'}) || textMember(data, name) != ""
}

func (c *listCall) refused(outcome Outcome, code ocpi.StatusCode, status int) *listFailure {
	f := badList("%s refused to give its %s: OCPI status %d, HTTP %d", c.party, c.module, code, status)
	f.outcome = outcome
	return f
}

// longestLink bounds a party's link, which a cursor has to hold.
const longestLink = 2048

// follow finds the next page. Some parties tell how many objects they have and
// give no link: then it begins behind this one's, unless they also ignored the
// limit, and with it surely the offset.
func (c *listCall) follow(page *listPage, at listPlace, header string) *listFailure {
	path, query, ok := nextPage(c.target, header, at.Path)
	if !ok {
		if next := at.Offset + page.count; !at.linked() && 0 < page.count && page.count <= c.limit && next < page.total {
			page.next, page.more = listPlace{Offset: next}, true
		}
		return nil
	}
	page.next, page.more = listPlace{Path: path, Query: query}, true
	switch {
	case len(path)+len(query) > longestLink:
		return badList("%s gave a link to its next page that is longer than %d characters", c.party, longestLink)
	case !page.next.linked() || page.next == at || !at.linked() && path == "" && query == c.query(at.Offset):
		return badList("%s gave a link to its next page that leads to the same page again", c.party)
	}
	return nil
}
