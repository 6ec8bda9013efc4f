package peer

import (
	"fmt"
	"net"
	"net/url"
	"strings"

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
}

// ParseTarget takes an absolute http or https URL.
func ParseTarget(raw string) (Target, error) {
	if err := ocpi.CheckURL(raw); err != nil {
		return Target{}, fmt.Errorf("URL: %w", err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("URL: not a URL")
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]
	}
	return Target{
		tls: u.Scheme == "https", addr: net.JoinHostPort(u.Hostname(), port), host: u.Host,
		path: u.EscapedPath(), query: u.RawQuery, raw: raw,
	}, nil
}

// String is the URL as the peer advertised it.
func (t *Target) String() string { return t.raw }

// Host is the host and port that the URL names.
func (t *Target) Host() string { return t.host }

// URL is the target with a path and query behind it.
func (t *Target) URL(path, query string) string {
	scheme := "http://"
	if t.tls {
		scheme = "https://"
	}
	return scheme + t.host + string(t.appendURI(nil, path, query))
}

// appendURI writes the request target. With nothing to add it is the
// advertised URL, trailing slash and all; otherwise exactly one slash stands at
// the joint, whatever the peer advertised (M2).
func (t *Target) appendURI(dst []byte, path, query string) []byte {
	base := t.path
	if path != "" && path != "/" {
		dst = append(dst, strings.TrimSuffix(base, "/")...)
		if path[0] != '/' {
			dst = append(dst, '/')
		}
		dst = append(dst, path...)
	} else if base == "" {
		dst = append(dst, '/')
	} else {
		dst = append(dst, base...)
	}
	separator := byte('?')
	for _, q := range [...]string{t.query, query} {
		if q != "" {
			dst = append(dst, separator)
			dst = append(dst, q...)
			separator = '&'
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
	if !strings.EqualFold(u.Host, base.Host) || u.Scheme != base.Scheme {
		return "", "", false
	}
	own := strings.TrimSuffix(base.EscapedPath(), "/")
	rest, found := strings.CutPrefix(u.EscapedPath(), own)
	if !found || rest != "" && rest[0] != '/' {
		return "", "", false
	}
	return rest, u.RawQuery, ocpi.CheckPath(rest) == nil
}
