package ocpi

import (
	"maps"
	"math"
	"net/url"
	"strconv"
	"time"
)

// MaxPage is the most objects that the hub returns in one page: X-Limit.
const MaxPage = 100

// Paging are the parameters of a list request (2.2.1 transport_and_format,
// Paginated Request).
type Paging struct {
	// From is inclusive, To exclusive; zero means open.
	From, To      time.Time
	Offset, Limit int

	query url.Values
}

// ParsePaging reads date_from, date_to, offset and limit. A larger limit than
// MaxPage is lowered to it, and 0 asks for no objects, only for how many there
// are. An interval that ends before it begins holds nothing. A parameter that
// stands twice with different values is refused. The error names the parameter.
func ParsePaging(q url.Values) (Paging, error) {
	p := Paging{Limit: MaxPage, query: q}
	for _, name := range [...]string{"date_from", "date_to", "offset", "limit"} {
		for _, other := range q[name] {
			if other != q[name][0] {
				return Paging{}, Errorf(InvalidParameters, "parameter %s: stands twice, as %q and %q", name, clip(q[name][0]), clip(other))
			}
		}
	}
	for _, bound := range [...]struct {
		name string
		into *time.Time
	}{{"date_from", &p.From}, {"date_to", &p.To}} {
		if v := q.Get(bound.name); v != "" {
			t, err := ParseTime(v)
			if err != nil {
				return Paging{}, Errorf(InvalidParameters, "parameter %s: %v", bound.name, err)
			}
			*bound.into = t
		}
	}
	for _, number := range [...]struct {
		name string
		into *int
	}{{"offset", &p.Offset}, {"limit", &p.Limit}} {
		if v := q.Get(number.name); v != "" {
			n, err := strconv.ParseUint(v, 10, strconv.IntSize-1) // takes no sign
			if err != nil {
				return Paging{}, Errorf(InvalidParameters, "parameter %s: %q must be a whole number from 0 to %d", number.name, clip(v), math.MaxInt)
			}
			*number.into = int(n)
		}
	}
	p.Limit = min(p.Limit, MaxPage)
	return p, nil
}

// Empty tells that no object can lie in the interval.
func (p Paging) Empty() bool { return !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) }

// Contains tells whether an object's last_updated lies in the interval.
func (p Paging) Contains(t time.Time) bool {
	return (p.From.IsZero() || !t.Before(p.From)) && (p.To.IsZero() || t.Before(p.To))
}

// Headers are the paging headers of a page with n of total objects, requested
// at base (same chapter, Paginated Response). The Link keeps the filters.
func (p Paging) Headers(base string, n, total int) []Header {
	headers := []Header{
		{HeaderTotalCount, strconv.Itoa(total)},
		{HeaderLimit, strconv.Itoa(MaxPage)},
	}
	if n > 0 && p.Offset < total-n {
		q := maps.Clone(p.query) // the caller's own stays as it came
		if q == nil {
			q = url.Values{}
		}
		q.Set("offset", strconv.Itoa(p.Offset+n))
		q.Set("limit", strconv.Itoa(p.Limit))
		headers = append(headers, Header{HeaderLink, "<" + base + "?" + q.Encode() + `>; rel="next"`})
	}
	return headers
}
