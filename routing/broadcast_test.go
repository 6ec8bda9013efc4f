package routing

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"busbar/ocpi"
	"busbar/parties"
)

// straight is a log that hands broadcasts to a Fanout as they come.
type straight struct {
	fanout *Fanout
	last   *Broadcast
}

func (l *straight) Append(b *Broadcast, ended func()) (taken <-chan struct{}) {
	l.last = b
	if l.fanout != nil {
		l.fanout.Deliver(Handed{Broadcast: b, Done: ended})
	}
	return nil
}

func (*straight) Run(context.Context, func(Handed)) {}

func (*straight) CutShort() {}

func tokenRouter(log BroadcastLog) *Router { return savingRouter(log, newOutboxRecord()) }

func savingRouter(log BroadcastLog, record *outboxRecord) *Router {
	return NewRouter(RouterConfig{
		Hub:    parties.Identity{Party: ocpi.PartyKey{'E', 'U', 'B', 'U', 'S'}},
		Outbox: newOutbox(log, record), Logger: slog.New(slog.DiscardHandler),
	})
}

// tokenPush reads "PUT /NL/TNM/T1" as a request of NL/TNM to the hub.
func tokenPush(t *testing.T, line, body string) *ocpi.Request {
	method, target, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(target, "?")
	req := &ocpi.Request{
		Method: method, Version: ocpi.V221, Module: ocpi.ModuleTokens, Interface: ocpi.Receiver, Path: path, Query: query,
		From: ocpi.AddressOf(party(t, "NLTNM")), To: ocpi.AddressOf(party(t, hubParty)), RequestID: "r-1", CorrelationID: "c-1",
	}
	if body != "" {
		req.Body = []byte(body)
	}
	return req
}

var emsp = &parties.Entry{Platform: parties.Platform{ID: "emsp"}}

func TestR5_APushToTheHubIsSentOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	cpo := s.station("cpo", accepts, "DECPO")
	const body = `{"country_code":"nl","party_id":"TNM","uid":"T%1","valid":true,"x":1.0}`
	req := tokenPush(t, "PUT /NL/TNM/t%251?type=RFID", body)
	m := message(req, PlanBroadcast, time.Now())
	reply := tokenRouter(&straight{fanout: s.fanout}).broadcast(t.Context(), emsp, req, &m)
	clear(req.Body) // the gateway uses the buffer for another request
	got := receive(t, cpo.got)
	if got.line != "PUT /tokens/NL/TNM/t%251?type=RFID HTTP/1.1" || got.body != body {
		t.Errorf("got %q %s", got.line, got.body)
	}
	if reply.HTTP != 200 || reply.Status != ocpi.Success || m.Outcome != OutcomeOK {
		t.Errorf("answered %d %d, outcome %s", reply.HTTP, reply.Status, m.Outcome)
	}
	if reply.From.Party != party(t, hubParty) || reply.To.Party != party(t, "NLTNM") {
		t.Errorf("answered from %s to %s", reply.From.Party, reply.To.Party)
	}
	if code, _ := ocpi.ScanEnvelope(reply.Body); code != ocpi.Success || !strings.Contains(string(reply.Body), "accepted") {
		t.Errorf("answered %s", reply.Body)
	}
	legs := receive(t, s.ended.legs)
	if legs.CorrelationID != "c-1" || legs.From != party(t, "NLTNM") || legs.Module != ocpi.ModuleTokens || legs.OK != 1 {
		t.Errorf("journal has %+v", legs)
	}
}

func TestS5_AnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	hanging, _ := s.hanging("cpo", "DECPO")
	req := tokenPush(t, "PATCH /NL/TNM/T1", `{"valid":false,"last_updated":"2026-01-31T12:00:00Z"}`)
	m := message(req, PlanBroadcast, time.Now())
	reply := tokenRouter(&straight{fanout: s.fanout}).broadcast(t.Context(), emsp, req, &m)
	receive(t, hanging.got)
	if reply.Status != ocpi.Success || s.fanout.Queued() != 1 {
		t.Errorf("answered %d with %d legs under way", reply.Status, s.fanout.Queued())
	}
}

func TestS5_TheRecordMustHaveItFirst(t *testing.T) {
	t.Parallel()
	log, record := &straight{}, newOutboxRecord()
	record.fails["save"] = 2
	req := tokenPush(t, "PUT /NL/TNM/T1", `{"uid":"T1"}`)
	m := message(req, PlanBroadcast, time.Now())
	reply := savingRouter(log, record).broadcast(t.Context(), emsp, req, &m)
	if reply.Status != ocpi.HubError || m.Outcome != OutcomeRefused || strings.Contains(string(reply.Body), "secret") {
		t.Errorf("answered %s, outcome %s", reply.Body, m.Outcome)
	}
	m = message(req, PlanBroadcast, time.Now())
	savingRouter(log, record).broadcast(ended(t), emsp, req, &m)
	if m.Outcome != OutcomeCancelled || log.last != nil {
		t.Errorf("outcome %s of a requester that left; sent %v", m.Outcome, log.last)
	}
}

