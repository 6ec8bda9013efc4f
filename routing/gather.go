package routing

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Bounds of a list that is gathered live.
const (
	// gatherWidth is how many parties are asked at the same time for one list:
	// each may answer with peer.MaxAnswer bytes.
	gatherWidth = 8
	// mostEmptyPages is how many pages without objects one party may put before
	// the next that has any.
	mostEmptyPages = 100
)

// gathering is one page of a list whose objects the hub does not keep: CDRs,
// Sessions and Tokens. The page is one page of one party; parties follow each
// other in their order. Nothing is stored: where the list goes on travels with
// the requester (P1, P4).
type gathering struct {
	caller   *parties.Entry
	req      *ocpi.Request
	q        *listQuery
	deadline time.Time
	// calls has room for those of all gatherings together.
	calls   chan struct{}
	senders []listSender
	// first says what is known of the beginnings of the senders' lists.
	first map[ocpi.PartyKey]*listPage
	// held is the first sender's first page, which is often the one wanted.
	held *listPage
}

// gatherPlace is where a page of the hub begins.
type gatherPlace struct {
	sender listSender
	at     listPlace
	skip   int
}

// gather answers GET All live.
func (r *Router) gather(ctx context.Context, caller *parties.Entry, req *ocpi.Request, q *listQuery, m *Message) Reply {
	sent := time.Now()
	done, ok := r.gathers.wait(ctx, caller.Platform.ID, sent.Add(r.cfg.Timeout))
	if !ok {
		return r.noTurn(ctx, req, "lists that are gathered live", m)
	}
	defer done()
	reply, failure := r.gatherPage(ctx, caller, req, q, sent)
	m.Peer = time.Since(sent)
	if failure == nil {
		m.Outcome = OutcomeOK
		return reply
	}
	m.Outcome, m.Detail = failure.outcome, failure.Error()
	return r.hubAnswer(req, failure.refusal)
}

// refusedList is a failure of the requester, or of the hub.
func refusedList(refusal *ocpi.Error) *listFailure {
	return &listFailure{outcome: refusalOutcome(refusal.Status), refusal: refusal}
}

func (r *Router) gatherPage(ctx context.Context, caller *parties.Entry, req *ocpi.Request, q *listQuery, now time.Time) (Reply, *listFailure) {
	g := gathering{
		caller: caller, req: req, q: q, deadline: now.Add(r.cfg.Timeout), calls: r.listCalls, first: make(map[ocpi.PartyKey]*listPage),
		senders: gatherSenders(r.cfg.Directory.Snapshot(), caller, req),
	}
	defer g.letGo()
	bound := cursorContext(caller, req.Module)
	own := gatherCursor{Asked: fingerprint(req.From.Party, q)}
	var place *gatherPlace
	var failure *listFailure
	switch {
	case q.cursor != "":
		var refusal *ocpi.Error
		if own, refusal = openGatherCursor(r.cfg.Sealer, q.cursor, bound, own.Asked, now); refusal != nil {
			return Reply{}, refusedList(refusal)
		}
		place, failure = g.resume(&own)
	case !q.Empty():
		place, own.Total, failure = g.begin(ctx)
	}
	if failure != nil {
		return Reply{}, failure
	}
	page, link := newPage(), ""
	next, failure := g.fill(ctx, page, place)
	if failure == nil && next != nil {
		own.Party, own.listPlace, own.Skip = next.sender.party, next.at, next.skip
		link, failure = r.gatherLink(req, q, own, bound, now)
	}
	if failure != nil {
		page.release()
		return Reply{}, failure
	}
	return r.pageReply(req, page, listHeaders(own.Total, link)), nil
}

// gatherLink is where the list goes on at the hub.
func (r *Router) gatherLink(req *ocpi.Request, q *listQuery, next gatherCursor, bound string, now time.Time) (string, *listFailure) {
	cursor, err := next.seal(r.cfg.Sealer, bound, now)
	if err != nil {
		r.cfg.Logger.Error("seal a cursor", "error", err)
		return "", refusedList(ocpi.Errorf(ocpi.HubError, "the hub could not make the link to the next page"))
	}
	return r.listURL(req, q, cursor), nil
}

