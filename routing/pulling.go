package routing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

// Bounds of one pull.
const (
	// mostPulledPages is the end of a list that has none.
	mostPulledPages = 10_000
	// longestPull bounds the lists of one platform together.
	longestPull = time.Hour
	// pullOverlap makes up for clocks that differ.
	pullOverlap = time.Minute
)

// pulling is one pull of a platform.
type pulling struct {
	p             *Puller
	from          *parties.Entry
	since         time.Time
	correlationID string
	log           *slog.Logger
	now           time.Time

	mu sync.Mutex
	pullCount
	// badLogged tells that one object that is wrong was logged; the others are
	// counted.
	badLogged bool
}

// pullCount is what a pull came to.
type pullCount struct{ pages, objects, changed, older, foreign, bad int }

// pull fetches the lists of the platform's parties that broadcast.
func (p *Puller) pull(ctx context.Context, e *parties.Entry, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, longestPull)
	defer cancel()
	run := pulling{p: p, from: e, since: since, correlationID: ocpi.NewMessageID(), now: time.Now()}
	run.log = p.cfg.Logger.With("platform", e.Platform.ID, "correlation_id", run.correlationID)
	lists := p.lists(e, since)
	var errs []error
	for _, list := range lists {
		if err := run.list(ctx, list); err != nil {
			errs = append(errs, fmt.Errorf("%s of %s: %w", list.module, list.party, err))
		}
	}
	if len(lists) > 0 && len(errs) == 0 {
		run.log.Info("pulled", "since", since, "lists", len(lists), "pages", run.pages, "objects", run.objects,
			"changed", run.changed, "older", run.older, "foreign", run.foreign, "bad", run.bad, "duration", time.Since(run.now))
	}
	return errors.Join(errs...)
}

// lists are the lists to pull from the platform. A module that a party does not
// broadcast is left alone: it may send each eMSP something else, which is not
// for all (R5).
func (p *Puller) lists(e *parties.Entry, since time.Time) []*listCall {
	type kept struct {
		party  ocpi.PartyKey
		module ocpi.ModuleID
	}
	broadcasts := make(map[kept]bool)
	for _, c := range p.keep.counts() {
		broadcasts[kept{c.Owner, c.Module}] = c.Objects > 0
	}
	everything := p.cfg.NewPlatforms && since.IsZero()
	filters := ""
	if !since.IsZero() {
		filters = "date_from=" + url.QueryEscape(ocpi.FormatTime(since.Add(-pullOverlap)))
	}
	var lists []*listCall
	for _, party := range e.Platform.Parties() {
		for _, m := range [...]ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTariffs} {
			target := e.Endpoint(m, ocpi.Sender)
			if target == nil || !sends(e, party, m) || !everything && !broadcasts[kept{party, m}] {
				continue
			}
			lists = append(lists, &listCall{
				listSender: listSender{party: party, receiver: e, target: target},
				module:     m, from: ocpi.AddressOf(p.cfg.Hub.Party), correlationID: "", filters: filters, limit: ocpi.MaxPage,
			})
		}
	}
	return lists
}

// list pulls one list to its end.
func (run *pulling) list(ctx context.Context, call *listCall) error {
	call.correlationID = run.correlationID
	var at listPlace
	for range mostPulledPages {
		page, failure := call.get(ctx, time.Now().Add(run.p.cfg.Timeout), at)
		if failure != nil {
			return failure
		}
		run.pages++
		err := run.page(ctx, call, page.data)
		at = page.next
		more := page.more
		page.release()
		if err != nil || !more {
			return err
		}
	}
	return fmt.Errorf("it does not end after %d pages", mostPulledPages)
}

// pulledObject is an object of a list that was pulled.
type pulledObject struct {
	key  catalog.Key
	id   string // in its owner's spelling
	body []byte
}

