//go:build linux

package main

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	at := func(pushed int, delivered uint64) progress { return progress{begin, pushed, delivered} }
	window := pace{Window: 10, Receivers: 100}
	for _, c := range []struct {
		name        string
		pace        pace
		at          progress
		after       time.Duration
		ended, full bool
		due         time.Duration // since the beginning
	}{
		{name: "nothing bounds it", at: at(1_000_000, 0), after: time.Hour},
		{name: "the count is not reached", pace: pace{Count: 5}, at: at(4, 0)},
		{name: "the count is reached", pace: pace{Count: 5}, at: at(5, 0), ended: true},
		{name: "the time has not passed", pace: pace{Duration: time.Second}, at: at(9, 0), after: time.Second - 1},
		{name: "the time has passed", pace: pace{Duration: time.Second}, at: at(9, 0), after: time.Second, ended: true},
		{name: "the window has room", pace: window, at: at(9, 0)},
		{name: "the window is full", pace: window, at: at(10, 0), full: true},
		{name: "half a push delivered makes no room", pace: window, at: at(10, 99), full: true},
		{name: "a push delivered makes room", pace: window, at: at(10, 100)},
		{name: "the first is due at once", pace: pace{Interval: time.Millisecond}, at: at(0, 0)},
		{name: "the third after two intervals", pace: pace{Interval: time.Millisecond}, at: at(2, 0), due: 2 * time.Millisecond},
	} {
		if got := c.pace.ended(c.at, begin.Add(c.after)); got != c.ended {
			t.Errorf("%s: ended %v", c.name, got)
		}
		if got := c.pace.full(c.at); got != c.full {
			t.Errorf("%s: full %v", c.name, got)
		}
		if got := c.pace.due(c.at).Sub(begin); got != c.due {
			t.Errorf("%s: due after %v, want %v", c.name, got, c.due)
		}
	}
	if got := window.room(at(20, 1000)); got != 1500 {
		t.Errorf("waits for %d deliveries, want 1500: half the window", got)
	}
	if got := window.expected(at(20, 1000)); got != 2000 {
		t.Errorf("expects %d deliveries, want 2000", got)
	}
}
