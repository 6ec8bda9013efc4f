package simulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"busbar/ocpi"
)

// window is what a list request asks for (2.2.1 transport_and_format, Paginated
// Request): last_updated from inclusive, to exclusive; zero times are open.
type window struct {
	from, to      time.Time
	offset, limit int
}

func (w window) holds(updated time.Time) bool {
	return !updated.Before(w.from) && (w.to.IsZero() || updated.Before(w.to))
}

// parseWindow reads the four parameters; most is the server's own limit. The
// error is a 2001 that names the parameter.
func parseWindow(query url.Values, most int) (window, *ocpi.Error) {
	w := window{limit: most}
	for name, into := range map[string]*time.Time{"date_from": &w.from, "date_to": &w.to} {
		if value := query.Get(name); value != "" {
			t, err := ocpi.ParseTime(value)
			if err != nil {
				return w, ocpi.Errorf(ocpi.InvalidParameters, "parameter %s: %v", name, err)
			}
			*into = t
		}
	}
	if value := query.Get("offset"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return w, ocpi.Errorf(ocpi.InvalidParameters, "parameter offset: must be a number, 0 or more")
		}
		w.offset = n
	}
	if value := query.Get("limit"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return w, ocpi.Errorf(ocpi.InvalidParameters, "parameter limit: must be a number, 1 or more")
		}
		w.limit = min(n, most)
	}
	return w, nil
}

// list answers a list request from a shelf. reader limits what is shown; zero
// shows everything.
func (in inbound) list(from *shelf, reader ocpi.PartyKey, most int) reply {
	w, fault := parseWindow(in.query, most)
	if fault != nil {
		return refuse(fault)
	}
	docs, total := from.page(w, reader)
	r := answer(joinArray(docs))
	r.headers = []ocpi.Header{
		{Name: ocpi.HeaderTotalCount, Value: strconv.Itoa(total)},
		// The server's maximum even when the page is shorter (2.2.1
		// transport_and_format, Paginated Response).
		{Name: ocpi.HeaderLimit, Value: strconv.Itoa(most)},
	}
	if next := w.offset + len(docs); next < total && len(docs) > 0 {
		r.headers = append(r.headers, ocpi.Header{Name: ocpi.HeaderLink, Value: nextLink(in.self, in.query, next, w.limit)})
	}
	return r
}

// nextLink keeps every filter of the original request.
func nextLink(self string, query url.Values, offset, limit int) string {
	next := url.Values{}
	maps.Copy(next, query)
	next.Set("offset", strconv.Itoa(offset))
	next.Set("limit", strconv.Itoa(limit))
	return "<" + self + "?" + next.Encode() + `>; rel="next"`
}

// readNext finds the URL of the next page in a Link header (RFC 8288); empty on
// the last page.
func readNext(link string) string {
	for {
		_, rest, ok := strings.Cut(link, "<")
		if !ok {
			return ""
		}
		target, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return ""
		}
		params, _, _ := strings.Cut(rest, "<")
		params = strings.NewReplacer(" ", "", `"`, "").Replace(params)
		for param := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ',' }) {
			if strings.EqualFold(param, "rel=next") {
				return target
			}
		}
		link = rest
	}
}

func joinArray(docs []json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, d := range docs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(d)
	}
	b.WriteByte(']')
	return b.Bytes()
}
