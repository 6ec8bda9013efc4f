package routing

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// FuzzCatalogCursor: a cursor that is taken is one that the hub wrote.
func FuzzCatalogCursor(f *testing.F) {
	for _, after := range []int64{1, 127, 128, 1 << 40} {
		f.Add(catalogCursor(ocpi.ModuleLocations, after))
	}
	for _, seed := range []string{"", "AA", "AAAA", "=", "AQ==", "f\n_qoOA", strings.Repeat("_", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		after, refusal := readCatalogCursor(ocpi.ModuleLocations, cursor)
		if refusal != nil {
			return
		}
		if after <= 0 || cursor != catalogCursor(ocpi.ModuleLocations, after) {
			t.Errorf("%q is taken for %d, whose cursor is %q", cursor, after, catalogCursor(ocpi.ModuleLocations, after))
		}
		if _, refusal := readCatalogCursor(ocpi.ModuleTariffs, cursor); refusal == nil {
			t.Errorf("%q opens the list of another module", cursor)
		}
	})
}

// FuzzGatherCursor opens arbitrary text that was sealed: what an older or a newer
// hub may have written.
func FuzzGatherCursor(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	sealed, err := gatherCursor{Asked: "a", Total: 3}.seal(plainSealer{}, "context", now)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := plainSealer{}.Open(sealed, "context")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{plain, `{}`, `{"a":"a","e":9999999999,"s":-1,"p":"NLTNM"}`, `{"p":""}`, `{"p":"X"}`, `[]`, `null`, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, plain string) {
		sealed, err := plainSealer{}.Seal(plain, "context")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{plain, sealed} {
			c, refusal := openGatherCursor(plainSealer{}, text, "context", "a", now)
			if refusal == nil && (c.Asked != "a" || now.Unix() >= c.Expires) {
				t.Errorf("%q is taken as %+v", plain, c)
			}
		}
		if _, refusal := openGatherCursor(plainSealer{}, sealed, "another", "a", now); refusal == nil {
			t.Errorf("%q opens in another context", plain)
		}
	})
}

// FuzzNextPage: whatever a peer's Link says, what follows stays behind the
// peer's endpoint.
func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{
		`<https://peer.example.com/ocpi/cdrs?offset=5>; rel="next"`, `</ocpi/cdrs?x>;rel=next`, `<?offset=1>; rel="next"`,
		`<https://evil.example.com/ocpi/cdrs/../x?a#b>; rel="next"`, `<https://a>; rel="prev", <https://peer.example.com/ocpi/cdrs/2>; rel=next`,
		`<//evil/ocpi/cdrs/%2e%2e>; rel=next`, `<`, `<>; rel=next`, `<https://user@peer.example.com/ocpi/cdrs>; rel="next"`, "<a\r\nb>; rel=next",
	} {
		f.Add(seed)
	}
	target, err := peer.ParseTarget("https://peer.example.com/ocpi/cdrs")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		path, query, ok := nextPage(&target, header, "/asked")
		if !ok {
			return
		}
		if path != "" && path[0] != '/' || ocpi.CheckPath(path) != nil {
			t.Errorf("%q: path %q", header, path)
		}
		if strings.Contains(query, "#") {
			t.Errorf("%q: query %q", header, query)
		}
	})
}