func TestS5_TooManyThatHaveNotEndedLetNothingIn(t *testing.T) {
	t.Parallel()
	log, record := &pending{}, newOutboxRecord()
	r := savingRouter(log, record)
	push := func() Message {
		req := tokenPush(t, "PUT /NL/TNM/T1", `{"uid":"T1"}`)
		m := message(req, PlanBroadcast, time.Now())
		r.broadcast(t.Context(), emsp, req, &m)
		return m
	}
	o := r.cfg.Outbox
	o.open = mostOpen - 1
	if m := push(); m.Outcome != OutcomeOK {
		t.Errorf("outcome %s %s", m.Outcome, m.Detail)
	}
	if m := push(); m.Outcome != OutcomeRefused || !strings.Contains(m.Detail, "500000 broadcasts") || len(record.saves) != 1 {
		t.Errorf("outcome %s %q, saved %v", m.Outcome, m.Detail, record.saves)
	}
	if n := testutil.ToFloat64(o.metrics.refused); n != 1 {
		t.Errorf("%v are counted", n)
	}
	log.end(0)
	if m := push(); m.Outcome != OutcomeOK {
		t.Errorf("outcome %s %s", m.Outcome, m.Detail)
	}
}

func TestE2_ATokenIsTheOneInItsURL(t *testing.T) {
	t.Parallel()
	const now = `"last_updated":"2026-01-31T12:00:00Z"`
	for _, test := range []struct {
		item, name, line, body string
		object, says           string
	}{
		{"E2", "a Token", "PUT /NL/TNM/Tag1", `{"country_code":"NL","party_id":"TNM","uid":"Tag1"}`, "tokens/NLTNM/tag1", ""},
		{"F3", "case does not matter", "PUT /nl/tnm/TAG1", `{"country_code":"NL","party_id":"TNM","uid":"tag1"}`, "tokens/NLTNM/tag1", ""},
		{"M2", "a trailing slash", "PUT /NL/TNM/Tag1/", `{"uid":"Tag1"}`, "tokens/NLTNM/tag1", ""},
		{"M2", "an id with a slash", "PUT /NL/TNM/a%2Fb", `{"uid":"a/b"}`, "tokens/NLTNM/a/b", ""},
		{"E2", "without the owner", "PUT /NL/TNM/T", `{"uid":"T","party_id":null}`, "tokens/NLTNM/t", ""},
		{"E2", "a number for an id", "PUT /NL/TNM/12", `{"uid":12}`, "tokens/NLTNM/12", ""},
		{"F6", "a patch", "PATCH /NL/TNM/T", `{"valid":false,` + now + `}`, "tokens/NLTNM/t", ""},
		{"E2", "another uid", "PUT /NL/TNM/T", `{"uid":"U"}`, "", "field uid"},
		{"E2", "another uid in a patch", "PATCH /NL/TNM/T", `{"uid":"U",` + now + `}`, "", "field uid"},
		{"E2", "another party", "PUT /NL/TNM/T", `{"uid":"T","party_id":"ABC"}`, "", "field party_id"},
		{"E2", "another country", "PUT /NL/TNM/T", `{"uid":"T","country_code":"DE"}`, "", "field country_code"},
		{"E2", "no uid", "PUT /NL/TNM/T", `{"valid":true}`, "", "field uid"},
		{"F6", "a patch without last_updated", "PATCH /NL/TNM/T", `{"valid":false}`, "", "field last_updated"},
		{"E2", "another type", "PUT /NL/TNM/T?type=RFID", `{"uid":"T","type":"APP_USER"}`, "", "field type"},
		{"E2", "another type in a patch", "PATCH /NL/TNM/T?type=RFID", `{"type":"OTHER",` + now + `}`, "", "field type"},
		{"E2", "the same type", "PUT /NL/TNM/T?type=APP_USER", `{"uid":"T","type":"APP_USER"}`, "tokens/NLTNM/t", ""},
		{"E2", "a type that the URL leaves out", "PUT /NL/TNM/T", `{"uid":"T","type":"APP_USER"}`, "tokens/NLTNM/t", ""},
		{"E2", "a name in another case is another name", "PUT /NL/TNM/T", `{"uid":"T","UID":"U"}`, "tokens/NLTNM/t", ""},
		{"E2", "uid twice", "PUT /NL/TNM/T", `{"uid":"T","uid":"U"}`, "", "field uid: stands twice"},
		{"E2", "the same uid twice, in two spellings", "PUT /NL/TNM/T", `{"uid":"T","\u0075id":"T"}`, "", "field uid: stands twice"},
		{"E2", "party_id twice", "PUT /NL/TNM/T", `{"uid":"T","party_id":"TNM","party_id":"TNM"}`, "", "field party_id: stands twice"},
		{"E2", "last_updated twice", "PATCH /NL/TNM/T", `{` + now + `,` + now + `}`, "", "field last_updated: stands twice"},
		{"E2", "any member twice", "PUT /NL/TNM/T", `{"uid":"T","x":1,"x":2}`, "", "field x: stands twice"},
		{"S1", "broken UTF-8", "PUT /NL/TNM/T", "{\"uid\":\"T\",\"x\":\"\xff\"}", "", "must be UTF-8"},
		{"E2", "a list", "PUT /NL/TNM/T", `[{"uid":"T"}]`, "", "JSON object"},
		{"E2", "null", "PUT /NL/TNM/T", `null`, "", "JSON object"},
		{"E2", "no body", "PUT /NL/TNM/T", ``, "", "JSON object"},
		{"E1", "no owner in the URL", "PUT /T", `{"uid":"T"}`, "", "{country_code}"},
		{"E1", "no uid in the URL", "PUT /NL/TNM/", `{"uid":"T"}`, "", "{token_uid}"},
		{"E1", "too much in the URL", "PUT /NL/TNM/T/x", `{"uid":"T"}`, "", "{token_uid}"},
		{"E1", "no country", "PUT /NLD/TNM/T", `{"uid":"T"}`, "", "country code"},
		{"E2", "a long uid", "PUT /NL/TNM/" + strings.Repeat("9", 37), `{}`, "", "36 characters"},
		{"R3", "a DELETE", "DELETE /NL/TNM/T", ``, "", "valid = false"},
		{"R3", "a POST", "POST /NL/TNM/T", `{"uid":"T"}`, "", "method POST"},
	} {
		t.Run(test.item+" "+test.name, func(t *testing.T) {
			t.Parallel()
			log := &straight{}
			req := tokenPush(t, test.line, test.body)
			m := message(req, PlanBroadcast, time.Now())
			reply := tokenRouter(log).broadcast(t.Context(), emsp, req, &m)
			if test.says != "" {
				if log.last != nil || m.Outcome != OutcomeRefused || reply.Status/1000 != 2 || !strings.Contains(m.Detail, test.says) {
					t.Errorf("answered %d %q, outcome %s", reply.Status, m.Detail, m.Outcome)
				}
				return
			}
			if reply.Status != ocpi.Success || log.last == nil {
				t.Fatalf("answered %d %q", reply.Status, m.Detail)
			}
			if b := log.last; b.Object != test.object || b.Owner != party(t, "NLTNM") || b.Platform != "emsp" || !b.Accepted.Equal(m.Time) {
				t.Errorf("appended %+v", b)
			}
		})
	}
}

