package routing

import (
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

func TestP2_ListHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		total int
		link  string
		want  string
	}{
		{250, "https://hub.test/x?cursor=A", `X-Total-Count: 250, X-Limit: 100, Link: <https://hub.test/x?cursor=A>; rel="next"`},
		{0, "", "X-Total-Count: 0, X-Limit: 100"},
		{-1, "", "X-Limit: 100"},
	} {
		var got []string
		for _, h := range listHeaders(test.total, test.link) {
			got = append(got, h.Name+": "+h.Value)
		}
		if diff := cmp.Diff(test.want, strings.Join(got, ", ")); diff != "" {
			t.Error(diff)
		}
	}
}

// listRequest is a GET All of DEMSP.
func listRequest(t *testing.T, module, query string) *ocpi.Request {
	return &ocpi.Request{
		Method: "GET", Version: ocpi.V221, Module: ocpi.ModuleID(module), Interface: ocpi.Sender, Query: query,
		From: ocpi.AddressOf(party(t, "DEMSP")), To: ocpi.AddressOf(party(t, "EUBUS")),
	}
}

func TestP2_TheLinkKeepsTheFilters(t *testing.T) {
	t.Parallel()
	r := &Router{cfg: RouterConfig{Hub: parties.Identity{Party: party(t, "EUBUS"), PublicURL: "https://hub.test"}}}
	const base = "https://hub.test/ocpi/2.2.1/sender/locations?"
	for query, want := range map[string]string{
		"":                   "limit=100&cursor=a%2Bb&busbar_to=EUBUS&busbar_from=DEMSP",
		"limit=5000":         "limit=100&cursor=a%2Bb&busbar_to=EUBUS&busbar_from=DEMSP",
		"offset=7&limit=20":  "limit=20&cursor=a%2Bb&busbar_to=EUBUS&busbar_from=DEMSP",
		"cursor=x&limit=20&": "limit=20&cursor=a%2Bb&busbar_to=EUBUS&busbar_from=DEMSP",
		"date_from=2026-01-01T00:00:00Z&limit=20&&x=a%26b&%6cimit=20": "date_from=2026-01-01T00:00:00Z&x=a%26b&limit=20&cursor=a%2Bb&busbar_to=EUBUS&busbar_from=DEMSP",
	} {
		req := listRequest(t, "locations", query)
		q, refusal := readListQuery(req)
		if refusal != nil {
			t.Fatal(query, refusal)
		}
		if got := r.listURL(req, q, "a+b"); got != base+want {
			t.Errorf("%s: %s", query, got)
		}
		req.To = req.From // field-quirks: a reading client names itself
		if got := r.listURL(req, q, "a+b"); got != base+want || req.To != req.From {
			t.Errorf("TO is FROM: %s", got)
		}
	}
}

func TestP1_ListQueriesThatAreRefused(t *testing.T) {
	t.Parallel()
	for query, says := range map[string]string{
		"limit=-1": "parameter limit", "offset=x": "parameter offset", "date_from=today": "parameter date_from", "date_to=2026": "parameter date_to",
		"limit=1&limit=2": "parameter limit", "limit=%zz": "the query is not valid", "a=1;b=2": "the query is not valid",
		"cursor=a&cursor=a": "parameter cursor", "cursor=a&offset=1": "parameter offset",
		"x=" + strings.Repeat("x", longestFilters): "more than 2048 characters",
	} {
		for _, module := range []string{"locations", "cdrs"} {
			r := &Router{}
			var m Message
			reply := r.list(t.Context(), nil, listRequest(t, module, query), &m)
			if reply.Status != 2001 || !strings.Contains(m.Detail, says) || m.Outcome != OutcomeRefused {
				t.Errorf("%s %s: %d %+v", module, query, reply.Status, m)
			}
		}
	}
}

func TestCatalogCursors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		after := rapid.Int64Range(1, math.MaxInt64).Draw(t, "after")
		cursor := catalogCursor("locations", after)
		if got, refusal := readCatalogCursor("locations", cursor); got != after || refusal != nil || len(cursor) > 18 {
			t.Fatalf("%d is %s is %d, %v", after, cursor, got, refusal)
		}
		if _, refusal := readCatalogCursor("tariffs", cursor); refusal == nil {
			t.Fatal("good for another module")
		}
		if _, refusal := readCatalogCursor("locations", cursor[:len(cursor)-1]); refusal == nil {
			t.Fatal("good when it is cut")
		}
	})
	for _, cursor := range []string{"0", "1", "100", "AAAA", "AAAAAA", catalogCursor("locations", 0), catalogCursor("locations", -1), catalogCursor("locations", 7) + "=", strings.Repeat("_", 1000)} {
		if after, refusal := readCatalogCursor("locations", cursor); refusal == nil || refusal.Status != 2001 || !strings.Contains(refusal.Message, "parameter cursor") {
			t.Errorf("%s: %d, %v", cursor, after, refusal)
		}
	}
}

