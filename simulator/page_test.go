package simulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	tests := []struct{ query, want string }{
		{"", "offset 0 limit 10"},
		{"offset=3&limit=4", "offset 3 limit 4"},
		{"limit=2000", "offset 0 limit 10"},
		{"limit=0", "2001"},
		{"limit=-1", "2001"},
		{"limit=x", "2001"},
		{"offset=-1", "2001"},
		{"date_from=yesterday", "2001"},
		{"date_to=2026-01-01T00:00:00%2B01:00", "2001"},
		{"date_from=2026-01-01T00:00:00Z&date_to=2026-01-02T00:00:00", "offset 0 limit 10"},
	}
	for _, test := range tests {
		query, err := url.ParseQuery(test.query)
		if err != nil {
			t.Fatal(err)
		}
		w, fault := parseWindow(query, 10)
		got := fmt.Sprintf("offset %d limit %d", w.offset, w.limit)
		if fault != nil {
			got = fmt.Sprint(int(fault.Status))
		}
		if got != test.want {
			t.Errorf("%q: %s, want %s", test.query, got, test.want)
		}
	}
}

// TestP1_WindowIsHalfOpen: date_from inclusive, date_to exclusive.
func TestP1_WindowIsHalfOpen(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := window{from: at, to: at.Add(time.Hour)}
	for updated, want := range map[time.Time]bool{
		at.Add(-time.Second): false, at: true, at.Add(time.Hour - 1): true, at.Add(time.Hour): false,
	} {
		if got := w.holds(updated); got != want {
			t.Errorf("holds(%s) = %v", updated, got)
		}
	}
}

// TestP2_LinkKeepsFilters: Link only before the last page, X-Total-Count without
// offset and limit, X-Limit the server's.
func TestP2_LinkKeepsFilters(t *testing.T) {
	t.Parallel()
	s := newShelf(0)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 7 {
		s.put(fmt.Sprint(i), document{body: []byte(fmt.Sprint(i)), updated: at.Add(time.Duration(i) * time.Hour)})
	}
	tests := []struct{ query, data, total, link string }{
		{"", "[0,1,2,3]", "7", "<https://x/y?limit=4&offset=4>; rel=\"next\""},
		{"limit=3&offset=3", "[3,4,5]", "7", "<https://x/y?limit=3&offset=6>; rel=\"next\""},
		{"offset=4", "[4,5,6]", "7", ""},
		{"offset=70", "[]", "7", ""},
		{"date_from=2026-03-01T14:00:00Z&limit=2", "[2,3]", "5",
			"<https://x/y?date_from=2026-03-01T14%3A00%3A00Z&limit=2&offset=2>; rel=\"next\""},
	}
	for _, test := range tests {
		query, _ := url.ParseQuery(test.query)
		r := inbound{query: query, self: "https://x/y"}.list(s, ocpi.PartyKey{}, 4)
		got := map[string]string{}
		for _, h := range r.headers {
			got[h.Name] = h.Value
		}
		if string(r.data) != test.data || got[ocpi.HeaderTotalCount] != test.total || got[ocpi.HeaderLink] != test.link || got[ocpi.HeaderLimit] != "4" {
			t.Errorf("%q: %s %v", test.query, r.data, got)
		}
	}
}

func TestReadNext(t *testing.T) {
	t.Parallel()
	tests := []struct{ link, want string }{
		{`<https://h/x?offset=5&limit=5>; rel="next"`, "https://h/x?offset=5&limit=5"},
		{`<https://h/x?a=1,2>;rel=next`, "https://h/x?a=1,2"},
		{`<https://h/a>; rel="prev", <https://h/b>; rel="next"`, "https://h/b"},
		{`<https://h/a>; rel="prev"`, ""},
		{`https://h/a; rel="next"`, ""},
		{"", ""},
	}
	for _, test := range tests {
		if got := readNext(test.link); got != test.want {
			t.Errorf("%q: %q, want %q", test.link, got, test.want)
		}
	}
}

func TestShelfForgetsTheOldest(t *testing.T) {
	t.Parallel()
	s := newShelf(2)
	for _, id := range []string{"a", "b", "a", "c"} {
		s.put(id, document{body: encode(id)})
	}
	docs, total := s.page(window{limit: 9}, ocpi.PartyKey{})
	if total != 2 || string(joinArray(docs)) != `["b","c"]` {
		t.Errorf("%d: %s", total, docs)
	}
	if s.remove("a") || !s.remove("b") || s.size() != 1 {
		t.Error("remove takes what is there and nothing else")
	}
}

func TestEditKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	doc := `{"id":249,"x-<&>":null,"evses":[{"uid":7,"n":1.50,"status":"AVAILABLE","connectors":[{"id":"1","p":1e3}]}],"last_updated":"a"}`
	got, err := editPart([]byte(doc), branches([]string{"7"}), func(evse json.RawMessage) (json.RawMessage, error) {
		o, err := readObject(evse)
		o.setText("status", "CHARGING")
		o.setText("last_updated", "b")
		return o.bytes(), err
	})
	want := strings.NewReplacer(`"AVAILABLE"`, `"CHARGING"`, `1e3}]}`, `1e3}],"last_updated":"b"}`, `"a"`, `"b"`).Replace(doc)
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}
