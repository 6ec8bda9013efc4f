//go:build linux

package main

import (
	"fmt"
	"strings"

	"busbar/ocpi"
)

// haproxyConf makes HAProxy do the same as nginxConf. Its maps are files in
// dir.
func haproxyConf(dir, addr, backend string, f field) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
	nbthread 2
	maxconn 8192
defaults
	mode http
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	timeout http-keep-alive 1h
	http-reuse always
frontend hub
	bind %[2]s
	http-request deny deny_status 401 unless { req.hdr(Authorization),word(2,\ ),map_str(%[1]s/callers.map) -m found }
	http-request set-var(txn.party) req.hdr(OCPI-to-party-id)
	http-request set-var(txn.receiver) req.hdr(OCPI-to-country-code),concat(,txn.party),map_str(%[1]s/parties.map)
	http-request deny deny_status 404 unless { var(txn.receiver) -m found }
	http-request set-header X-Request-ID %%[uuid()]
	http-request set-header Authorization %%[var(txn.receiver),map_str(%[1]s/outbound.map)]
	http-request set-path /%%[var(txn.receiver)]%%[path]
	use_backend %%[var(txn.receiver)]
`, dir, addr)
	for _, p := range f {
		fmt.Fprintf(&b, "backend %s\n\tserver %s %s\n", p.Name, p.Name, backend)
	}
	return b.String()
}

// haproxyCallers maps the token behind the word "Token", since a key holds no
// space, to its platform.
func haproxyCallers(f field) string {
	var b strings.Builder
	for _, p := range f {
		_, encoded, _ := strings.Cut(p.Inbound.Authorization(ocpi.TokenBase64), " ")
		fmt.Fprintf(&b, "%s %s\n", encoded, p.Name)
	}
	return b.String()
}

// haproxyParties maps a party to its platform.
func haproxyParties(f field) string {
	var b strings.Builder
	for _, p := range f {
		for _, party := range p.Parties {
			fmt.Fprintf(&b, "%s %s\n", party, p.Name)
		}
	}
	return b.String()
}

// haproxyOutbound maps a platform to the header that it expects.
func haproxyOutbound(f field) string {
	var b strings.Builder
	for _, p := range f {
		fmt.Fprintf(&b, "%s %s\n", p.Name, p.Outbound.Authorization(ocpi.TokenBase64))
	}
	return b.String()
}