// page takes one page in. A hundred objects are applied together, so that the
// record is written once for all of them.
func (run *pulling) page(ctx context.Context, call *listCall, data []byte) error {
	var objects []pulledObject
	seen := make(map[catalog.Key]int) // the last counts when one stands twice
	ocpi.Elements(data, func(start, end int) {
		o, err := readPulled(call.module, data[start:end])
		i, twice := seen[o.key]
		switch {
		case err != nil:
			run.skip(call, err)
		case o.key.Owner != call.party:
			run.foreign++ // E3
		case twice:
			objects[i] = o
		default:
			seen[o.key] = len(objects)
			objects = append(objects, o)
		}
	})
	run.objects += len(objects)
	for some := range slices.Chunk(objects, ocpi.MaxPage) {
		if err := run.takeAll(ctx, call, some); err != nil {
			return err
		}
	}
	return nil
}

// takeAll takes objects at once; one error stands for all.
func (run *pulling) takeAll(ctx context.Context, call *listCall, objects []pulledObject) error {
	var taking sync.WaitGroup
	errs := make([]error, len(objects))
	for i := range objects {
		taking.Go(func() { errs[i] = run.take(ctx, call, &objects[i]) })
	}
	taking.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readPulled reads whose object this is. The bytes are copied: the answer they
// stand in is reused.
func readPulled(m ocpi.ModuleID, element []byte) (pulledObject, error) {
	var o struct {
		CountryCode string `json:"country_code"`
		PartyID     string `json:"party_id"`
		ID          string `json:"id"`
	}
	if err := json.Unmarshal(element, &o); err != nil {
		return pulledObject{}, errors.New("country_code, party_id and id must be strings")
	}
	owner, err := ocpi.ParsePartyKey(o.CountryCode, o.PartyID)
	if err != nil {
		return pulledObject{}, err
	}
	if o.ID == "" {
		return pulledObject{}, errors.New("field id: must not be empty")
	}
	return pulledObject{
		key: catalog.Key{Module: m, Owner: owner, ID: strings.ToLower(o.ID)}, id: o.ID, body: bytes.Clone(element),
	}, nil
}

// skip counts an object that is wrong. One is logged for all.
func (run *pulling) skip(call *listCall, err error) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.bad++
	if !run.badLogged {
		run.badLogged = true
		run.log.Warn("a pulled object is wrong and was skipped, others may follow", "party", call.party, "module", call.module, "error", err)
	}
}

// take brings an object into the catalog and, if that changes anything, sends it
// to all, since a receiver that missed it does not ask. The error is the
// catalog's, not the object's.
func (run *pulling) take(ctx context.Context, call *listCall, o *pulledObject) error {
	w := catalog.Write{
		Method: "PUT", Module: call.module, Owner: call.party, ID: o.id, Body: o.body, Received: run.now,
		Sender:     string(run.from.Platform.ID),
		IfNotOlder: true, // a push may have come in while the list was on its way
		Then: func(a catalog.Applied) {
			if a.Created || a.Changed {
				run.count(func(c *pullCount) { c.changed++ })
				b := run.broadcast(call, o, a.Revision)
				b.Overtaken = a.Overtaken
				run.p.cfg.Outbox.Append(b)
			}
		},
	}
	if call.module == ocpi.ModuleLocations {
		w.Operator = operator(run.from, call.party) // U6
	}
	if refusal := run.p.cfg.Outbox.full(); refusal != nil {
		return refusal
	}
	applied, err := run.p.keep.apply(ctx, w)
	if applied.Older {
		run.count(func(c *pullCount) { c.older++ })
	}
	if refusal, ok := ocpi.AsError(err); ok && refusal.Status/1000 == 2 {
		run.skip(call, fmt.Errorf("%s: %w", o.id, err))
		return nil
	}
	if err != nil {
		run.p.cfg.Outbox.Doubt()
	}
	return err
}

func (run *pulling) count(change func(*pullCount)) {
	run.mu.Lock()
	defer run.mu.Unlock()
	change(&run.pullCount)
}

func (run *pulling) broadcast(call *listCall, o *pulledObject, revision int64) *Broadcast {
	return &Broadcast{
		Object: objectName(call.module, call.party, o.id),
		Owner:  call.party, From: call.party, Platform: run.from.Platform.ID, Accepted: time.Now(),
		CorrelationID: run.correlationID, Method: "PUT", Version: run.from.Platform.Version, Module: call.module,
		Path: "/" + call.party.CountryCode() + "/" + call.party.PartyID() + "/" + url.PathEscape(o.id),
		Body: o.body, Revision: revision,
	}
}