func TestU6_TheOperatorIsTheOwnersBusiness(t *testing.T) {
	t.Parallel()
	entry := &parties.Entry{Platform: parties.Platform{Roles: []ocpi.CredentialsRole{
		{PartyRole: role(t, "NLCPA", ocpi.RoleCPO), BusinessDetails: []byte(`{"name":"Charge A","website":"https://a.example"}`)},
		{PartyRole: role(t, "NLCPB", ocpi.RoleCPO), BusinessDetails: []byte(`{"name":""}`)},
		{PartyRole: role(t, "NLCPC", ocpi.RoleCPO)},
		{PartyRole: role(t, "NLCPC", ocpi.RoleNAP), BusinessDetails: []byte(`{"name":"Charge C"}`)},
	}}}
	for name, want := range map[string]string{
		"NLCPA": `{"name":"Charge A","website":"https://a.example"}`, "NLCPB": "", "NLCPC": `{"name":"Charge C"}`, "BEXXX": "",
	} {
		if got := string(operator(entry, party(t, name))); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestR4_OtherModulesAreNotBroadcast(t *testing.T) {
	t.Parallel()
	req := tokenPush(t, "POST /", `{"id":"C1"}`)
	req.Module = ocpi.ModuleCDRs
	m := message(req, PlanBroadcast, time.Now())
	if reply := tokenRouter(nil).broadcast(t.Context(), emsp, req, &m); reply.Status != ocpi.InvalidParameters {
		t.Errorf("answered %d", reply.Status)
	}
}
