package web_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

type message struct {
	Time          string    `json:"time"`
	CorrelationID string    `json:"correlation_id"`
	From          string    `json:"from"`
	To            string    `json:"to"`
	Plan          string    `json:"plan"`
	Outcome       string    `json:"outcome"`
	DurationMS    float64   `json:"duration_ms"`
	PeerMS        float64   `json:"peer_ms"`
	Detail        string    `json:"detail"`
	Legs          *legs     `json:"legs"`
	Related       []message `json:"related"`
}

type legs struct {
	Total    int               `json:"total"`
	OK       int               `json:"ok"`
	Failures int               `json:"failures"`
	Failed   []json.RawMessage `json:"failed"`
}

func key(t *testing.T, s string) ocpi.PartyKey {
	t.Helper()
	k, err := ocpi.ParseParty(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// pass lets a message pass, as the router would take note of it. What is changed
// is changed before.
func (s *site) pass(at int, id string, change func(*routing.Message)) {
	s.t.Helper()
	m := routing.Message{
		Time: time.Date(2026, 1, 5, 9, 30, at, 125_999_999, time.UTC), CorrelationID: id, RequestID: "r-" + id, Method: "PUT",
		Module: ocpi.ModuleSessions, Interface: ocpi.Receiver, Path: "/NL/CPA/S1", From: key(s.t, "NLCPA"), To: key(s.t, "DEMSP"),
		Plan: routing.PlanDirect, Outcome: routing.OutcomeOK, HTTPStatus: 200, OCPIStatus: 1000,
		Duration: 12_345_678, Peer: 10 * time.Millisecond,
	}
	if change != nil {
		change(&m)
	}
	s.journal.Record(&m)
}

// broadcast lets a broadcast pass, with one leg of three that failed.
func (s *site) broadcast(at int, id string) {
	s.t.Helper()
	var b routing.Message
	s.pass(at, id, func(m *routing.Message) {
		m.Plan, m.Module, m.To = routing.PlanBroadcast, ocpi.ModuleLocations, key(s.t, "EUBUS")
		b = *m
	})
	s.journal.RecordLegs(&routing.Legs{
		Time: b.Time, Duration: time.Second, CorrelationID: id, Method: b.Method, Module: b.Module,
		From: b.From, Total: 3, OK: 2, Failed: []routing.FailedLeg{{
			To: key(s.t, "FRMSP"), Platform: "p1", RequestID: "r-9", Outcome: routing.OutcomeTimeout, OCPIStatus: 4002,
			Detail: "no answer within 30s", Duration: 30 * time.Second,
		}},
	})
}

type messagePage struct {
	Items []message `json:"items"`
	Next  string    `json:"next"`
}

func (s *site) messages(query string) messagePage {
	s.t.Helper()
	var p messagePage
	s.call("GET", "/api/v1/messages"+query, "").want(http.StatusOK).decode(&p)
	return p
}

func (p messagePage) ids() string {
	var ids []string
	for _, m := range p.Items {
		ids = append(ids, m.CorrelationID)
	}
	return strings.Join(ids, " ")
}

func TestMessages_EmptyIsAList(t *testing.T) {
	t.Parallel()
	if p := newSite(t).messages(""); p.Items == nil || len(p.Items) > 0 || p.Next != "" {
		t.Errorf("page %+v", p)
	}
}

func TestMessages_AreSearched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.pass(1, "a", nil)
	s.pass(2, "b", func(m *routing.Message) { m.From, m.To = m.To, m.From })
	s.pass(3, "c", func(m *routing.Message) {
		m.Outcome, m.OCPIStatus, m.Detail = routing.OutcomeTimeout, 4002, "DEMSP did not answer"
	})
	s.broadcast(4, "d")
	s.pass(5, "e", func(m *routing.Message) { m.From, m.To, m.Plan = ocpi.PartyKey{}, ocpi.PartyKey{}, routing.PlanRefused })
	for query, want := range map[string]string{
		"": "e d c b a", "?from=nlcpa": "d c a", "?to=NLCPA": "b", "?module=locations": "d", "?status=4002": "c",
		"?status=timeout": "c", "?status=200&limit=2": "e d", "?correlation_id=b": "b", "?from=NLCPA&to=DEMSP": "c a",
		"?since=2026-01-05T09:30:04Z": "e d", "?until=2026-01-05T11:30:02%2B02:00": "a", "?module=my-own": "",
	} {
		if got := s.messages(query).ids(); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	p := s.messages("?limit=3")
	if rest := s.messages("?limit=3&cursor=" + p.Next); p.ids() != "e d c" || rest.ids() != "b a" || rest.Next != "" {
		t.Errorf("pages %q and %q, then %q", p.ids(), rest.ids(), rest.Next)
	}
	m := s.messages("?status=timeout").Items[0]
	if m.Time != "2026-01-05T09:30:03.125Z" || m.From != "NLCPA" || m.DurationMS != 12.345 || m.PeerMS != 10 || m.Detail == "" || m.Legs != nil {
		t.Errorf("message %+v", m)
	}
	if d := s.messages("?module=locations").Items[0]; d.Legs == nil || d.Legs.Total != 3 || d.Legs.Failures != 1 || d.Legs.Failed != nil {
		t.Errorf("broadcast %+v, legs %+v", d, d.Legs)
	}
}

func TestMessages_ParametersAreChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for query, field := range map[string]string{
		"from=NL": "from", "to=NL-CPA": "to", "module=a%2Fb": "module", "status=nothing": "status", "status=-1": "status",
		"since=yesterday": "since", "until=2026-01-05": "until", "limit=0": "limit", "limit=1001": "limit", "cursor=abc": "cursor",
	} {
		s.call("GET", "/api/v1/messages?"+query, "").want(http.StatusUnprocessableEntity).wantFields(field)
	}
	s.call("GET", "/api/v1/messages?from=x&to=y&limit=z", "").want(http.StatusUnprocessableEntity).wantFields("from", "to", "limit")
	s.call("GET", "/api/v1/messages/stream?recent=9999&status=x", "").want(http.StatusUnprocessableEntity).wantFields("recent", "status")
	s.call("GET", "/api/v1/messages/a?since=x", "").want(http.StatusUnprocessableEntity).wantFields("since")
}

func TestMessage_WithItsLegsAndWhatIsRelated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.broadcast(1, "a/b c")
	s.pass(2, "a/b c", nil)
	s.pass(3, "other", nil)
	var m message
	s.call("GET", "/api/v1/messages/a%2Fb%20c", "").want(http.StatusOK).decode(&m)
	if m.Plan != "broadcast" || m.Legs == nil || len(m.Legs.Failed) != 1 || len(m.Related) != 1 || m.Related[0].Plan != "direct" {
		t.Errorf("message %+v", m)
	}
	want := `{"to":"FRMSP","platform":"p1","request_id":"r-9","outcome":"timeout","http_status":0,"ocpi_status":4002,` +
		`"duration_ms":30000,"detail":"no answer within 30s"}`
	if got := string(m.Legs.Failed[0]); got != want {
		t.Errorf("leg %s", got)
	}
	s.call("GET", "/api/v1/messages/other?since=2026-01-05T09:30:00Z&until=2026-01-05T09:31:00Z", "").want(http.StatusOK)
	s.call("GET", "/api/v1/messages/nothing", "").want(http.StatusNotFound).wantError("correlation id")
}

