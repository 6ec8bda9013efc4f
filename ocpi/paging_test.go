package ocpi_test

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

func TestF2_DateTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"2026-01-31T12:00:00Z":          noon,
		"2026-01-31T12:00:00":           noon,
		"2026-01-31T12:00:00.5Z":        noon.Add(500 * time.Millisecond),
		"2026-01-31T12:00:00.123456":    noon.Add(123456 * time.Microsecond),
		"2026-01-31T12:00:00.123456789": noon.Add(123456789),
		"0001-01-01T00:00:00Z":          {},
	} {
		if got, err := ocpi.ParseTime(s); !got.Equal(want) || got.Location() != time.UTC || err != nil {
			t.Errorf("%s = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "now", "2026-01-31", "2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00+00:00", "2026-01-31 12:00:00",
		"2026-01-31T12:00Z", "2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "2026-01-31T25:00:00Z",
		"2026-01-31T1:00:00Z", "2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00ZZ",
		" 2026-01-31T12:00:00Z", "1769860800", strings.Repeat("2", 100_000),
	} {
		if got, err := ocpi.ParseTime(s); err == nil || len(err.Error()) > 200 {
			t.Errorf("%.40q = %v, %v, want a short error", s, got, err)
		}
	}
}

func TestF2_TimesAreWrittenInUTC(t *testing.T) {
	t.Parallel()
	amsterdam := time.FixedZone("", 3600)
	for want, instant := range map[string]time.Time{
		"2026-01-31T11:00:00.000Z": time.Date(2026, 1, 31, 12, 0, 0, 0, amsterdam),
		"2026-01-31T12:00:00.123Z": time.Date(2026, 1, 31, 12, 0, 0, 123999999, time.UTC),
	} {
		if got := ocpi.FormatTime(instant); got != want {
			t.Errorf("%v is written %s, want %s", instant, got, want)
		}
	}
}

func paging(t *testing.T, query string) (ocpi.Paging, error) {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return ocpi.ParsePaging(values)
}

func TestP1_PagingParameters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query         string
		offset, limit int
	}{
		{"", 0, ocpi.MaxPage},
		{"offset=0&limit=0", 0, 0},
		{"offset=150&limit=50", 150, 50},
		{"limit=100000", 0, ocpi.MaxPage},
		{"limit=&offset=&date_from=", 0, ocpi.MaxPage},
		{"unknown=1", 0, ocpi.MaxPage},
		{"unknown=1&unknown=2&Limit=x", 0, ocpi.MaxPage},
		{"offset=007&limit=1&limit=1", 7, 1},
		{"offset=9223372036854775807&limit=9223372036854775807", math.MaxInt, ocpi.MaxPage},
		// What .NET sends for no date at all.
		{"date_from=0001-01-01T00:00:00Z&date_to=0001-01-01T00:00:00Z", 0, ocpi.MaxPage},
	} {
		p, err := paging(t, tt.query)
		if err != nil || p.Offset != tt.offset || p.Limit != tt.limit || !p.From.IsZero() || !p.To.IsZero() {
			t.Errorf("%s: %+v, %v", tt.query, p, err)
		}
	}
}

func TestPagingFaultsNameTheParameter(t *testing.T) {
	t.Parallel()
	for query, parameter := range map[string]string{
		"offset=-1": "offset", "limit=-1": "limit", "offset=x": "offset", "limit=1.5": "limit", "limit=0x10": "limit",
		"offset=99999999999999999999": "offset", "limit=" + strings.Repeat("9", 10_000): "limit",
		"offset=%2B1": "offset", "limit=+1": "limit", "limit=1_0": "limit", "limit=%D9%A1": "limit", "limit=1e2": "limit", "offset=-0": "offset",
		"offset=9223372036854775808": "offset", "limit=1&limit=2": "limit", "offset=0&offset=": "offset",
		"date_from=2026-01-01T00:00:00Z&date_from=2026-01-02T00:00:00Z": "date_from",
		"date_to=2026-02-30T00:00:00Z":                                  "date_to", "date_to=1767225600": "date_to", "date_to=null": "date_to",
		"date_from=yesterday": "date_from", "date_to=2026-01-31": "date_to",
		"date_from=2026-01-31T12:00:00%2B01:00": "date_from",
		// Of several faults, always the same one.
		"limit=x&offset=x&date_to=x&date_from=x": "date_from",
	} {
		_, err := paging(t, query)
		e, ok := ocpi.AsError(err)
		if !ok || e.Status != ocpi.InvalidParameters || !strings.HasPrefix(e.Message, "parameter "+parameter+":") || len(e.Message) > 200 {
			t.Errorf("%.60s: %v, want 2001 about %s", query, err, parameter)
		}
	}
}

