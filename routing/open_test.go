package routing

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// inquiryNet is a router between a CPO, NL/CPA, and eMSPs that authorise as a
// test says.
type inquiryNet struct {
	*Router
	directory *parties.Directory
	caller    *parties.Entry
	journal   *notes

	mu    sync.Mutex
	calls []*http.Request
}

// notes is a Journal.
type notes struct {
	mu       sync.Mutex
	messages []Message
}

func (n *notes) Record(m *Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.messages = append(n.messages, *m)
}
func (n *notes) RecordLegs(*Legs) {}

func newInquiryNet(t *testing.T, timeout time.Duration, emsps map[string]http.HandlerFunc) *inquiryNet {
	t.Helper()
	n := &inquiryNet{directory: parties.NewDirectory(peer.NewDialer(peer.DialerConfig{AllowPrivate: true})), journal: new(notes)}
	n.directory.Apply(platform("chargers", nil, role(t, "NLCPA", ocpi.RoleCPO)), 1)
	for emsp, answer := range emsps {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.mu.Lock()
			n.calls = append(n.calls, r.Clone(context.Background()))
			n.mu.Unlock()
			io.Copy(io.Discard, r.Body)
			answer(w, r)
		}))
		t.Cleanup(server.Close)
		n.directory.Apply(platform(emsp, func(p *parties.Platform) {
			for i := range p.Endpoints {
				p.Endpoints[i].URL = server.URL + "/" + string(p.Endpoints[i].Identifier)
			}
		}, role(t, emsp, ocpi.RoleEMSP)), 1)
	}
	n.caller = n.directory.Snapshot().Platform("chargers")
	n.Router = NewRouter(RouterConfig{
		Directory: n.directory, Hub: parties.Identity{Party: party(t, "EUBUS"), PublicURL: "https://hub.test"},
		Timeout: timeout, Journals: []Journal{n.journal}, Index: NewIndex(IndexConfig{}),
	})
	return n
}

func (n *inquiryNet) authorize(t *testing.T, ctx context.Context) (Reply, *ocpi.Request) {
	req := request(t, "NLCPA", "", `POST SENDER tokens /0A/authorize {"location_id":"L1"}`)
	return n.Route(ctx, n.caller, req, time.Now()), req
}

func says(httpStatus int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(httpStatus)
		io.WriteString(w, body)
	}
}

const allowed = `{"data":{"allowed":"ALLOWED"},"status_code":1000,"timestamp":"2026-01-31T12:00:00Z"}`

func unknownToken() http.HandlerFunc { return says(404, `{"status_code":2004}`) }
func approves() http.HandlerFunc     { return says(200, allowed) }

// hangs answers never.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestAsk_TheFirstThatKnowsTheTokenAnswers(t *testing.T) {
	t.Parallel()
	n := newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{
		"NLAAA": unknownToken(), "NLBBB": hangs, "NLCCC": approves(), "NLDDD": says(401, `{"status_code":2000}`),
		"NLEEE": says(200, "<html>"), "NLFFF": says(200, `{"status_code":2004}`), "NLGGG": says(200, `{"status_code":3000}`),
		"NLHHH": says(404, allowed), "NLIII": says(200, ""),
	})
	reply, req := n.authorize(t, t.Context())
	clear(req.Body) // nobody reads it any more
	if reply.HTTP != 200 || reply.Status != 1000 || string(reply.Body) != allowed || reply.From.Party != party(t, "NLCCC") || reply.To.Party != party(t, "NLCPA") {
		t.Errorf("got HTTP %d, %s from %s", reply.HTTP, reply.Body, reply.From.Party)
	}
	reply.Release()
	m := n.journal.messages[0]
	if m.To != party(t, "NLCCC") || m.Plan != PlanOpen || m.Outcome != OutcomeOK || m.Peer <= 0 {
		t.Errorf("the journal says %+v", m)
	}
	if m.Peer >= AuthorizeTimeout {
		t.Errorf("the one that hangs was waited for, %v", m.Peer)
	}
	// The lesson is learned: nobody else is asked again.
	plan := n.decide(t.Context(), n.caller, request(t, "NLCPA", "", "POST SENDER tokens /0A/authorize"))
	if plan.To.Party != party(t, "NLCCC") || len(plan.Ask) != 0 {
		t.Errorf("the next time, %s and %s would be asked", plan.To.Party, names(plan.Ask))
	}
}

