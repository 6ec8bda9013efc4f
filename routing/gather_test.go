package routing

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busbar/ocpi"
	"busbar/parties"
)

func TestP1_GatheredLists(t *testing.T) {
	t.Parallel()
	none := func() *lister { return &lister{party: "AAEMP"} }
	for _, test := range []struct {
		name    string
		listers []*lister
		query   string
		total   string
		pages   []string
	}{
		{"nobody has a list", nil, "", "0", []string{""}},
		{"nobody has an object", []*lister{none(), {party: "BBEMP"}}, "", "0", []string{""}},
		{"one page of one party", []*lister{{party: "AACPO", objects: 2}}, "", "2", []string{"AACPO-0 AACPO-1"}},
		{"pages over parties, in their order", []*lister{{party: "CCCPO", objects: 1}, none(), {party: "BBCPO", objects: 3}, {party: "DDEMP"}},
			"limit=2", "4", []string{"BBCPO-0 BBCPO-1", "BBCPO-2", "CCCPO-0"}},
		{"more parties than are asked at once", []*lister{
			{party: "AAA", objects: 1}, {party: "AAB"}, {party: "AAC"}, {party: "AAD"}, {party: "AAE"}, {party: "AAF"}, {party: "AAG"}, {party: "AAH"},
			{party: "AAI"}, {party: "AAJ"}, {party: "AAK", objects: 1}, {party: "AAL"}, {party: "AAM"}, {party: "AAN", objects: 2},
		}, "limit=1", "4", []string{"AAA-0", "AAK-0", "AAN-0", "AAN-1"}},
		{"a smaller limit of a party", []*lister{{party: "AACPO", objects: 3, most: 2}}, "", "3", []string{"AACPO-0 AACPO-1", "AACPO-2"}},
		{"a party that ignores limit", []*lister{{party: "AACPO", objects: 5, ignoresLimit: true, noTotal: true}, {party: "BBCPO", objects: 1}},
			"limit=2", "6", []string{"AACPO-0 AACPO-1", "AACPO-2 AACPO-3", "AACPO-4", "BBCPO-0"}},
		{"a later party that ignores limit", []*lister{{party: "AACPO", objects: 1}, {party: "BBCPO", objects: 3, ignoresLimit: true, noTotal: true}},
			"limit=2", "4", []string{"AACPO-0", "BBCPO-0 BBCPO-1", "BBCPO-2"}},
		{"no limit asked of one that ignores it", []*lister{{party: "AACPO", objects: 3, ignoresLimit: true}}, "", "3", []string{"AACPO-0 AACPO-1 AACPO-2"}},
		{"a party that tells no total", []*lister{{party: "AACPO", objects: 3, noTotal: true}, {party: "BBCPO", objects: 1}},
			"limit=2", "", []string{"AACPO-0 AACPO-1", "AACPO-2", "BBCPO-0"}},
		{"a party that tells no total and has one page", []*lister{{party: "AACPO", objects: 1, noTotal: true}}, "limit=2", "1", []string{"AACPO-0"}},
		{"a party that gives no link", []*lister{{party: "AACPO", objects: 5, noLink: true}, {party: "BBCPO", objects: 1}},
			"limit=2", "6", []string{"AACPO-0 AACPO-1", "AACPO-2 AACPO-3", "AACPO-4", "BBCPO-0"}},
		{"an offset", []*lister{{party: "AACPO", objects: 3}, {party: "BBCPO", objects: 3}}, "offset=1&limit=10", "6",
			[]string{"AACPO-1 AACPO-2", "BBCPO-0 BBCPO-1 BBCPO-2"}},
		{"an offset into a later party", []*lister{{party: "AACPO", objects: 3}, none(), {party: "BBCPO", objects: 3}}, "offset=4&limit=1", "6",
			[]string{"BBCPO-1", "BBCPO-2"}},
		{"an offset between two parties", []*lister{{party: "AACPO", objects: 3}, none(), {party: "BBCPO", objects: 1}}, "offset=3", "4", []string{"BBCPO-0"}},
		{"an offset into one that ignores it", []*lister{{party: "AACPO", objects: 5, ignoresLimit: true}}, "offset=3&limit=1", "5",
			[]string{"AACPO-3", "AACPO-4"}},
		{"an offset behind the end", []*lister{{party: "AACPO", objects: 3}}, "offset=3", "3", []string{""}},
		{"an absurd offset", []*lister{{party: "AACPO", objects: 3}}, "offset=9223372036854775807", "3", []string{""}},
		{"limit 0", []*lister{{party: "AACPO", objects: 3}, {party: "BBCPO", objects: 1}}, "limit=0", "4", []string{""}},
		{"an interval without any time", []*lister{{party: "AACPO", objects: 3}},
			"date_from=2026-01-02T00:00:00Z&date_to=2026-01-01T00:00:00Z", "0", []string{""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pages, total := newGatherHub(t, test.listers...).walk("cdrs", test.query)
			if diff := cmp.Diff(test.pages, pages); diff != "" || total != test.total {
				t.Errorf("total %s, want %s\n%s", total, test.total, diff)
			}
		})
	}
}