// gatherSenders are the parties whose lists make up the requester's, in the
// order of parties. A party without the endpoint has no list.
func gatherSenders(s *parties.Snapshot, caller *parties.Entry, req *ocpi.Request) []listSender {
	var senders []listSender
	for _, e := range s.Platforms() {
		target := e.Endpoint(req.Module, ocpi.Sender)
		if target == nil || e.Platform.ID == caller.Platform.ID {
			continue
		}
		for _, party := range e.Platform.Parties() {
			if sends(e, party, req.Module) && readable(s, caller, req, party) == e {
				senders = append(senders, listSender{party: party, receiver: e, target: target})
			}
		}
	}
	slices.SortFunc(senders, func(a, b listSender) int { return bytes.Compare(a.party[:], b.party[:]) })
	return senders
}

func (g *gathering) letGo() {
	if g.held != nil {
		g.held.release()
		g.held = nil
	}
}

// get fetches a page of a party's list, once there is room for its answer.
func (g *gathering) get(ctx context.Context, from listSender, limit int, at listPlace) (*listPage, *listFailure) {
	if !place(ctx, g.calls, g.deadline) {
		if ctx.Err() != nil {
			return nil, unanswered(from.party, &peer.Error{Failure: peer.Cancelled, Err: ctx.Err()})
		}
		return nil, refusedList(ocpi.Errorf(ocpi.HubError, "too many lists that are gathered live are under way; try again"))
	}
	defer func() { <-g.calls }()
	call := &listCall{
		listSender: from, module: g.req.Module, from: g.req.From, correlationID: g.req.CorrelationID,
		filters: g.q.filters, limit: limit, requester: g.caller.Client,
	}
	return call.get(ctx, g.deadline, at)
}

// look asks parties at once how their lists begin. What it keeps of the answers
// is what they say, but for the first sender's, which is whole. A party that
// fails ends the others.
func (g *gathering) look(ctx context.Context, senders []listSender, hold bool) *listFailure {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var failed *listFailure
	var running sync.WaitGroup
	free := make(chan struct{}, gatherWidth)
	for _, to := range senders {
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-free }()
			whole := hold && to == g.senders[0]
			limit := 1
			if whole {
				limit = g.q.Limit
			}
			page, failure := g.get(ctx, to, limit, listPlace{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case failure == nil && whole:
				g.first[to.party], g.held = page, page
			case failure == nil:
				g.first[to.party] = page
				page.release()
			case failed == nil:
				failed = failure
				cancel()
			}
		})
	}
	running.Wait()
	if failed == nil && ctx.Err() != nil {
		failed = unanswered(ocpi.PartyKey{}, &peer.Error{Failure: peer.Cancelled, Err: ctx.Err()})
	}
	return failed
}

// begin asks every party, so that a list which would lack one is not even begun,
// and finds the page that the requester wants. total is -1 when a party does not
// tell how much it has.
func (g *gathering) begin(ctx context.Context) (_ *gatherPlace, total int, _ *listFailure) {
	for _, to := range g.senders {
		if !to.receiver.Reachable() { // known without asking anybody
			_, failure := g.get(ctx, to, 1, listPlace{})
			return nil, 0, failure
		}
	}
	if failure := g.look(ctx, g.senders, g.q.Offset == 0 && g.q.Limit > 0); failure != nil {
		return nil, 0, failure
	}
	for _, to := range g.senders {
		whole := g.first[to.party].whole()
		if whole < 0 {
			total = -1
			break
		}
		total += whole
	}
	place, refusal := g.locate(g.q.Offset)
	if refusal != nil {
		return nil, 0, refusedList(refusal)
	}
	return place, total, nil
}