// FuzzResponseURL: where the hub puts its own URL, a receiver that decodes the
// request finds that one and no other.
func FuzzResponseURL(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"response_url":"https://msp.example.com/r","token":{}}`, ""}, {`{"a":1}`, ""},
		{`{"response_url":"a","response_url":"b"}`, ""}, {`{"Response_URL":"a"}`, ""}, {`{"response_url":null}`, ""}, {`{"response_url":1}`, "response_url=x"}, {"{\"response_url\":\"\xff\"}", "response_url=%ff;"}, {"", "a;response_url=b&response_url=c"}, {"", "response_url"}, {`{"\u0072esponse_url":"a"}`, ""},
		{"", "response_url=https%3A%2F%2Fmsp.example.com%2Fr&duration=60"}, {"", "duration=60&response_url=https://msp.example.com/r?a=b&c=d&duration=60"},
		{"", "response_url=a&response_url=b"}, {"", "RESPONSE_URL=a"}, {"", "response%5Furl=a"}, {`{"response_url":"a"}`, "response_url=b"}, {"{", "%zz"},
	} {
		f.Add([]byte(seed[0]), seed[1])
	}
	const hubURL = "https://hub.example.com/ocpi/2.2.1/callback/abc"
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		if len(body) > 0 && ocpi.CheckJSON(body) != nil {
			return // the gateway has refused it
		}
		req := &ocpi.Request{Method: "POST", Module: ocpi.ModuleCommands, Interface: ocpi.Receiver, Path: "/START_SESSION", Body: body, Query: query}
		wanted, refusal := findResponseURL(req)
		if refusal != nil || wanted == nil {
			return
		}
		before := string(body)
		wanted.replace(hubURL)
		if string(body) != before {
			t.Fatalf("%q: the gateway's buffer was changed", before)
		}
		var inBody map[string]json.RawMessage
		if len(req.Body) > 0 {
			if err := ocpi.CheckJSON(req.Body); err != nil {
				t.Fatalf("%q became %q: %v", before, req.Body, err)
			}
			_ = json.Unmarshal(req.Body, &inBody)
		}
		// A query that cannot be parsed as a whole is read as far as it can.
		inQuery, _ := url.ParseQuery(req.Query)
		got := inQuery[responseURLName]
		if raw, there := inBody[responseURLName]; there {
			var text string
			if json.Unmarshal(raw, &text) == nil {
				got = append(got, text)
			}
		}
		if len(got) != 1 || got[0] != hubURL {
			t.Errorf("%q ? %q became %q ? %q: a receiver finds %q", before, query, req.Body, req.Query, got)
		}
	})
}

// FuzzTokenPush: a Token that is broadcast is the one that its URL names.
func FuzzTokenPush(f *testing.F) {
	for _, seed := range [][3]string{
		{"/NL/TNM/T1", "type=RFID", `{"uid":"T1","valid":true,"last_updated":"2026-01-01T00:00:00Z"}`}, {"/NL/TNM/T%2F1/", "", `{"uid":"t/1"}`},
		{"/NL/TNM/", "", "{}"}, {"//", "type", "[]"}, {"/NL/TNM/T1", "type=%zz", `{"uid":1}`}, {"/NL/TNM/1", "", `{"uid":1,"\u0075id":2}`},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	f.Fuzz(func(t *testing.T, path, query string, body []byte) {
		for _, method := range []string{"PUT", "PATCH"} {
			b := &Broadcast{Method: method, Module: ocpi.ModuleTokens, Path: path, Query: query, Body: body}
			if refusal := b.readToken(); refusal != nil {
				if refusal.Message == "" {
					t.Errorf("%s %q: refused without a word", method, path)
				}
				continue
			}
			if b.Owner.IsZero() || b.Object != objectName(ocpi.ModuleTokens, b.Owner, unescaped(segment(path, 2))) {
				t.Errorf("%s %q: object %q of %s", method, path, b.Object, b.Owner)
			}
			if ocpi.CheckJSON(body) != nil {
				t.Errorf("%s %q: %q is broadcast", method, path, body)
			}
		}
	})
}

// FuzzDiscreetPath: no path gives the uid away that the index learns from it.
func FuzzDiscreetPath(f *testing.F) {
	for _, seed := range []string{"/NL/TNM/abc", "/abc/authorize", "/a/b/authorize", "/", "", "//", "/NL/TNM/a/b/", "abc", "/%41/authorize", "/NL/TNM//abc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if ocpi.CheckPath(path) != nil {
			return
		}
		hide := func(string) string { return "~" }
		for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
			var uid string
			if side == ocpi.Sender {
				if !(&ocpi.Request{Method: "POST", Module: ocpi.ModuleTokens, Interface: side, Path: path}).IsAuthorize() {
					continue
				}
				uid = authorizedUID(path)
			} else if _, id, ok := ownedObject(path); ok {
				uid = id
			}
			got := discreetPath(side, path, hide)
			rest := strings.Replace(got, "/authorize", "", 1)
			if side == ocpi.Receiver && len(uid) > 0 {
				rest = rest[strings.LastIndex(rest, "/"):]
			}
			if uid != "" && uid != "/" && rest != "/~" {
				t.Errorf("%s %q: %q, and the uid is %q", side, path, got, uid)
			}
		}
	})
}

// FuzzListQuery: what is read of GET All's query has its bounds.
func FuzzListQuery(f *testing.F) {
	for _, seed := range []string{"limit=5&offset=0", "cursor=a&date_from=2026-01-01T00:00:00Z", "a=b&&c", "cursor=a&cursor=b", "%", "a;b", "busbar_to=NLTNM&busbar_from=DEMSP"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		req := &ocpi.Request{Method: "GET", Module: ocpi.ModuleLocations, Interface: ocpi.Sender, Query: query}
		if TakeCarried(req) != nil {
			return
		}
		q, refusal := readListQuery(req)
		if refusal != nil {
			return
		}
		if q.Offset < 0 || q.Limit < 0 || q.Limit > ocpi.MaxPage || len(q.filters) > longestFilters {
			t.Errorf("%q: %+v", query, q)
		}
		if values, err := url.ParseQuery(q.filters); err != nil || values.Has(paramCursor) || values.Has("offset") || values.Has("limit") {
			t.Errorf("%q: filters %q, %v", query, q.filters, err)
		}
	})
}

// FuzzCatalogPath keeps ownedObject and the catalog of one mind about whose an
// object is.
func FuzzCatalogPath(f *testing.F) {
	for _, seed := range []string{"/NL/TNM/L1", "/nl/tnm/L1/E1", "/NL/TNM/%4c1", "NL/TNM/L1", "/NL//L1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		w, refusal := catalog.ReadPath(ocpi.ModuleLocations, path)
		if refusal != nil {
			return
		}
		if owner, id, ok := ownedObject(path); !ok || owner != w.Owner || id != w.ID {
			t.Errorf("%q: the catalog reads %s %q, routing %s %q %v", path, w.Owner, w.ID, owner, id, ok)
		}
	})
}
