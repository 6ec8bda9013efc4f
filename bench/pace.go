//go:build linux

package main

import "time"

// pace says when the next push is to go out. What is pushed goes out as fast as
// the answers come unless a window or an interval holds it back.
type pace struct {
	// Count ends after so many pushes, Duration after that time; zero is no
	// end.
	Count    int           `json:"count,omitempty"`
	Duration time.Duration `json:"duration,omitempty"`
	// Window is the most pushes whose deliveries have not all arrived at the
	// backend: a hub answers a broadcast before it has sent it, so that the
	// answers hold nobody back. Zero is no bound.
	Window int `json:"window,omitempty"`
	// Receivers are the deliveries that each push leads to; zero when nobody
	// receives.
	Receivers int `json:"receivers,omitempty"`
	// Interval is the open loop: a push each time that it has passed, whatever
	// has arrived.
	Interval time.Duration `json:"interval,omitempty"`
}

// progress is how far a pace has come.
type progress struct {
	Begin     time.Time
	Pushed    int
	Delivered uint64
}

// ended tells that nothing more is to be pushed.
func (p pace) ended(at progress, now time.Time) bool {
	return p.Count > 0 && at.Pushed >= p.Count || p.Duration > 0 && now.Sub(at.Begin) >= p.Duration
}

// due is when the next push is due; a time to come means that it must wait.
func (p pace) due(at progress) time.Time {
	return at.Begin.Add(time.Duration(at.Pushed) * p.Interval)
}

// full tells that the deliveries of earlier pushes must arrive first.
func (p pace) full(at progress) bool {
	return p.Window > 0 && at.Pushed-int(at.Delivered)/p.Receivers >= p.Window
}

// room is how many deliveries must have arrived so that half the window is
// free: one question for many pushes.
func (p pace) room(at progress) uint64 {
	return uint64(at.Pushed-p.Window/2) * uint64(p.Receivers)
}

// expected are the deliveries of all pushes so far.
func (p pace) expected(at progress) uint64 { return uint64(at.Pushed) * uint64(p.Receivers) }