// An eMSP that issued a token and says later that it does not know it is not
// asked alone again.
func TestA1_AnIssuerThatForgetsATokenIsForgotten(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	n := newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{
		"NLAAA": func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				unknownToken()(w, r)
			} else {
				approves()(w, r)
			}
		},
		"NLBBB": func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				approves()(w, r)
			} else {
				unknownToken()(w, r)
			}
		},
	})
	var got []string
	for step := range 4 {
		gone.Store(step > 0)
		reply, _ := n.authorize(t, t.Context())
		got = append(got, fmt.Sprintf("%s %d", reply.From.Party, reply.Status))
		reply.Release()
	}
	if diff := cmp.Diff([]string{"NLAAA 1000", "NLBBB 1000", "NLBBB 1000", "NLBBB 1000"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestR7_EveryLegOfAnInquiryHasItsOwnRequestID(t *testing.T) {
	t.Parallel()
	n := newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{"NLAAA": unknownToken(), "NLBBB": unknownToken()})
	reply, _ := n.authorize(t, t.Context())
	reply.Release()
	var ids, to []string
	for _, r := range n.calls {
		ids = append(ids, r.Header.Get("X-Request-ID"))
		to = append(to, r.Header.Get("OCPI-to-country-code")+r.Header.Get("OCPI-to-party-id"))
		if r.Header.Get("X-Correlation-ID") != "c-1" || r.Header.Get("OCPI-from-party-id") != "CPA" || r.URL.Path != "/tokens/0A/authorize" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
	}
	slices.Sort(to)
	if len(ids) != 2 || ids[0] == ids[1] || slices.Contains(ids, "r-1") || !slices.Equal(to, []string{"NLAAA", "NLBBB"}) {
		t.Errorf("legs %v to %v", ids, to)
	}
}

func TestA1_NobodyKnowsTheToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		emsps   map[string]http.HandlerFunc
		says    string
	}{
		{"all say so", 30 * time.Second, map[string]http.HandlerFunc{"NLAAA": unknownToken(), "NLBBB": says(200, `{"status_code":2004}`)}, "2 were asked, 0 of them"},
		{"one is broken", 30 * time.Second, map[string]http.HandlerFunc{"NLAAA": unknownToken(), "NLBBB": says(401, ``)}, "2 were asked, 1 of them"},
		{"all hang", 50 * time.Millisecond, map[string]http.HandlerFunc{"NLAAA": hangs, "NLBBB": hangs}, "2 were asked, 2 of them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newInquiryNet(t, tt.timeout, tt.emsps)
			reply, _ := n.authorize(t, t.Context())
			defer reply.Release()
			if reply.HTTP != 404 || reply.Status != ocpi.UnknownToken || !strings.Contains(string(reply.Body), tt.says) || reply.From.Party != party(t, "EUBUS") {
				t.Errorf("got HTTP %d from %s: %s", reply.HTTP, reply.From.Party, reply.Body)
			}
			if m := n.journal.messages[0]; m.Outcome != OutcomeRefused || !strings.Contains(m.Detail, tt.says) {
				t.Errorf("the journal says %+v", m)
			}
		})
	}
}

// One that wants to know more may not have looked, so a real answer wins.
func TestAsk_NotEnoughInformation(t *testing.T) {
	t.Parallel()
	wantsMore := says(200, `{"status_code":2002}`)
	answered := make(chan struct{})
	late := func(w http.ResponseWriter, r *http.Request) { <-answered; approves()(w, r) }
	n := newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{
		"NLAAA": func(w http.ResponseWriter, r *http.Request) { wantsMore(w, r); close(answered) }, "NLBBB": late,
	})
	reply, _ := n.authorize(t, t.Context())
	if reply.Status != 1000 || reply.From.Party != party(t, "NLBBB") {
		t.Errorf("got %d from %s", reply.Status, reply.From.Party)
	}
	reply.Release()
	n = newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{
		"NLAAA": unknownToken(), "NLBBB": says(200, `{"data":{"allowed":"NOT_ALLOWED"},"status_code":1000}`),
	})
	reply, _ = n.authorize(t, t.Context())
	if reply.Status != 1000 || reply.From.Party != party(t, "NLBBB") {
		t.Errorf("got %d from %s", reply.Status, reply.From.Party)
	}
	reply.Release()
	n = newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{"NLAAA": wantsMore, "NLBBB": unknownToken(), "NLCCC": wantsMore})
	reply, _ = n.authorize(t, t.Context())
	defer reply.Release()
	if reply.Status != ocpi.NotEnoughInfo || reply.From.Party == party(t, "NLBBB") {
		t.Errorf("got %d from %s", reply.Status, reply.From.Party)
	}
	if known := n.cfg.Index.Token("0A", "RFID"); known != nil {
		t.Errorf("learned that %s issued the token", known)
	}
}

func TestAsk_TheRequesterGoesAway(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	n := newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{
		"NLAAA": func(w http.ResponseWriter, r *http.Request) { leave(); hangs(w, r) }, "NLBBB": hangs,
	})
	reply, _ := n.authorize(t, ctx)
	reply.Release()
	if m := n.journal.messages[0]; m.Outcome != OutcomeCancelled {
		t.Errorf("the journal says %+v", m)
	}
}