func TestGatherCursorsExpire(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	given := gatherCursor{
		Party: party(t, "AACPO"), listPlace: listPlace{Path: "/p", Query: `offset=2&x="<&>`}, Skip: 3, Total: -1, Asked: "q",
	}
	sealed, err := given.seal(plainSealer{}, "c", now)
	if err != nil {
		t.Fatal(err)
	}
	got, refusal := openGatherCursor(plainSealer{}, sealed, "c", "q", now.Add(cursorLife-time.Second))
	given.Expires = now.Add(cursorLife).Unix()
	if diff := cmp.Diff(given, got, cmp.AllowUnexported(gatherCursor{})); diff != "" || refusal != nil {
		t.Errorf("%v %s", refusal, diff)
	}
	if _, refusal = openGatherCursor(plainSealer{}, sealed, "c", "q", now.Add(cursorLife)); refusal == nil || !strings.Contains(refusal.Message, "older than 24 hours") {
		t.Errorf("late: %v", refusal)
	}
	// The longest link of a party still makes a cursor that can be read.
	given.Query = strings.Repeat("&", longestLink)
	if sealed, err = given.seal(plainSealer{}, "c", now); err != nil {
		t.Fatal(err)
	}
	if _, refusal = openGatherCursor(plainSealer{}, sealed, "c", "q", now); refusal != nil {
		t.Errorf("long: %v", refusal)
	}
}

// readers is a directory in which NLDUO is CPO on one platform and eMSP on
// another, and the requesters are on the platforms drivers and duo-drivers.
func readers(t *testing.T) *parties.Snapshot {
	t.Helper()
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	add := func(name string, change func(*parties.Platform), roles ...ocpi.PartyRole) {
		p := parties.Platform{ID: parties.PlatformID(name), Status: ocpi.Connected, Version: ocpi.V221, Revision: 1}
		for _, r := range roles {
			p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: r})
		}
		p.Endpoints = []ocpi.Endpoint{{Identifier: "locations", Role: ocpi.Sender, URL: "https://" + name + ".test/"}}
		if change != nil {
			change(&p)
		}
		d.Apply(p, 1)
	}
	add("drivers", nil, role(t, "DEMSP", ocpi.RoleEMSP), role(t, "DEOWN", ocpi.RoleCPO))
	add("duo-chargers", func(p *parties.Platform) { p.Endpoints = nil }, role(t, "NLDUO", ocpi.RoleCPO))
	add("duo-drivers", nil, role(t, "NLDUO", ocpi.RoleEMSP))
	add("pushes-only", func(p *parties.Platform) { p.Endpoints = nil }, role(t, "NLPSH", ocpi.RoleCPO))
	add("offline", func(p *parties.Platform) { p.Status = ocpi.Offline }, role(t, "NLOFF", ocpi.RoleCPO))
	add("held", func(p *parties.Platform) { p.Held, p.Status = true, ocpi.Suspended }, role(t, "NLHLD", ocpi.RoleCPO))
	add("gone", func(p *parties.Platform) { p.Version, p.Status = "", ocpi.Suspended }, role(t, "NLGON", ocpi.RoleCPO))
	add("planned", func(p *parties.Platform) {
		p.Version, p.Status, p.Approved, p.Roles = "", ocpi.Planned, p.PartyRoles(), nil
	}, role(t, "NLPLA", ocpi.RoleCPO))
	return d.Snapshot()
}

func TestP1_WhoseObjectsAreListed(t *testing.T) {
	t.Parallel()
	s := readers(t)
	for _, test := range []struct {
		owner, caller, from string
		want                parties.PlatformID
	}{
		{"NLPSH", "drivers", "DEMSP", "pushes-only"},
		{"NLOFF", "drivers", "DEMSP", "offline"},
		{"NLHLD", "drivers", "DEMSP", ""},
		{"NLGON", "drivers", "DEMSP", ""},
		{"NLPLA", "drivers", "DEMSP", ""},
		{"XXXXX", "drivers", "DEMSP", ""},
		{"DEOWN", "drivers", "DEMSP", ""},
		{"NLPSH", "offline", "NLOFF", "pushes-only"}, // to a CPO too
		{"NLDUO", "drivers", "DEMSP", "duo-chargers"},
		{"NLDUO", "duo-chargers", "NLDUO", ""},
		{"NLDUO", "duo-drivers", "NLDUO", "duo-chargers"},
	} {
		req := listRequest(t, "locations", "")
		req.From = ocpi.AddressOf(party(t, test.from))
		var got parties.PlatformID
		if e := readable(s, s.Platform(parties.PlatformID(test.caller)), req, party(t, test.owner)); e != nil {
			got = e.Platform.ID
		}
		if got != test.want {
			t.Errorf("%s's for %s on %s: from %q, want %q", test.owner, test.from, test.caller, got, test.want)
		}
	}
}

func TestPageBuffersAreReusedUpToABound(t *testing.T) {
	t.Parallel()
	r := &Router{cfg: RouterConfig{Hub: parties.Identity{Party: party(t, "EUBUS")}, Logger: slog.New(slog.DiscardHandler)}}
	page := newPage()
	page.bytes = slices.Grow(page.bytes, 2*largestPage)
	reply := r.pageReply(listRequest(t, "locations", ""), page, nil)
	if !strings.HasPrefix(string(reply.Body), `{"data":[],"status_code":1000,"status_message":"Success","timestamp":"20`) || ocpi.CheckJSON(reply.Body) != nil {
		t.Errorf("answered %s", reply.Body)
	}
	reply.Release()
	for range 100 {
		if p := newPage(); cap(p.bytes) > largestPage {
			t.Fatal("a buffer beyond the bound is reused")
		}
	}
}
