//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"
)

// What happens to one receiver's view of EVSEs, a line for each push.
func TestLedgerJudges(t *testing.T) {
	t.Parallel()
	patch := func(evse string, at int64) []string { return []string{evse, stamped(at)} }
	whole := func(at int64) []string {
		return []string{"NL/ABC/LOC1", `{"evses":[{"uid":"1","last_updated":"` + stamp(at) + `"},{"uid":"2","last_updated":"2025-06-01T00:00:00Z"}]}`}
	}
	const one, two = "NL/ABC/LOC1/1", "NL/ABC/LOC1/2"
	truth := fmt.Sprintf("%s 3 30\n%s 1 20\n", one, two)
	for name, c := range map[string]struct {
		pushes [][]string
		want   receiverReport
	}{
		"all arrived":                     {[][]string{patch(one, 10), patch(two, 20), patch(one, 15), patch(one, 30)}, receiverReport{Pushes: 4, States: 4}},
		"one was superseded":              {[][]string{patch(one, 10), patch(one, 30), patch(two, 20)}, receiverReport{Pushes: 3, States: 3, Skipped: 1}},
		"the last is missing":             {[][]string{patch(one, 10), patch(one, 15), patch(two, 20)}, receiverReport{Pushes: 3, States: 3, Stale: 1, Missed: 1}},
		"nothing came of one":             {[][]string{patch(two, 20)}, receiverReport{Pushes: 1, States: 1, Stale: 1, Missed: 3}},
		"one came twice":                  {[][]string{patch(one, 30), patch(one, 30), patch(two, 20)}, receiverReport{Pushes: 3, States: 2, Skipped: 2, Duplicates: 1}},
		"an older one came behind":        {[][]string{patch(one, 30), patch(one, 10), patch(two, 20)}, receiverReport{Pushes: 3, States: 2, Skipped: 2, Disordered: 1}},
		"the whole Location came instead": {[][]string{patch(two, 20), patch(one, 10), whole(30)}, receiverReport{Pushes: 3, Presents: 1, States: 3, Skipped: 1}},
		"an old whole Location came":      {[][]string{patch(two, 20), patch(one, 30), whole(15)}, receiverReport{Pushes: 3, Presents: 1, States: 2, Skipped: 2, Disordered: 1}},
		"nobody accepted it":              {[][]string{patch(two, 20), patch(one, 30), patch(one, 40)}, receiverReport{Pushes: 3, States: 3, Unknown: 1}},
		"no time can be read":             {[][]string{{two, `{"status":"CHARGING"}`}, patch(two, 20), patch(one, 30)}, receiverReport{Pushes: 3, States: 2, Skipped: 2, Unreadable: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := newLedger(), &receiver{}
			for _, p := range c.pushes {
				l.take(&r.sights, []byte(p[0]), []byte(p[1]), p[0] == "NL/ABC/LOC1", time.UnixMicro(50))
			}
			if err := l.learn([]byte(truth)); err != nil {
				t.Fatal(err)
			}
			got := l.judge("", r)
			got.P99, got.Max = 0, 0
			if got != c.want {
				t.Errorf("judged %+v, want %+v", got, c.want)
			}
		})
	}
}

func stamp(at int64) string { return time.UnixMicro(at).UTC().Format(stampLayout) }

func stamped(at int64) string { return string(statusBody("CHARGING", stamp(at))) }

func TestLedgerMeasuresTheLag(t *testing.T) {
	t.Parallel()
	l, r := newLedger(), &receiver{}
	l.take(&r.sights, []byte("NL/ABC/LOC1/1"), []byte(stamped(1_000_000)), false, time.UnixMicro(1_005_000))
	if r.latest != 5*time.Millisecond || r.lags.quantile(0.99) < 4900*time.Microsecond {
		t.Errorf("lag %v, p99 %v, want 5ms", r.latest, r.lags.quantile(0.99))
	}
}

func TestLedgerLearnsLines(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"path 1\n", "path x 1\n", "path 1 x\n"} {
		l := newLedger()
		if l.learn([]byte(bad)) == nil {
			t.Errorf("%q is taken for the truth", bad)
		}
	}
}

func TestLocationsAreDealtUnevenly(t *testing.T) {
	t.Parallel()
	const cpos, locations = 195, 20_000
	count := make([]int, cpos)
	for n := range locations {
		count[dealt(n, cpos)]++
	}
	if share := float64(count[0]) / locations; share < largestShare-0.02 || share > largestShare+0.02 {
		t.Errorf("the largest CPO has %.2f of all", share)
	}
	for i, n := range count {
		if n == 0 || i > 0 && n > count[0] {
			t.Errorf("CPO %d has %d Locations", i, n)
		}
	}
}