// answers makes a party that always answers the same.
func answers(status int, body string, headers ...string) *lister {
	return &lister{party: "AACPO", answer: func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}}
}

func TestGatheringLivesWithOddLists(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, ids, total string }{
		"data null":               {`{"status_code":1000,"data":null}`, "", "0"},
		"data absent":             {`{"status_code":1000}`, "", "0"},
		"a single object":         {`{"status_code":1000,"data":{"id":"A"}}`, "A", "1"},
		"a code as text":          {`{"status_code":"1000","data":[{"id":"A"}]}`, "A", "1"},
		"another code of success": {`{"status_code":1001,"data":[ {"id":"A"},{"id":"A"} ]}`, "A A", "2"},
	} {
		l := newGatherHub(t, answers(200, test.body)).get("sessions", "")
		if got := strings.Join(l.ids, " "); l.status != 1000 || got != test.ids || l.total != test.total || l.next != "" {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestGatheringCopiesObjectsByteForByte(t *testing.T) {
	t.Parallel()
	const objects = `{"id":"A", "kwh":1.50,"x":null,"x":2}` + "\n , " + `{"é":"\u00e9"}`
	h := newGatherHub(t, answers(200, `{"status_code":1000,"data":[ `+objects+` ]}`))
	req := &ocpi.Request{Method: "GET", Module: "cdrs", Interface: ocpi.Sender, From: ocpi.AddressOf(party(t, "DEMSP"))}
	reply := h.router.list(t.Context(), h.directory.Snapshot().Platform("drivers"), req, &Message{})
	if !strings.HasPrefix(string(reply.Body), `{"data":[`+objects+`],"status_code":1000,`) {
		t.Errorf("answered %s", reply.Body)
	}
	reply.Release()
}

func TestP4_OneFailureFailsTheList(t *testing.T) {
	t.Parallel()
	const fine = `{"status_code":1000,"data":[{"id":"A"}]}`
	for name, test := range map[string]struct {
		party   *lister
		says    string
		outcome Outcome
	}{
		"a 2xxx":                    {answers(200, `{"status_code":2001,"status_message":"date_from"}`), "AACPO refused to give its cdrs: OCPI status 2001, HTTP 200", OutcomeClientError},
		"a 3xxx":                    {answers(200, `{"status_code":3000}`), "OCPI status 3000", OutcomeServerError},
		"HTTP 404 with a 1000":      {answers(404, fine), "OCPI status 1000, HTTP 404", OutcomeClientError},
		"HTTP 500 with a 1000":      {answers(500, fine), "HTTP 500", OutcomeServerError},
		"HTTP 401":                  {answers(401, fine), "AACPO refused the hub's credentials token", OutcomeBadAnswer},
		"a redirect":                {answers(302, "", "Location", "http://elsewhere.test/"), "AACPO answered with a redirect (HTTP 302)", OutcomeBadAnswer},
		"no OCPI":                   {answers(200, `<html>`), "AACPO answered HTTP 200 with a body that is not an OCPI response", OutcomeBadAnswer},
		"nothing":                   {answers(200, ``), "not an OCPI response", OutcomeBadAnswer},
		"a broken object":           {answers(200, `{"status_code":1000,"data":[{"id":}]}`), "not an OCPI response", OutcomeBadAnswer},
		"data that is no list":      {answers(200, `{"status_code":1000,"data":"A"}`), "AACPO answered with data that is not a list", OutcomeBadAnswer},
		"an object around the list": {answers(200, `{"status_code":1000,"data":{"cdrs":[{"id":"A"}]}}`), "AACPO answered with data that is not a list", OutcomeBadAnswer},
		"an object with no id":      {answers(200, `{"status_code":1000,"data":{"id":null}}`), "AACPO answered with data that is not a list", OutcomeBadAnswer},
		"gzip":                      {answers(200, fine, "Content-Encoding", "gzip"), "Content-Encoding", OutcomeBadAnswer},
		"a link to itself": {&lister{party: "AACPO", objects: 9, link: func(page string) string {
			base, _, _ := strings.Cut(page, "?")
			return base + "?limit=2"
		}}, "AACPO gave a link to its next page that leads to the same page again", OutcomeBadAnswer},
		"a link without a query": {&lister{party: "AACPO", objects: 9, link: func(page string) string {
			base, _, _ := strings.Cut(page, "?")
			return base
		}}, "leads to the same page again", OutcomeBadAnswer},
		"a link without an end": {&lister{party: "AACPO", objects: 9, link: func(page string) string {
			return page + "&x=" + strings.Repeat("x", longestLink)
		}}, "longer than 2048 characters", OutcomeBadAnswer},
		"pages without objects": {func() *lister {
			n := 0
			return &lister{party: "AACPO", answer: func(w http.ResponseWriter, r *http.Request) bool {
				n++
				w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next"`, n))
				fmt.Fprint(w, `{"status_code":1000,"data":[]}`)
				return true
			}}
		}(), "AACPO answered 100 pages without any objects", OutcomeBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newGatherHub(t, test.party, &lister{party: "BBCPO", objects: 3}).get("cdrs", "limit=2")
			if l.status != 4003 || !strings.Contains(l.says, test.says) || len(l.ids) > 0 || l.next != "" || l.total != "" {
				t.Errorf("got %+v, want a 4003 that says %q", l, test.says)
			}
			if l.message.Outcome != test.outcome || !strings.Contains(l.message.Detail, test.says) {
				t.Errorf("noted %s %q, want %s", l.message.Outcome, l.message.Detail, test.outcome)
			}
		})
	}
}

func TestP4_APartyThatCannotBeReachedFailsTheList(t *testing.T) {
	t.Parallel()
	a, b := &lister{party: "AACPO", objects: 3}, &lister{party: "BBCPO", objects: 3}
	h := newGatherHub(t, a)
	h.add(b).Close()
	if l := h.get("cdrs", ""); l.status != 4003 || !strings.Contains(l.says, "platform of BBCPO") || l.message.Outcome != OutcomeUnreachable {
		t.Errorf("closed: %+v", l)
	}
	// A call that was cut off above may still arrive at the first hub's.
	a, b = &lister{party: "AACPO", objects: 3}, &lister{party: "BBCPO", objects: 3}
	h = newGatherHub(t, a, b)
	h.change("BBCPO", func(p *parties.Platform) { p.Status = ocpi.Offline })
	if l := h.get("cdrs", ""); l.status != 4003 || !strings.Contains(l.says, "BBCPO is not connected: its platform is OFFLINE") {
		t.Errorf("offline: %+v", l)
	}
	if len(a.calls()) > 0 {
		t.Error("others were asked although one is OFFLINE")
	}
	for name, change := range map[string]func(*parties.Platform){
		"suspended":      func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended },
		"not registered": func(p *parties.Platform) { p.Version, p.Status = "", ocpi.Planned },
		"no endpoint":    func(p *parties.Platform) { p.Endpoints, p.Status = nil, ocpi.Connected },
	} {
		h.change("BBCPO", func(p *parties.Platform) { p.Held, p.Version, p.Status = false, ocpi.V221, ocpi.Connected; change(p) })
		if l := h.get("cdrs", ""); l.status != 1000 || l.total != "3" {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestS4_OneDeadlineForTheWholeList(t *testing.T) {
	t.Parallel()
	slow := &lister{party: "BBCPO", answer: func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }}
	h := newGatherHub(t, slow)
	h.router.cfg.Timeout = time.Second // enough to open a connection
	l := h.get("cdrs", "")
	if l.status != 4003 || !strings.Contains(l.says, "BBCPO did not answer in time") || l.message.Outcome != OutcomeTimeout || l.message.Peer == 0 {
		t.Errorf("got %+v", l)
	}
}

func TestGatheringEndsWithItsRequester(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h := newGatherHub(t, &lister{party: "AACPO", answer: func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	}})
	var m Message
	req := &ocpi.Request{Method: "GET", Module: "cdrs", Interface: ocpi.Sender, From: ocpi.AddressOf(party(t, "DEMSP"))}
	reply := h.router.list(ctx, h.directory.Snapshot().Platform("drivers"), req, &m)
	reply.Release()
	if m.Outcome != OutcomeCancelled {
		t.Errorf("noted %+v", m)
	}
}

func TestR2_WhoIsAsked(t *testing.T) {
	t.Parallel()
	cpo, other := &lister{party: "AACPO", objects: 1}, &lister{party: "BBOTH", role: "OTHER", objects: 1}
	h := newGatherHub(t, cpo, other, &lister{party: "BEHUB", role: "HUB", objects: 1}, &lister{party: "CCEMP", role: "EMSP", objects: 2})
	for _, test := range []struct{ platform, from, module, total string }{
		{"drivers", "DEMSP", "cdrs", "1"},
		{"drivers", "DEMSP", "sessions", "1"},
		{"drivers", "DEMSP", "tokens", "3"}, // of OTHER and the other eMSP, not its own
		{"AACPO", "AACPO", "cdrs", "0"},
		{"CCEMP", "CCEMP", "cdrs", "1"},
	} {
		// An eMSP's own list is at a host that does not exist; nobody may ask it.
		if test.platform != "drivers" && test.module == "tokens" {
			continue
		}
		if l := h.getAs(test.platform, test.from, test.module, ""); l.status != 1000 || l.total != test.total {
			t.Errorf("%+v: %+v", test, l)
		}
	}
}

func TestR7_GatheringSendsRoutingHeadersAndFilters(t *testing.T) {
	t.Parallel()
	a, b := &lister{party: "AACPO", objects: 3}, &lister{party: "BBCPO", objects: 1}
	h := newGatherHub(t, a, b)
	pages, _ := h.walk("cdrs", "date_from=2026-01-01T00:00:00Z&limit=2&x=a%20b&offset=")
	if len(pages) != 3 {
		t.Fatalf("pages %q", pages)
	}
	want := []string{
		"date_from=2026-01-01T00:00:00Z&x=a%20b&limit=2",
		"date_from=2026-01-01T00%3A00%3A00Z&limit=2&offset=2&x=a+b", // its own link
	}
	if diff := cmp.Diff(want, a.calls()); diff != "" {
		t.Errorf("AACPO was asked:\n%s", diff)
	}
	want = []string{
		"date_from=2026-01-01T00:00:00Z&x=a%20b&limit=1",
		"date_from=2026-01-01T00:00:00Z&x=a%20b&limit=1",
		"date_from=2026-01-01T00:00:00Z&x=a%20b&limit=2",
	}
	if diff := cmp.Diff(want, b.calls()); diff != "" {
		t.Errorf("BBCPO was asked:\n%s", diff)
	}
	ids := map[string]bool{}
	for _, l := range []*lister{a, b} {
		for _, r := range l.asked {
			got := r.Header.Get("OCPI-from-country-code") + r.Header.Get("OCPI-from-party-id") + " to " +
				r.Header.Get("OCPI-to-country-code") + r.Header.Get("OCPI-to-party-id") + " " + r.Header.Get("X-Correlation-ID")
			if got != "DEMSP to "+l.party+" c-1" {
				t.Errorf("sent %s", got)
			}
			if id := r.Header.Get("X-Request-ID"); len(id) != 36 || ids[id] {
				t.Errorf("request id %q is not fresh", id)
			} else {
				ids[id] = true
			}
		}
	}
}

func TestU5_ALinkNeverLeadsToAnotherHost(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was called") }))
	t.Cleanup(elsewhere.Close)
	for name, link := range map[string]func(string) string{
		"another host": func(page string) string { _, q, _ := strings.Cut(page, "?"); return elsewhere.URL + "/cdrs?" + q },
		"another path": func(page string) string {
			_, q, _ := strings.Cut(page, "?")
			return "https://proxy.test/internal/?" + q
		},
		"only a query":     func(page string) string { _, q, _ := strings.Cut(page, "?"); return "?" + q },
		"an absolute path": func(page string) string { _, q, _ := strings.Cut(page, "?"); return "/cdrs?" + q },
		"user information": func(page string) string { _, q, _ := strings.Cut(page, "?"); return "http://u:p@x.test/cdrs?" + q },
		"out of the path":  func(page string) string { _, q, _ := strings.Cut(page, "?"); return "../../admin?" + q },
	} {
		l := &lister{party: "AACPO", objects: 3, link: link}
		pages, _ := newGatherHub(t, l).walk("cdrs", "limit=2")
		if diff := cmp.Diff([]string{"AACPO-0 AACPO-1", "AACPO-2"}, pages); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for _, r := range l.asked {
			if r.URL.Path != "/cdrs" {
				t.Errorf("%s: called %s", name, r.URL)
			}
		}
	}
}

func TestP4_PartiesThatGoAwayBetweenPages(t *testing.T) {
	t.Parallel()
	a, b, c := &lister{party: "AACPO", objects: 3}, &lister{party: "BBCPO", objects: 3}, &lister{party: "CCCPO", objects: 1}
	h := newGatherHub(t, a, b, c)
	first := h.get("cdrs", "limit=2")
	suspend := func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended }
	resume := func(p *parties.Platform) { p.Held, p.Status = false, ocpi.Connected }

	h.change("AACPO", suspend)
	if l := h.get("cdrs", first.next); l.status != 4003 || !strings.Contains(l.says, "AACPO went away while its cdrs were listed") {
		t.Errorf("its objects were begun: %+v", l)
	}
	h.change("AACPO", resume)
	h.change("AACPO", func(p *parties.Platform) { p.Status = ocpi.Offline })
	if l := h.get("cdrs", first.next); l.status != 4003 || !strings.Contains(l.says, "OFFLINE") {
		t.Errorf("offline: %+v", l)
	}
	h.change("AACPO", resume)
	h.change("BBCPO", suspend)
	second := h.get("cdrs", first.next)
	third := h.get("cdrs", second.next)
	if strings.Join(second.ids, " ") != "AACPO-2" || strings.Join(third.ids, " ") != "CCCPO-0" || third.next != "" {
		t.Errorf("its objects were not begun: %+v %+v", second, third)
	}
	// And one whose objects are gone when its page is asked for.
	h.change("BBCPO", resume)
	second = h.get("cdrs", first.next)
	b.mu.Lock()
	b.objects = 0
	b.mu.Unlock()
	if third = h.get("cdrs", second.next); strings.Join(third.ids, " ") != "CCCPO-0" || third.next != "" {
		t.Errorf("emptied in between: %+v", third)
	}
}