// locate finds the object at an offset over the lists of all parties; nil is
// behind the last.
func (g *gathering) locate(offset int) (*gatherPlace, *ocpi.Error) {
	for _, to := range g.senders {
		first := g.first[to.party]
		whole := first.whole()
		switch {
		case offset == 0 && first.has():
			return &gatherPlace{sender: to}, nil
		case whole < 0:
			return nil, ocpi.Errorf(ocpi.InvalidParameters,
				"parameter offset: %s does not tell how many %s it has; follow the Link of each page", to.party, g.req.Module)
		case offset >= whole:
			offset -= whole
		case first.count > 1: // of one that was asked for
			// It ignores limit, and with it surely offset.
			return &gatherPlace{sender: to, skip: offset}, nil
		default:
			return &gatherPlace{sender: to, at: listPlace{Offset: offset}}, nil
		}
	}
	return nil, nil
}

// resume is the place that a cursor names. A party that went away in between
// cannot be left out: its objects were begun.
func (g *gathering) resume(c *gatherCursor) (*gatherPlace, *listFailure) {
	for _, to := range g.senders {
		if to.party == c.Party {
			return &gatherPlace{sender: to, at: c.listPlace, skip: c.Skip}, nil
		}
	}
	return nil, badList("%s went away while its %s were listed; begin the list again", c.Party, g.req.Module)
}

// fill puts objects into the page and tells where the next page begins; nil is
// the end of the list.
func (g *gathering) fill(ctx context.Context, page *pageBuffer, place *gatherPlace) (*gatherPlace, *listFailure) {
	if g.q.Limit == 0 {
		return nil, nil // nothing but the headers was asked for
	}
	for empty := 0; place != nil; empty++ {
		if empty == mostEmptyPages {
			return nil, badList("%s answered %d pages without any objects", place.sender.party, empty)
		}
		next, taken, failure := g.take(ctx, page, place)
		if failure != nil || taken > 0 {
			return next, failure
		}
		place = next
	}
	return nil, nil
}

// take puts the objects of one place into the page.
func (g *gathering) take(ctx context.Context, page *pageBuffer, place *gatherPlace) (next *gatherPlace, taken int, failure *listFailure) {
	list := g.held
	g.held = nil
	if list == nil || place.sender != g.senders[0] {
		if list != nil {
			list.release()
		}
		if list, failure = g.get(ctx, place.sender, g.q.Limit, place.at); failure != nil {
			return nil, 0, failure
		}
	}
	defer list.release()
	taken = page.take(list.data, place.skip, g.q.Limit)
	switch {
	case taken > 0 && place.skip+taken < list.count:
		return &gatherPlace{sender: place.sender, at: place.at, skip: place.skip + taken}, taken, nil
	case list.more:
		return &gatherPlace{sender: place.sender, at: list.next}, taken, nil
	}
	next, failure = g.following(ctx, place.sender.party)
	return next, taken, failure
}

// take appends some objects of a list, bytes and all that stands between them.
func (p *pageBuffer) take(list []byte, skip, limit int) (taken int) {
	from, to, i := 0, 0, 0
	ocpi.Elements(list, func(start, end int) {
		switch {
		case i < skip || i >= skip+limit:
		case taken == 0:
			from, to, taken = start, end, 1
		default:
			to = end
			taken++
		}
		i++
	})
	p.bytes = append(p.bytes, list[from:to]...)
	return taken
}

// following finds the next party that has objects; nil when there is none.
// Without asking, nobody could tell whether a page is the last (P2).
func (g *gathering) following(ctx context.Context, party ocpi.PartyKey) (*gatherPlace, *listFailure) {
	at := slices.IndexFunc(g.senders, func(s listSender) bool { return bytes.Compare(s.party[:], party[:]) > 0 })
	if at < 0 {
		return nil, nil
	}
	for window := range slices.Chunk(g.senders[at:], gatherWidth) {
		unknown := slices.DeleteFunc(slices.Clone(window), func(s listSender) bool { return g.first[s.party] != nil })
		if failure := g.look(ctx, unknown, false); failure != nil {
			return nil, failure
		}
		for _, to := range window {
			if g.first[to.party].has() {
				return &gatherPlace{sender: to}, nil
			}
		}
	}
	return nil, nil
}
