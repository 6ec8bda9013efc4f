package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is what the process may allocate between two collections, in bytes.
//
// By itself the collector runs when the heap has doubled. A hub that only routes
// holds a few MiB and would collect many times a second (3 % of its CPU); one
// that holds half a million Locations would keep as much room again that it
// never needs.
const headroom = 96 << 20

// keepHeadroom lets the collector run whenever headroom has been allocated,
// however much is alive. An operator who sets GOGC decides otherwise.
func keepHeadroom() {
	if os.Getenv("GOGC") == "" {
		c := &collection{percent: 100}
		c.live[0].Name = "/gc/heap/live:bytes"
		c.watch()
	}
}

// collection becomes garbage at once, so that its finalizer tells of the next
// collection.
type collection struct {
	percent int
	live    [1]metrics.Sample
}

func (c *collection) watch() {
	runtime.SetFinalizer(c, func(c *collection) {
		metrics.Read(c.live[:])
		// Setting it stops the world for a moment.
		if percent := gcPercent(c.live[0].Value.Uint64()); percent*10 < c.percent*9 || percent*9 > c.percent*10 {
			debug.SetGCPercent(percent)
			c.percent = percent
		}
		c.watch()
	})
}

// gcPercent is headroom as a share of what is alive: GOGC.
func gcPercent(live uint64) int {
	const least, most = 10, 3000
	return int(min(most, max(least, headroom*100/max(live, 1))))
}