func TestP1_OffsetNeedsTotals(t *testing.T) {
	t.Parallel()
	h := newGatherHub(t, &lister{party: "AACPO", objects: 2}, &lister{party: "BBCPO", objects: 3, noTotal: true})
	if l := h.get("cdrs", "offset=1"); l.status != 1000 || len(l.ids) != 1 {
		t.Errorf("before the party: %+v", l)
	}
	if l := h.get("cdrs", "offset=3"); l.status != 2001 || !strings.Contains(l.says, "parameter offset: BBCPO does not tell how many cdrs it has") {
		t.Errorf("behind it: %+v", l)
	}
}

func TestGatherCursorsAreBound(t *testing.T) {
	t.Parallel()
	h := newGatherHub(t, &lister{party: "AACPO", objects: 9}, &lister{party: "BBCPO", objects: 9}, &lister{party: "DDEMP", role: "EMSP"})
	const query = "date_from=2026-01-01T00:00:00Z&limit=2"
	next := h.get("cdrs", query).next
	cursor := func(change func(string) string) string {
		values, _ := url.ParseQuery(next)
		values.Set("cursor", change(values.Get("cursor")))
		return values.Encode()
	}
	same := func(s string) string { return s }
	bare := strings.Replace(next, "&busbar_from=DEMSP", "", 1) // which alone would be refused to others
	for _, test := range []struct {
		name, platform, from, module, query string
		status                              ocpi.StatusCode
	}{
		{"as it was given", "drivers", "DEMSP", "cdrs", next, 1000},
		{"written anew", "drivers", "DEMSP", "cdrs", cursor(same), 1000},
		{"with another limit", "drivers", "DEMSP", "cdrs", strings.Replace(next, "limit=2", "limit=1", 1), 1000},
		{"with offset 0", "drivers", "DEMSP", "cdrs", next + "&offset=0", 1000},
		{"with an offset", "drivers", "DEMSP", "cdrs", next + "&offset=2", 2001},
		{"by another platform", "DDEMP", "DDEMP", "cdrs", bare, 2001},
		{"by another party of the platform", "drivers", "DEMS2", "cdrs", bare, 2001},
		{"for another module", "drivers", "DEMSP", "sessions", next, 2001},
		{"with other filters", "drivers", "DEMSP", "cdrs", strings.Replace(next, "2026", "2025", 1), 2001},
		{"with a filter more", "drivers", "DEMSP", "cdrs", next + "&x=1", 2001},
		{"changed", "drivers", "DEMSP", "cdrs", cursor(func(s string) string { return s[:20] + "A" + s[21:] }), 2001},
		{"cut", "drivers", "DEMSP", "cdrs", cursor(func(s string) string { return s[:len(s)-4] }), 2001},
		{"made up", "drivers", "DEMSP", "cdrs", "cursor=1", 2001},
		{"too long", "drivers", "DEMSP", "cdrs", "cursor=" + strings.Repeat("A", longestCursor+1), 2001},
		{"twice", "drivers", "DEMSP", "cdrs", next + "&cursor=1", 2001},
		{"for locations", "drivers", "DEMSP", "locations", next, 2001},
	} {
		l := h.getAs(test.platform, test.from, test.module, test.query)
		if l.status != test.status || l.status != 1000 && !strings.Contains(l.says, "cursor") {
			t.Errorf("%s: %d %s", test.name, l.status, l.says)
		}
		if l.status == 2001 && l.message.Outcome != OutcomeRefused {
			t.Errorf("%s: noted %s", test.name, l.message.Outcome)
		}
	}
}

