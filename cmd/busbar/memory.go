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
		(&collection{percent: 100}).watch()
	}
}

// collection becomes garbage at once, so that its finalizer tells of the next
// collection.
type collection struct{ percent int }

func (c *collection) watch() {
	runtime.SetFinalizer(c, func(c *collection) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		// Setting it stops the world for a moment.
		if percent := gcPercent(live[0].Value.Uint64()); percent*10 < c.percent*9 || percent*9 > c.percent*10 {
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