// listen opens the stream of a server, and returns its lines that are not empty.
func listen(t *testing.T, url, query string) <-chan string {
	t.Helper()
	return listenAs(t, "Bearer "+adminToken, url, query)
}

func listenAs(t *testing.T, authorization, url, query string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/v1/messages/stream"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("HTTP %d, %s", response.StatusCode, response.Header)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			if line := scanner.Text(); line != "" && line != ": listening" {
				lines <- line
			}
		}
	}()
	return lines
}

func TestStream_SendsWhatPasses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	everything, timeouts := listen(t, s.url, ""), listen(t, s.url, "?status=timeout&from=NLCPA&module=sessions")
	s.pass(1, "a", nil)
	s.pass(2, "b", func(m *routing.Message) { m.Outcome = routing.OutcomeTimeout })
	s.broadcast(3, "c")
	schema := func(line string) message {
		t.Helper()
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			t.Fatalf("line %q", line)
		}
		s.doc.check(t, "/components/schemas/Message", "the event", []byte(data))
		var m message
		if err := json.Unmarshal([]byte(data), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, id := range []string{"a", "b", "c"} {
		if event, m := <-everything, schema(<-everything); event != "event: message" || m.CorrelationID != id {
			t.Errorf("%s, %+v; want %s", event, m, id)
		}
	}
	if event, data := <-everything, <-everything; event != "event: legs" || !strings.Contains(data, `"correlation_id":"c"`) ||
		!strings.Contains(data, `"legs":{"total":3,"ok":2,"superseded":0,"method":"PUT","duration_ms":1000,"failures":1}`) {
		t.Errorf("%s, %s", event, data)
	}
	if event, m := <-timeouts, schema(<-timeouts); event != "event: message" || m.CorrelationID != "b" {
		t.Errorf("%s, %+v", event, m)
	}
	late := listen(t, s.url, "?recent=2")
	if <-late; schema(<-late).CorrelationID != "b" {
		t.Error("the newest messages do not come first")
	}
	s.server.EndStreams()
	for range everything { // ends
	}
}

