package peer

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"busbar/ocpi"
)

func TestTheGuardRefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	for what, addresses := range map[string]string{
		"loopback":                "127.0.0.1 127.1.2.3 ::1 ::ffff:127.0.0.1",
		"private":                 "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 ::ffff:10.0.0.1 ::ffff:192.168.0.1 fd00::1 fc00::1 fdff::1",
		"link-local":              "169.254.0.1 fe80::1 fe80::1%eth0 febf::1 ::ffff:169.254.1.1",
		"metadata services":       "169.254.169.254 ::ffff:169.254.169.254 100.100.100.200 fd00:ec2::254 192.0.0.192",
		"nobody":                  "0.0.0.0 0.1.2.3 :: 255.255.255.255 240.0.0.1",
		"carrier NAT":             "100.64.0.1 100.127.255.255",
		"protocol and benchmarks": "192.0.0.8 198.18.0.1 198.19.255.255 192.88.99.1",
		"documentation":           "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
		"multicast":               "224.0.0.1 239.255.255.255 ff01::1 ff02::1 ff05::1:3",
		"IPv4 inside NAT64":       "64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::a00:1",
		"IPv4 inside 6to4":        "2002:7f00:1:: 2002:a9fe:a9fe::1 2002:808:808::1",
		"IPv4 inside Teredo":      "2001::1 2001:0:7f00:1::",
		"IPv4 inside older forms": "::127.0.0.1 ::10.0.0.1 ::ffff:0:127.0.0.1",
		"not given out":           "100::1 5f00::1 fec0::1 4000::1 1234::1 0100::1",
	} {
		for s := range strings.FieldsSeq(addresses) {
			var refused *GuardError
			if err := checkPublic(netip.MustParseAddr(s)); !errors.As(err, &refused) {
				t.Errorf("%s: %s is accepted: %v", what, s, err)
			}
		}
	}
	if checkPublic(netip.Addr{}) == nil {
		t.Error("no address is accepted")
	}
}

func TestTheGuardAcceptsWhatIsPublic(t *testing.T) {
	t.Parallel()
	for s := range strings.FieldsSeq("8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.167.255.255 " +
		"198.17.255.255 198.20.0.1 169.253.255.255 223.255.255.255 ::ffff:8.8.8.8 2606:4700::1111 2a00:1450:4001::1 2001:4860:4860::8888 2003::1") {
		if err := checkPublic(netip.MustParseAddr(s)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheGuardLooksAtWhatIsDialled(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"8.8.8.8:443": true, "[2606:4700::1111]:443": true, "127.0.0.1:443": false, "[::1]:443": false,
		"[fe80::1%eth0]:443": false, "[::ffff:10.0.0.1]:443": false, "name:443": false, "": false,
	} {
		if err := guard("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A name that resolves to this machine is refused after resolution, before
// anything is sent.
func TestTheGuardStandsBehindNameResolution(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		for _, scheme := range []string{"http://", "https://"} {
			c := NewDialer(DialerConfig{}).NewClient(ocpi.CredentialsToken{}, "")
			got := finish(c.Do(t.Context(), soon(), &Call{Method: "GET", Target: target(t, scheme+host+":"+port+"/x")}))
			got.fails(t, Unreachable)
			var refused *GuardError
			if !errors.As(got.err, &refused) || !strings.Contains(Reason(got.err), "public addresses only") {
				t.Errorf("%s%s: %v", scheme, host, got.err)
			}
			c.Close()
		}
	}
	p.counts(t, 0, 0)
}
