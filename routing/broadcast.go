package routing

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

// broadcast validates and keeps a push that is meant for all, appends it to the
// log, and answers at once (S5). Who receives it is decided later, and what they
// answer the sender never hears (S2).
func (r *Router) broadcast(ctx context.Context, caller *parties.Entry, req *ocpi.Request, m *Message) Reply {
	b := &Broadcast{
		From: req.From.Party, Platform: caller.Platform.ID, Accepted: m.Time, CorrelationID: req.CorrelationID,
		Method: req.Method, Version: req.Version, Module: req.Module, Path: req.Path, Query: req.Query,
		// The request's buffer is used again after the answer; its strings are not.
		Body: bytes.Clone(req.Body),
	}
	if refusal := r.cfg.Outbox.full(); refusal != nil {
		return r.notBroadcast(ctx, req, refusal, m)
	}
	var said string
	var err error
	switch {
	case catalog.Keeps(req.Module):
		said, err = r.keep(ctx, caller, b)
	case req.Module == ocpi.ModuleTokens:
		said, err = r.passOn(ctx, b)
	default: // R4; the plan has refused it already
		err = ocpi.Errorf(ocpi.InvalidParameters, "module %s is not broadcast: address the receiving party", req.Module)
	}
	if err != nil {
		return r.notBroadcast(ctx, req, err, m)
	}
	m.Outcome = OutcomeOK
	return Reply{To: req.From, Response: r.fromHub(ocpi.Response{
		HTTP: 200, Status: ocpi.Success, Body: ocpi.Envelope(nil, ocpi.Success, said),
	})}
}

// notBroadcast answers for a push that went nowhere. Why the record failed the
// catalog and the Outbox log, once: with it down, that is each push.
func (r *Router) notBroadcast(ctx context.Context, req *ocpi.Request, err error, m *Message) Reply {
	refusal, ok := ocpi.AsError(err)
	if !ok {
		refusal = ocpi.Errorf(ocpi.HubError, "the hub could not take the broadcast in; send it again")
	}
	m.Outcome, m.Detail = OutcomeRefused, refusal.Message
	if ctx.Err() != nil {
		m.Outcome = OutcomeCancelled
	}
	return r.hubAnswer(req, refusal)
}

// What the sender reads in status_message.
const (
	saidSent      = "accepted; it is sent to all parties that it is meant for"
	saidUnchanged = "accepted; it changes nothing but last_updated, so it is not sent on"
)

// keep takes a push of an object that the hub keeps into the record. The log has
// it before anybody can push the object again, so that its order is the record's.
//
// A push that changes nothing can be suppressed: whoever made the object what it is
// has a row in the outbox, written with the object, until every receiver had it.
// That holds though its sender never heard of it, and so sends the same again: if
// the answer was lost behind the commit, the Outbox finds the row (Doubt), or who
// adopts it does.
func (r *Router) keep(ctx context.Context, caller *parties.Entry, b *Broadcast) (string, error) {
	w, refusal := catalog.ReadPath(b.Module, b.Path)
	if refusal != nil {
		return "", refusal
	}
	w.Method, w.Module, w.Body, w.Received = b.Method, b.Module, b.Body, b.Accepted
	w.Sender = string(caller.Platform.ID)
	if b.Module == ocpi.ModuleLocations {
		w.Operator = operator(caller, w.Owner)
	}
	b.Owner, b.Object = w.Owner, objectName(b.Module, w.Owner, w.ID)
	var taken <-chan struct{}
	w.Then = func(applied catalog.Applied) {
		// After a requester that did not wait, this may run when keep has returned.
		if applied.Changed || !r.cfg.SuppressUnchanged {
			b.Revision, b.Overtaken = r.revisionOf(applied), applied.Overtaken
			taken = r.cfg.Outbox.Append(b)
		}
	}
	applied, err := r.cfg.Catalog.Apply(ctx, w)
	if err != nil {
		if refusal, ok := ocpi.AsError(err); !ok || refusal.Status == ocpi.HubError {
			r.cfg.Outbox.Doubt()
		}
		return "", err
	}
	await(ctx, taken)
	if !applied.Changed {
		count := r.metrics.unchanged[b.Module]
		if r.cfg.SuppressUnchanged {
			count.suppressed.Inc()
			return saidUnchanged, nil
		}
		count.sent.Inc()
	}
	return saidSent, nil
}

// revisionOf is the revision under which the record has what was pushed. A push
// that wrote nothing stands for the one that did: as long as it is under way, that
// one is open, if it is not done.
func (r *Router) revisionOf(applied catalog.Applied) int64 {
	if !applied.Changed {
		if _, revision, there := r.cfg.Catalog.Stored(applied.Key); there {
			return revision
		}
	}
	return applied.Revision
}

// passOn validates and sends a Token, of which the hub keeps no copy.
func (r *Router) passOn(ctx context.Context, b *Broadcast) (string, error) {
	if refusal := b.readToken(); refusal != nil {
		return "", refusal
	}
	return saidSent, r.cfg.Outbox.Accept(ctx, b)
}

