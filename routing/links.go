package routing

import (
	"net/url"
	"strconv"
	"strings"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// nextPage reads a peer's Link to the next page: the escaped path behind its
// endpoint, and the query. Peers behind proxies write other hosts, schemes and
// paths than they serve; then what counts is the query, and the path is the one
// that was asked. Whatever the link says, the host is the endpoint's.
func nextPage(target *peer.Target, header, asked string) (path, query string, ok bool) {
	next, ok := nextLink(header)
	if !ok {
		return "", "", false
	}
	if path, query, ok = target.Relative(next); !ok {
		_, query, _ = strings.Cut(next, "?")
		query, _, _ = strings.Cut(query, "#")
		path = asked
	}
	return path, query, true
}

// listHeaders are the paging headers of a list that the hub answers (2.2.1
// transport_and_format, Paginated Response). total is -1 when nobody can tell;
// link is empty on the last page.
func listHeaders(total int, link string) []ocpi.Header {
	headers := make([]ocpi.Header, 0, 3)
	if total >= 0 {
		headers = append(headers, ocpi.Header{Name: ocpi.HeaderTotalCount, Value: strconv.Itoa(total)})
	}
	headers = append(headers, ocpi.Header{Name: ocpi.HeaderLimit, Value: strconv.Itoa(ocpi.MaxPage)})
	if link != "" {
		headers = append(headers, ocpi.Header{Name: ocpi.HeaderLink, Value: "<" + link + `>; rel="next"`})
	}
	return headers
}

// listURL is where the list goes on: at the hub, with the same filters (P2).
func (r *Router) listURL(req *ocpi.Request, q *listQuery, cursor string) string {
	query := q.filters
	if query != "" {
		query += "&"
	}
	query += "limit=" + strconv.Itoa(q.Limit) + "&" + paramCursor + "=" + url.QueryEscape(cursor)
	own := *req
	own.To = ocpi.AddressOf(r.cfg.Hub.Party) // also when the request named its own party
	return r.hubURL(&own, "", query)
}