func TestP1_IntervalIsHalfOpen(t *testing.T) {
	t.Parallel()
	from, to := "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
	for _, tt := range []struct {
		query, at string
		in        bool
	}{
		{"date_from=" + from + "&date_to=" + to, from, true},
		{"date_from=" + from + "&date_to=" + to, "2026-01-31T23:59:59.999Z", true},
		{"date_from=" + from + "&date_to=" + to, to, false},
		{"date_from=" + from + "&date_to=" + to, "2025-12-31T23:59:59.999Z", false},
		{"date_from=" + from, "2099-01-01T00:00:00Z", true},
		{"date_to=" + to, "1970-01-01T00:00:00Z", true},
		{"date_from=" + to + "&date_to=" + from, "2026-01-15T00:00:00Z", false},
		{"", from, true},
	} {
		p, err := paging(t, tt.query)
		at, _ := ocpi.ParseTime(tt.at)
		if err != nil || p.Contains(at) != tt.in {
			t.Errorf("%s contains %s: %v, %v", tt.query, tt.at, !tt.in, err)
		}
	}
}

func TestP1_EmptyIntervals(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bool{
		"": false, "date_from=2026-01-01T00:00:00Z": false, "date_to=2026-01-01T00:00:00Z": false,
		"date_from=2026-01-01T00:00:00Z&date_to=2026-01-01T00:00:00.001Z": false,
		"date_from=2026-01-01T00:00:00Z&date_to=2026-01-01T00:00:00":      true,
		"date_from=2026-01-02T00:00:00Z&date_to=2026-01-01T00:00:00Z":     true,
	} {
		if p, err := paging(t, query); err != nil || p.Empty() != want {
			t.Errorf("%s: empty is %v, %v", query, p.Empty(), err)
		}
	}
}

// page reads the headers of a page as one line.
func page(headers []ocpi.Header) string {
	var lines []string
	for _, h := range headers {
		lines = append(lines, h.Name+": "+h.Value)
	}
	return strings.Join(lines, " | ")
}

func TestP2_PagingHeaders(t *testing.T) {
	t.Parallel()
	const base = "https://hub.example/ocpi/2.2.1/clients"
	for _, tt := range []struct {
		query    string
		n, total int
		link     string
	}{
		{"limit=10", 10, 25, "limit=10&offset=10"},
		{"limit=10&offset=10", 10, 25, "limit=10&offset=20"},
		{"limit=10&offset=20", 5, 25, ""},
		{"limit=10", 10, 10, ""},
		{"limit=10", 0, 0, ""},
		{"limit=0", 0, 25, ""},
		{"offset=9223372036854775807", 0, 25, ""},
		{"limit=5000", 100, 250, "limit=100&offset=100"},
		{"date_from=2026-01-01T00:00:00Z&x=a%26b", 100, 101,
			"date_from=2026-01-01T00%3A00%3A00Z&limit=100&offset=100&x=a%26b"},
	} {
		p, err := paging(t, tt.query)
		if err != nil {
			t.Fatal(err)
		}
		headers := []ocpi.Header{{Name: "X-Total-Count", Value: strconv.Itoa(tt.total)}, {Name: "X-Limit", Value: "100"}}
		if tt.link != "" {
			headers = append(headers, ocpi.Header{Name: "Link", Value: "<" + base + "?" + tt.link + `>; rel="next"`})
		}
		if diff := cmp.Diff(page(headers), page(p.Headers(base, tt.n, tt.total))); diff != "" {
			t.Errorf("%s:\n%s", tt.query, diff)
		}
	}
}

func TestP2_HeadersLeaveTheQueryAlone(t *testing.T) {
	t.Parallel()
	query := url.Values{"offset": {"10"}}
	p, err := ocpi.ParsePaging(query)
	if err != nil {
		t.Fatal(err)
	}
	p.Headers("https://hub.example/clients", 10, 100)
	if diff := cmp.Diff(url.Values{"offset": {"10"}}, query); diff != "" {
		t.Errorf("the request's query was changed:\n%s", diff)
	}
	if got := page((ocpi.Paging{Limit: 10}).Headers("u", 10, 11)); !strings.HasSuffix(got, `<u?limit=10&offset=10>; rel="next"`) {
		t.Errorf("without a query: %s", got)
	}
	// What no page can hold must not wrap around into a link.
	if got := page((ocpi.Paging{Offset: math.MaxInt, Limit: 10}).Headers("u", 1, 11)); strings.Contains(got, "Link") {
		t.Errorf("a page behind the end has a next one: %s", got)
	}
}
