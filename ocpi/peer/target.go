package peer

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"

	"busbar/ocpi"
)

// Target is a URL of the peer, taken apart once so that a call only joins
// strings.
type Target struct {
	tls bool
	// addr is host:port to dial; host is the Host header.
	addr, host string
	// path is escaped and may be empty; query is without the question mark.
	path, query string
	raw         string
	// guarded is set in a pool's own copy, see poolKey.
	guarded bool
	// slash is what the peer asked for at the URL itself, once it has.
	slash *atomic.Int32
}

// slash says how a path ends.
type slash int32

const (
	asAdvertised slash = 0
	withSlash    slash = 1
	withoutSlash slash = -1
)

// ParseTarget takes an absolute http or https URL.
func ParseTarget(raw string) (Target, error) {
	if err := ocpi.CheckURL(raw); err != nil {
		return Target{}, fmt.Errorf("URL: %w", err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("URL: not a URL")
	}
	return Target{
		tls: u.Scheme == "https", addr: address(u), host: u.Host,
		path: u.EscapedPath(), query: u.RawQuery, raw: raw, slash: new(atomic.Int32),
	}, nil
}

// address is the host and port to dial.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// String is the URL as the peer advertised it.
func (t *Target) String() string { return t.raw }

// Join is the URL that a call with the path and query requests: both escaped, the
// query without the question mark.
func (t *Target) Join(path, query string) string {
	scheme := "http://"
	if t.tls {
		scheme = "https://"
	}
	call := Call{Target: t, Path: path, Query: query}
	return scheme + t.host + string(t.appendURI(nil, path, query, call.end()))
}

// SameHost tells whether two targets are served by the same host and port, in
// the same way.
func (t *Target) SameHost(o *Target) bool { return t.tls == o.tls && strings.EqualFold(t.addr, o.addr) }

// SameName tells whether two targets are on hosts of one name, whatever the port.
func (t *Target) SameName(o *Target) bool {
	name, _, _ := net.SplitHostPort(t.addr)
	other, _, _ := net.SplitHostPort(o.addr)
	return strings.EqualFold(name, other)
}

// appendURI writes the request target. With nothing to add it is the
// advertised URL, trailing slash and all; otherwise exactly one slash stands at
// the joint, whatever the peer advertised (M2).
func (t *Target) appendURI(dst []byte, path, query string, end slash) []byte {
	start := len(dst)
	switch {
	case path != "":
		dst = append(dst, strings.TrimRight(t.path, "/")...)
		if path[0] != '/' {
			dst = append(dst, '/')
		}
		dst = appendURIPart(dst, path)
	case t.path == "":
		dst = append(dst, '/')
	default:
		dst = append(dst, t.path...)
	}
	switch {
	case end == withSlash && dst[len(dst)-1] != '/':
		dst = append(dst, '/')
	case end == withoutSlash && len(dst)-start > 1:
		dst = bytes.TrimSuffix(dst, []byte("/"))
	}
	separator := byte('?')
	for _, q := range [...]string{t.query, query} {
		if q != "" {
			dst = appendURIPart(append(dst, separator), q)
			separator = '&'
		}
	}
	return dst
}

// appendURIPart escapes what would end the request line early: url.Parse lets a
// space stand in a query, and this is the last door.
func appendURIPart(dst []byte, part string) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := 0; i < len(part); i++ {
		if c := part[i]; c <= ' ' || c == 0x7f {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// Relative tells what a URL that the peer wrote, absolute or relative to this
// target, adds to it: the escaped path behind the target's and the query. ok is
// false when the URL leads elsewhere.
func (t *Target) Relative(link string) (path, query string, ok bool) {
	base, err := url.Parse(t.raw)
	if err != nil {
		return "", "", false
	}
	u, err := base.Parse(strings.TrimSpace(link))
	if err != nil || u.Fragment != "" || u.User != nil {
		return "", "", false
	}
	if u.Scheme != base.Scheme || !strings.EqualFold(address(u), address(base)) {
		return "", "", false
	}
	return t.behind(base, u)
}

// RelativePath is Relative for peers behind proxies, which write another host or
// scheme than they are reached at: those do not count.
func (t *Target) RelativePath(link string) (path, query string, ok bool) {
	base, err := url.Parse(t.raw)
	if err != nil {
		return "", "", false
	}
	u, err := base.Parse(strings.TrimSpace(link))
	if err != nil || u.Fragment != "" || u.User != nil || u.Opaque != "" {
		return "", "", false
	}
	return t.behind(base, u)
}

// behind is what stands behind the target's own path.
func (t *Target) behind(base, u *url.URL) (path, query string, ok bool) {
	own := strings.TrimRight(base.EscapedPath(), "/")
	rest, found := strings.CutPrefix(u.EscapedPath(), own)
	if !found || rest != "" && rest[0] != '/' {
		return "", "", false
	}
	return rest, t.added(u.RawQuery), ocpi.CheckPath(rest) == nil
}

// added is what a query holds besides the target's own, which appendURI writes
// again.
func (t *Target) added(query string) string {
	if rest, found := strings.CutPrefix(query, t.query); found && t.query != "" && (rest == "" || rest[0] == '&') {
		return strings.TrimPrefix(rest, "&")
	}
	return query
}

// end is how the path of a call ends.
func (c *Call) end() slash {
	if c.slash == asAdvertised && c.Path == "" {
		return slash(c.Target.slash.Load())
	}
	return c.slash
}

// redirectedSlash tells whether a redirect asks for nothing but a trailing
// slash more or less, as several web frameworks do; FastAPI among them. The call
// may then be repeated at the platform's own host, whatever host the redirect
// names: no token travels anywhere else.
func (c *Call) redirectedSlash(a *Answer) slash {
	switch a.Status() {
	case 307, 308:
	case 301, 302:
		if c.Method != "GET" {
			return asAdvertised
		}
	default:
		return asAdvertised
	}
	to, err := url.Parse(a.Header("Location"))
	if err != nil {
		return asAdvertised
	}
	asked, _, _ := strings.Cut(string(c.Target.appendURI(nil, c.Path, c.Query, c.end())), "?")
	switch to.EscapedPath() {
	case asked + "/":
		return withSlash
	case strings.TrimSuffix(asked, "/"):
		if asked != "/" && strings.HasSuffix(asked, "/") {
			return withoutSlash
		}
	}
	return asAdvertised
}
