package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"busbar/ocpi/peer"
	"busbar/parties"
)

func directory(ids ...string) *parties.Directory {
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	for i, id := range ids {
		d.Apply(parties.Platform{ID: parties.PlatformID(id), Revision: int64(i + 1)}, int64(i+1))
	}
	return d
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestLimits_ConcurrencyIsOfOnePlatform(t *testing.T) {
	t.Parallel()
	l := newLimits(Limits{Concurrency: 2}, directory("a", "b"), nil)
	enter := func(id parties.PlatformID, want bool) *allowance {
		t.Helper()
		a, err := l.enter(id, start)
		var over *overLimit
		if (err == nil) != want || err != nil && (!errors.As(err, &over) || over.reason != byConcurrency) {
			t.Errorf("%s: %v", id, err)
		}
		return a
	}
	first := enter("a", true)
	enter("a", true)
	enter("a", false)
	enter("b", true)
	first.leave()
	enter("a", true)
	enter("a", false)
}

func TestLimits_RateAndBurst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ perSecond, atOnce int }{{1, 10}, {10, 10}, {50, 50}} {
		l := newLimits(Limits{Rate: test.perSecond}, directory("a"), nil)
		let := func(now time.Time) (n int) {
			for range 200 {
				if a, err := l.enter("a", now); err == nil {
					a.leave()
					n++
				}
			}
			return n
		}
		if got := let(start); got != test.atOnce {
			t.Errorf("%d per second: %d at once, want %d", test.perSecond, got, test.atOnce)
		}
		if got := let(start.Add(time.Second)); got != test.perSecond {
			t.Errorf("%d per second: %d a second later", test.perSecond, got)
		}
	}
}

func TestLimits_ARefusalTellsWhenToComeAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err         error
		after, says string
	}{
		"rate":        {overRate(3, 333*time.Millisecond), "1", "more than 3 requests per second"},
		"a slow rate": {overRate(3, 2100*time.Millisecond), "3", "BUSBAR_PLATFORM_RATE"},
		"concurrency": {overConcurrency(256), "1", "256 requests in flight, the limit of this hub (BUSBAR_PLATFORM_CONCURRENCY)"},
		"memory":      {errNoRoom, "1", "share of the memory for bodies (BUSBAR_BODY_MEMORY)"},
		"brake":       {braked(2500 * time.Millisecond), "3", "too many requests without a valid credentials token"},
	} {
		header, over := retryAfter(test.err)
		refusal, known := refusalOf(test.err, true)
		if !over || header.Value != test.after || !known || refusal.HTTP != http.StatusTooManyRequests ||
			refusal.Status != 2000 || !strings.Contains(refusal.Message, test.says) {
			t.Errorf("%s: %v %+v", name, header, refusal)
		}
	}
	if _, over := retryAfter(badRequest("x")); over {
		t.Error("another error has a Retry-After")
	}
}

func TestLimits_DeletedPlatformsAreForgotten(t *testing.T) {
	t.Parallel()
	d := directory("a", "b", "c")
	l := newLimits(Limits{Concurrency: 1, Rate: 10}, d, nil)
	working, _ := l.enter("b", start)
	if got := len(*l.byID.Load()); got != 3 {
		t.Fatalf("%d allowances, want all at once", got)
	}
	d.Remove("a", 4)
	d.Remove("b", 5)
	l.forget()
	if have := *l.byID.Load(); have["a"] != nil || have["b"] == nil || have["c"] == nil {
		t.Errorf("allowances %v", have)
	}
	working.leave()
	l.forget()
	if have := *l.byID.Load(); len(have) != 1 {
		t.Errorf("allowances %v", have)
	}
}

