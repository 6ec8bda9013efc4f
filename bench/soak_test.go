//go:build linux

package main

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// TestP10_SmallSoak soaks a real hub for two seconds. The command itself fails
// when what was accepted, delivered and superseded is not equal.
func TestP10_SmallSoak(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// As programs of their own, since the soak starts itself again, and the hub; built
	// as this test is, so that little is left to compile.
	build := exec.Command("go", "build", "-race="+raceDetector(), "-o", dir+string(filepath.Separator), "busbar/bench", "busbar/cmd/busbar")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	soak := exec.CommandContext(ctx, filepath.Join(dir, "bench"), soakCommand, "-busbar", filepath.Join(dir, "busbar"),
		"-platforms", "20", "-evses", "500", "-duration", "2s", "-not-timed")
	out, err := soak.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"| lost: states that no newer one replaced | 0 | 0 | met |",
		"| accepted × healthy and slow receivers = delivered + superseded | 230 × 5 = ",
		"| answered legs by the hub's count = by the receivers' |",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
}

// raceDetector tells whether this test runs with it.
func raceDetector() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" {
				return s.Value
			}
		}
	}
	return "false"
}

func TestSoakOptionsAreChecked(t *testing.T) {
	t.Setenv("BUSBAR_TEST_POSTGRES", "")
	for args, want := range map[string]string{
		"-platforms 19":  "-platforms must be 20",
		"-evses 99":      "-evses must be at least 100",
		"-rate 0":        "-rate positive",
		"-duration 10ms": "-duration at least 1s",
		"-replicas 0":    "-replicas must be positive",
		"-replicas 2":    "needs Postgres and Redis",
		"now":            `unexpected argument "now"`,
		"-nonsense":      "not defined",
	} {
		if _, err := parseSoakOptions(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	o, err := parseSoakOptions(nil, io.Discard)
	if err != nil || float64(o.locations()) < 1_000_000/evsesEach {
		t.Errorf("%d Locations by default, %v", o.locations(), err)
	}
}

func TestReportSaysWhatIsMissed(t *testing.T) {
	t.Parallel()
	sound := func() *soakReport {
		return &soakReport{
			Wanted: 10, Locations: 10, Accepted: 4, Answers: &lags{}, Watch: &watching{}, Lone: true, Timed: true, Differing: []int{0},
			Legs: map[string]uint64{"ok": 7, "superseded": 1},
			Country: countryReport{Receivers: []receiverReport{
				{Worst: healthy, Pushes: 4, States: 4}, {Worst: slow, Pushes: 3, States: 3, Skipped: 1},
			}},
		}
	}
	if missed := sound().missed(); len(missed) > 0 {
		t.Fatalf("nothing is wrong, and missed are %q", missed)
	}
	for want, spoil := range map[string]func(*soakReport){
		"Locations filled":        func(r *soakReport) { r.Locations-- },
		"pushes not accepted":     func(r *soakReport) { r.Refused++ },
		"delivered + superseded":  func(r *soakReport) { r.Accepted++ },
		"superseded by the hub's": func(r *soakReport) { r.Legs["superseded"] = 0 },
		"lost:":                   func(r *soakReport) { r.Country.Receivers[0].Missed++ },
		"receiver lacks":          func(r *soakReport) { r.Country.Receivers[1].Stale++ },
		"a replica lacks":         func(r *soakReport) { r.Differing[0]++ },
		"answered legs":           func(r *soakReport) { r.Legs["ok"]++ },
		"nobody accepted":         func(r *soakReport) { r.Country.Receivers[0].Unknown++ },
		"out of order":            func(r *soakReport) { r.Country.Receivers[0].Disordered++ },
		"legs under way, or":      func(r *soakReport) { r.Undelivered++ },
		"hanging receivers missed": func(r *soakReport) {
			r.Country.Receivers = append(r.Country.Receivers, receiverReport{Worst: hungUp, Missed: 1})
		},
		"lag p99":                    func(r *soakReport) { r.Country.P99 = soakLag },
		"came twice":                 func(r *soakReport) { r.Country.Receivers[0].Duplicates++ },
		"direct messages":            func(r *soakReport) { r.Country.Direct = map[traffic]uint64{postCDR: 1} },
		"memory grown over the soak": func(r *soakReport) { r.Watch = &watching{samples: growing()} },
	} {
		r := sound()
		spoil(r)
		if missed := strings.Join(r.missed(), "\n"); !strings.Contains(missed, want) {
			t.Errorf("missed are %q, want %q", missed, want)
		}
	}
}

// growing are samples of a hub that never gives memory back.
func growing() (samples []soakSample) {
	for i := range 10 {
		samples = append(samples, soakSample{memory: int64(i) * soakGrowthRoom})
	}
	return samples
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	m := metricSet{parseMetrics([]byte("# HELP x y\nbusbar_broadcast_queue 3\n" +
		"busbar_broadcast_legs_total{module=\"locations\",outcome=\"ok\"} 1.5e+03\n" +
		"busbar_broadcast_legs_total{module=\"locations\",outcome=\"timeout\"} 0\n")), parseMetrics([]byte("busbar_broadcast_queue 4\n"))}
	if m.sum(queueMetric) != 7 || m.most(queueMetric) != 4 {
		t.Errorf("%v legs under way, %v at most, want 7 and 4", m.sum(queueMetric), m.most(queueMetric))
	}
	if legs := m.legs(); len(legs) != 1 || legs["ok"] != 1500 {
		t.Errorf("legs %v, want 1500 ok", legs)
	}
}