// Whoever opens all the streams it gets leaves some to others.
func TestStream_SoManyAreOpenAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dashboard := s.issue("dashboard", "viewer").bearer()
	for _, test := range []struct {
		bearer string
		most   int
	}{{"Bearer " + adminToken, 50}, {dashboard, 25}} {
		for range test.most {
			listenAs(t, test.bearer, s.url, "")
		}
		refused := s.callAs(test.bearer, "GET", "/api/v1/messages/stream", "").want(http.StatusTooManyRequests).wantError("too many streams")
		if refused.header.Get("Retry-After") == "" {
			t.Error("it does not say when to try again")
		}
	}
	listenAs(t, s.issue("other", "viewer").bearer(), s.url, "")
}

// clockless is a listener whose connections only note the read deadlines that a
// server sets, until the test says that they have passed: a busy machine makes
// nobody late.
type clockless struct {
	net.Listener
	mu    sync.Mutex
	conns []*clocklessConn
}

type clocklessConn struct {
	net.Conn
	mu sync.Mutex
	// bounded tells that there is a deadline.
	bounded bool
}

func (l *clockless) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, &clocklessConn{Conn: c})
	return l.conns[len(l.conns)-1], nil
}

// pass lets all deadlines pass; it tells how many there were.
func (l *clockless) pass() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.mu.Lock()
		if c.bounded {
			n++
			c.bounded = false
			_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
		}
		c.mu.Unlock()
	}
	return n
}

// SetReadDeadline passes on none, and one in the past, by which net/http interrupts
// its own reading.
func (c *clocklessConn) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bounded = at.After(time.Now()); c.bounded {
		at = time.Time{}
	}
	return c.Conn.SetReadDeadline(at)
}

// The admin listener bounds how long a request may take to arrive; a stream
// outlasts that, and ends when the server shuts down.
func TestStream_OutlastsTheReadTimeoutAndEndsAtShutdown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := httptest.NewUnstartedServer(s.server.Handler())
	server.Config.ReadTimeout = time.Hour
	l := &clockless{Listener: server.Listener}
	server.Listener = l
	server.Config.RegisterOnShutdown(s.server.EndStreams)
	server.Start()
	t.Cleanup(server.Close)
	lines := listen(t, server.URL, "")
	if l.pass() != 0 {
		t.Error("the stream has a deadline")
	}
	silent, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for l.pass() == 0 { // once the server has heard of it
		runtime.Gosched()
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection outlasts its deadline: %v", err)
	}
	var got []string
	for i := range 4 {
		if l.pass() != 0 {
			t.Error("the stream has a deadline again")
		}
		s.pass(i, fmt.Sprint("m", i), nil)
		if _, ok := <-lines; !ok {
			t.Fatal("the stream has ended")
		}
		got = append(got, <-lines)
	}
	if !slices.ContainsFunc(got, func(line string) bool { return strings.Contains(line, `"m3"`) }) {
		t.Errorf("heard %v", got)
	}
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if line, ok := <-lines; ok {
		t.Errorf("after the end: %q", line)
	}
}