// A look that allocates or locks would be paid by every message.
func TestLimits_CostNothing(t *testing.T) {
	l := newLimits(Limits{Concurrency: 1000, Rate: 1_000_000}, directory("a"), nil)
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		a, _ := l.enter("a", now)
		a.leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// sharesOf answers with what the others are said to be asked.
type sharesOf struct {
	others map[parties.PlatformID]int64
	err    error
	told   map[parties.PlatformID]int64
}

func (s *sharesOf) Exchange(_ context.Context, asked map[parties.PlatformID]int64) (map[parties.PlatformID]int64, error) {
	s.told = asked
	return s.others, s.err
}

func TestLimits_OnlyBusyPlatformsAreToldOf(t *testing.T) {
	t.Parallel()
	shares := &sharesOf{others: map[parties.PlatformID]int64{"a": 300}}
	l := newLimits(Limits{Rate: 100}, directory("a", "b", "c"), shares)
	for id, n := range map[parties.PlatformID]int{"a": 100, "b": 5} {
		for range n {
			_, _ = l.enter(id, start)
		}
	}
	l.share(t.Context(), start)
	if fmt.Sprint(shares.told) != "map[a:100]" {
		t.Errorf("told %v", shares.told)
	}
	limit := func(id parties.PlatformID) rate.Limit { return (*l.byID.Load())[id].pace.Limit() }
	if limit("a") != 25 || limit("b") != 100 {
		t.Errorf("a %v, b %v; want a's quarter and b's whole", limit("a"), limit("b"))
	}
	// Without Redis each goes by the whole.
	for range 50 {
		_, _ = l.enter("a", start)
	}
	shares.others, shares.err = map[parties.PlatformID]int64{"a": 300}, errors.New("redis is gone")
	l.share(t.Context(), start)
	if limit("a") != 100 {
		t.Errorf("without Redis: %v", limit("a"))
	}
}

func TestLimits_TheSumOfAllPartsKeepsToTheLimit(t *testing.T) {
	t.Parallel()
	for _, asked := range [][]int64{{500, 500}, {1000, 10}, {30, 40}, {60, 60}, {90, 5, 5, 5}, {1, 1000, 1000}} {
		total, sum := int64(0), 0.0
		for _, n := range asked {
			total += n
		}
		for _, n := range asked {
			sum += math.Min(float64(n), localRate(100, n, total-n))
		}
		if want := math.Min(100, float64(total)); math.Abs(sum-want) > 1e-6 {
			t.Errorf("asked %v: %v per second are let through, want %v", asked, sum, want)
		}
	}
}

func TestBrake_StopsWhoFailsTooOften(t *testing.T) {
	t.Parallel()
	b := newBrake(100)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	fails := func(address string, now time.Time, let bool) time.Duration {
		t.Helper()
		wait, _ := b.fail(netip.MustParseAddr(address), now)
		if (wait == 0) != let {
			t.Errorf("%s at %s: wait %s", address, now, wait)
		}
		return wait
	}
	for range 20 {
		fails("192.0.2.1", at(0), true)
	}
	if wait := fails("192.0.2.1", at(1), false); wait != 2*time.Second {
		t.Errorf("wait %s, want 2s", wait)
	}
	fails("::ffff:192.0.2.1", at(1), false) // the same
	fails("192.0.2.2", at(1), true)
	fails("192.0.2.1", at(3), true)
	fails("192.0.2.1", at(3), false)
	fails("192.0.2.1", at(5.9), false)
	fails("192.0.2.1", at(60), true)
	for i := range 20 { // one customer, many addresses
		fails(fmt.Sprintf("2001:db8:0:1::%x", i), at(0), true)
	}
	fails("2001:db8:0:1:ffff:ffff:ffff:ffff", at(0), false)
	fails("2001:db8:0:2::1", at(0), true)
}

func TestBrake_TheLogHasOneLine(t *testing.T) {
	t.Parallel()
	b := newBrake(100)
	lines := 0
	for i := range 1000 { // 100 a second
		if _, first := b.fail(netip.MustParseAddr("192.0.2.1"), start.Add(time.Duration(i)*10*time.Millisecond)); first {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines, want 1", lines)
	}
}

func TestBrake_ForgetsTheOldest(t *testing.T) {
	t.Parallel()
	b := newBrake(1000)
	for i := range 5000 {
		b.fail(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), start)
	}
	if n := b.failures.Len(); n != 1000 {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ff::/48")}
	for name, test := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"a caller itself":                           {"192.0.2.1:5", nil, "192.0.2.1"},
		"a caller that claims to be another":        {"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"},
		"through a proxy":                           {"10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		"through two":                               {"10.0.0.1:5", []string{"198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		"through a proxy, with a lie before":        {"10.0.0.1:5", []string{"10.1.1.1, 203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		"through a proxy that adds a line":          {"10.0.0.1:5", []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		"a proxy for itself":                        {"10.0.0.1:5", nil, "10.0.0.1"},
		"proxies only":                              {"10.0.0.1:5", []string{"10.0.0.2,10.0.0.3"}, "10.0.0.2"},
		"nonsense":                                  {"10.0.0.1:5", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"an empty header":                           {"10.0.0.1:5", []string{""}, "10.0.0.1"},
		"with a port":                               {"10.0.0.1:5", []string{"198.51.100.1:1234"}, "198.51.100.1"},
		"IPv6":                                      {"[2001:db8:ff::1]:5", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv6 with brackets and port":               {"[2001:db8:ff::1]:5", []string{"[2001:db8::7]:80"}, "2001:db8::7"},
		"an IPv4 proxy seen through an IPv6 socket": {"[::ffff:10.0.0.1]:5", []string{"198.51.100.1"}, "198.51.100.1"},
		"an IPv4 caller written as IPv6":            {"10.0.0.1:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
	} {
		got := clientAddr(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(test.remote)), test.forwarded, proxies)
		if got.String() != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if got := clientAddr(&net.UnixAddr{}, []string{"192.0.2.1"}, proxies); got.IsValid() {
		t.Errorf("a socket without an address: %s", got)
	}
	if got := neighbourhood(netip.Addr{}); got.IsValid() {
		t.Errorf("no address has the neighbourhood %s", got)
	}
}
