//go:build linux

package main

import (
	"testing"
	"time"
)

func TestSpreadOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		values []float64
		want   spread
	}{
		{"nothing", nil, spread{}},
		{"one value is all three", []float64{3}, spread{3, 3, 3}},
		{"unsorted, odd", []float64{5, 1, 4, 2, 3}, spread{2, 3, 4}},
		{"even: between the neighbours", []float64{4, 1, 3, 2}, spread{1.75, 2.5, 3.25}},
		{"an outlier moves nothing", []float64{1, 1, 1, 1, 1000}, spread{1, 1, 1}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A slow minute slows both contestants of a round: the ratio must not see it.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	var rounds []round
	for slowness := range 4 {
		unit := time.Duration(slowness+1) * time.Second
		rounds = append(rounds, round{
			"hub":   {Requests: 1000, CPU: 3 * unit, Elapsed: unit},
			"nginx": {Requests: 2000, CPU: 4 * unit, Elapsed: unit},
		})
	}
	if got := cpuRatio(rounds, "hub", "nginx"); got != (spread{1.5, 1.5, 1.5}) {
		t.Errorf("CPU ratio %+v, want 1.5", got)
	}
	if got := rateRatio(rounds, "hub", "nginx"); got != (spread{0.5, 0.5, 0.5}) {
		t.Errorf("rate ratio %+v, want 0.5", got)
	}
}
