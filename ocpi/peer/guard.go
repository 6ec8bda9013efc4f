package peer

import (
	"fmt"
	"net/netip"
	"syscall"
)

// GuardError refuses an address that is not on the public internet.
type GuardError struct{ Addr netip.Addr }

const notPublicReason = "is private, loopback, link-local or otherwise not public, and this hub connects to public addresses only"

func (e *GuardError) Error() string { return fmt.Sprintf("address %s %s", e.Addr, notPublicReason) }

// notPublic are the ranges that Go's netip predicates do not name: what stands
// there is a neighbour of the hub, a cloud's metadata service, or nobody
// (IANA special-purpose address registries).
var notPublic = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier NAT, and metadata at one cloud
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4: an IPv4 address inside
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

// globalUnicast is all of IPv6 that is given out. Outside stand, among others,
// NAT64 and the older forms with an IPv4 address inside.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// checkPublic is the rule of the guard.
func checkPublic(addr netip.Addr) error {
	addr = addr.Unmap()
	refused := !addr.IsValid() || addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified() ||
		addr.IsLinkLocalUnicast() || addr.IsMulticast() ||
		addr.Is6() && !globalUnicast.Contains(addr)
	for _, p := range notPublic {
		refused = refused || p.Contains(addr)
	}
	if refused {
		return &GuardError{Addr: addr}
	}
	return nil
}

// guard runs between name resolution and connect, once for every address that
// is tried, so a name that resolves to another address the second time gains
// nothing.
func guard(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("guard %q: %w", address, err)
	}
	return checkPublic(ap.Addr())
}