// objectName is Broadcast.Object. Ids are CiStrings (F3).
func objectName(m ocpi.ModuleID, owner ocpi.PartyKey, id string) string {
	return string(m) + "/" + owner.String() + "/" + strings.ToLower(id)
}

// operator is the owner's business_details, for a Location that comes without an
// operator (U6). Field-quirks: an empty name says nothing.
func operator(caller *parties.Entry, owner ocpi.PartyKey) []byte {
	for _, role := range caller.Platform.Roles {
		var details struct{ Name string }
		if role.Party == owner && json.Unmarshal(role.BusinessDetails, &details) == nil && details.Name != "" {
			return role.BusinessDetails
		}
	}
	return nil
}

// errTokenOwner quotes nothing of the URL: the answer is logged, and a uid may
// stand where the party should.
func errTokenOwner() *ocpi.Error {
	return ocpi.Errorf(ocpi.InvalidParameters, "URL of module tokens must be {country_code}/{party_id}/{token_uid}, "+
		"with a country code of two letters and a party id of one to three letters or digits")
}

// maxTokenUID is the length of Token.uid (2.2.1 mod_tokens, Token object).
const maxTokenUID = 36

// readToken checks a push on the tokens Receiver interface, /{country_code}/
// {party_id}/{token_uid}[?type={type}], and fills in whose Token it is (2.2.1
// mod_tokens, PUT and PATCH).
func (b *Broadcast) readToken() *ocpi.Error {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(b.Path, "/"), "/"), "/")
	if len(segments) != 3 || segments[2] == "" {
		return ocpi.Errorf(ocpi.InvalidParameters, "URL of module tokens must be {country_code}/{party_id}/{token_uid}")
	}
	owner, err := ocpi.ParsePartyKey(unescaped(segments[0]), unescaped(segments[1]))
	if err != nil {
		return errTokenOwner()
	}
	uid := unescaped(segments[2])
	if len(uid) > maxTokenUID {
		return ocpi.Errorf(ocpi.InvalidParameters, "URL of module tokens: token_uid must have at most %d characters, has %d",
			maxTokenUID, len(uid))
	}
	b.Owner, b.Object = owner, objectName(b.Module, owner, uid)
	if b.Method != "PUT" && b.Method != "PATCH" {
		return ocpi.HTTPErrorf(405, ocpi.ClientError,
			"method %s: Tokens are pushed by PUT and PATCH; one that ends is PUT with valid = false", b.Method)
	}
	return b.checkToken(owner, uid)
}

// checkToken holds that the body is about the Token that the URL names (E2), and
// can be read in one way only.
func (b *Broadcast) checkToken(owner ocpi.PartyKey, uid string) *ocpi.Error {
	if !utf8.Valid(b.Body) {
		return ocpi.HTTPErrorf(400, ocpi.ClientError, "the body is not valid JSON: it must be UTF-8") // S1
	}
	body, refusal := readFields(b.Body)
	if refusal != nil {
		return refusal
	}
	switch {
	case b.Method == "PUT" && body["uid"] == "":
		return ocpi.Errorf(ocpi.InvalidParameters, "field uid: is missing; a PUT has the whole Token")
	case b.Method == "PATCH" && body["last_updated"] == "":
		return ocpi.Errorf(ocpi.InvalidParameters, "field last_updated: is missing; every PATCH of a Token has it")
	}
	inURL := [...]struct{ name, value string }{
		{"country_code", owner.CountryCode()}, {"party_id", owner.PartyID()}, {"uid", uid}, {"type", givenTokenType(b.Query)},
	}
	for _, field := range inURL {
		value := body[field.name]
		if value != "" && field.value != "" && !strings.EqualFold(strings.TrimSpace(value), strings.TrimSpace(field.value)) {
			return ocpi.Errorf(ocpi.InvalidParameters, "field %s: is not the one in the URL", field.name)
		}
	}
	return nil
}

// readFields reads the members of a Token as texts. Field-quirks: ids are
// sometimes numbers; null is as good as absent.
func readFields(body []byte) (map[string]string, *ocpi.Error) {
	w := ocpi.Walk(body, 0)
	if !w.Open('{') {
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "body must be a Token, a JSON object")
	}
	fields := make(map[string]string)
	for {
		quoted, ok := w.Member()
		if !ok {
			break
		}
		name := string(ocpi.Unquote(quoted))
		if _, twice := fields[name]; twice {
			return nil, ocpi.Errorf(ocpi.InvalidParameters, "field %.64s: stands twice in the Token", name)
		}
		start, end := w.Value()
		if !w.Good() {
			break // what was read of the value may be half a string
		}
		switch value := body[start:end]; {
		case len(value) > 0 && value[0] == '"':
			fields[name] = string(ocpi.Unquote(value))
		case string(value) == "null":
			fields[name] = ""
		default:
			fields[name] = string(value)
		}
	}
	if !w.Done() {
		return nil, ocpi.HTTPErrorf(400, ocpi.ClientError, "the body is not valid JSON") // S1
	}
	return fields, nil
}