// TestP4_EveryObjectIsListedOnce walks lists of parties with any mixture of
// habits.
func TestP4_EveryObjectIsListedOnce(t *testing.T) {
	t.Parallel()
	listers := []*lister{{party: "AACPO"}, {party: "BBCPO"}, {party: "CCCPO"}, {party: "DDCPO"}}
	h := newGatherHub(t, listers...)
	rapid.Check(t, func(rt *rapid.T) {
		var want []string
		total := 0
		for _, l := range listers {
			l.mu.Lock()
			l.objects = rapid.IntRange(0, 7).Draw(rt, "objects")
			l.noTotal = rapid.Bool().Draw(rt, "no total")
			l.ignoresLimit = rapid.Bool().Draw(rt, "ignores limit")
			// One that gives neither total nor link, and keeps to the limit, cannot
			// be told from one that has no more.
			l.noLink = rapid.Bool().Draw(rt, "no link") && (l.ignoresLimit || !l.noTotal)
			l.most = 0
			if !l.ignoresLimit {
				l.most = rapid.IntRange(0, 3).Draw(rt, "most")
			}
			for i := range l.objects {
				want = append(want, fmt.Sprintf("%s-%d", l.party, i))
			}
			total += l.objects
			if l.noTotal && !l.ignoresLimit {
				total = -1000 // nobody may tell
			}
			l.mu.Unlock()
		}
		query := fmt.Sprintf("limit=%d", rapid.IntRange(1, 5).Draw(rt, "limit"))
		if offset := rapid.IntRange(0, len(want)).Draw(rt, "offset"); total >= 0 && offset > 0 {
			query += fmt.Sprintf("&offset=%d", offset)
			want = want[offset:]
		}
		pages, told := h.walk("cdrs", query)
		if diff := cmp.Diff(strings.Join(want, " "), strings.Join(strings.Fields(strings.Join(pages, " ")), " ")); diff != "" {
			rt.Fatalf("%s", diff)
		}
		if total >= 0 && told != fmt.Sprint(total) {
			rt.Fatalf("total %s, want %d", told, total)
		}
	})
}

func TestClosed_OnlyPartiesWithAnAgreementAreGathered(t *testing.T) {
	t.Parallel()
	stranger, friend := &lister{party: "AACPO", objects: 1}, &lister{party: "BBCPO", objects: 2}
	h := newGatherHub(t, stranger, friend)
	h.directory.RequireAgreements()
	h.directory.ApplyAgreements([]parties.Agreement{
		{Parties: [2]ocpi.PartyKey{party(t, "BBCPO"), party(t, "DEMSP")}, Modules: []ocpi.ModuleID{ocpi.ModuleCDRs}},
	}, 1000, 1000)
	for module, want := range map[string]string{"cdrs": "2", "sessions": "0"} {
		if _, total := h.walk(module, ""); total != want {
			t.Errorf("%s %s are listed, want %s", total, module, want)
		}
	}
	if calls := stranger.calls(); len(calls) > 0 {
		t.Errorf("a party without an agreement was asked: %v", calls)
	}
}