func TestM4_WhatWasLearnedWronglyOfATokenIsCorrected(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		emsps  map[string]http.HandlerFunc
		status ocpi.StatusCode
		from   string
		known  string
		calls  int
	}{
		{"the issuer knows it", map[string]http.HandlerFunc{"NLAAA": approves(), "NLBBB": approves()}, 1000, "NLAAA", "[NLAAA]", 1},
		{"another issued it", map[string]http.HandlerFunc{"NLAAA": unknownToken(), "NLBBB": unknownToken(), "NLCCC": approves()}, 1000, "NLCCC", "[NLCCC]", 3},
		{"nobody did", map[string]http.HandlerFunc{"NLAAA": unknownToken(), "NLBBB": unknownToken()}, 2004, "NLAAA", "[]", 2},
		{"there is nobody else", map[string]http.HandlerFunc{"NLAAA": unknownToken()}, 2004, "NLAAA", "[]", 1},
		{"the issuer wants to know more", map[string]http.HandlerFunc{"NLAAA": says(200, `{"status_code":2002}`), "NLBBB": approves()}, 2002, "NLAAA", "[NLAAA]", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newInquiryNet(t, 30*time.Second, test.emsps)
			// Its eMSP took a Session without a look at the token.
			n.cfg.Index.Learn(request(t, "NLCPA", "NLAAA", `PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"uid":"0A"}}`), nil)
			reply, req := n.authorize(t, t.Context())
			if reply.Status != test.status || reply.From.Party != party(t, test.from) || req.To.Party != party(t, test.from) {
				t.Errorf("got %d from %s", reply.Status, reply.From.Party)
			}
			reply.Release()
			if known := fmt.Sprint(n.cfg.Index.Token("0A", "RFID")); known != test.known {
				t.Errorf("%s are known then", known)
			}
			if m := n.journal.messages[0]; m.To != party(t, test.from) || m.OCPIStatus != test.status || m.Peer <= 0 {
				t.Errorf("the journal says %+v", m)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if len(n.calls) > test.calls || test.calls == 1 && len(n.calls) != 1 {
				t.Errorf("%d calls were made", len(n.calls))
			}
		})
	}
}

func TestAsk_FewAtATime(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	var all sync.Map // by eMSP: a test whose server is gone may call its old port
	emsps := make(map[string]http.HandlerFunc)
	for i := range mostAskedAtOnce + 20 {
		emsps[fmt.Sprintf("NL%d", 100+i)] = func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			all.Store(i, true)
			now.Add(-1)
			unknownToken()(w, r)
		}
	}
	n := newInquiryNet(t, 30*time.Second, emsps)
	reply, _ := n.authorize(t, t.Context())
	defer reply.Release()
	asked := 0
	all.Range(func(any, any) bool { asked++; return true })
	if most.Load() > mostAskedAtOnce || asked != mostAskedAtOnce+20 || !strings.Contains(string(reply.Body), "84 were asked, 0 of them") {
		t.Errorf("%d asked, %d at once: %s", asked, most.Load(), reply.Body)
	}
}

func TestM4_ARefusedMessageTeachesNothing(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int{`{"status_code":1000}`: 1, `{"status_code":2001}`: 0, `{"status_code":3000}`: 0, `<html>`: 0} {
		n := newInquiryNet(t, 30*time.Second, map[string]http.HandlerFunc{"NLAAA": says(200, answer)})
		req := request(t, "NLCPA", "NLAAA", `POST RECEIVER cdrs {"cdr_token":{"country_code":"NL","party_id":"AAA","uid":"0B"}}`)
		reply := n.Route(t.Context(), n.caller, req, time.Now())
		reply.Release()
		if known := n.cfg.Index.Token("0B", "RFID"); len(known) != want {
			t.Errorf("from a message that was answered %s, %v was learned", answer, known)
		}
	}
}

func TestLearnFollowsThePlan(t *testing.T) {
	t.Parallel()
	r := NewRouter(RouterConfig{Index: NewIndex(IndexConfig{})})
	location := request(t, "NLCPA", "EUBUS", "PUT RECEIVER locations /NL/CPA/L1 {}")
	token := request(t, "DEMSP", "EUBUS", "PUT RECEIVER tokens /DE/MSP/0A {}")
	r.learn(&Plan{Kind: PlanBroadcast}, location, &Reply{})
	r.learn(&Plan{Kind: PlanBroadcast}, token, &Reply{})
	got := []int{len(r.cfg.Index.Location("L1")), len(r.cfg.Index.Token("0A", "RFID"))}
	if diff := cmp.Diff([]int{0, 1}, got); diff != "" {
		t.Errorf("what the catalog keeps is learned again, or a token is not:\n%s", diff)
	}
}
