package gateway

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr is who called: the other end of the connection or, where that is a
// proxy of the operator's, the right-most address in X-Forwarded-For that is
// none. What stands to the left of that one was written by the caller.
func clientAddr(remote net.Addr, forwarded []string, proxies []netip.Prefix) netip.Addr {
	var addr netip.Addr
	if tcp, ok := remote.(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr().Unmap()
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) })
	}
	if len(proxies) == 0 || !trusted(addr) {
		return addr
	}
	for _, line := range slices.Backward(forwarded) {
		entries := strings.Split(line, ",")
		for _, entry := range slices.Backward(entries) {
			named, ok := forwardedAddr(strings.TrimSpace(entry))
			if !ok {
				return addr // nonsense: the proxy that passed it on is who is known
			}
			if addr = named; !trusted(addr) {
				return addr
			}
		}
	}
	return addr
}

// forwardedAddr reads an entry; some proxies add the port.
func forwardedAddr(entry string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return a.Unmap(), true
	}
	ap, err := netip.ParseAddrPort(entry)
	return ap.Addr().Unmap(), err == nil
}
