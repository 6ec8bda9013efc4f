//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// waiting is how the load generator and the backend, a contestant's partners,
// wait for something to do.
type waiting string

const (
	// polling partners look again at once: a contestant's write finds no
	// sleeper to wake. It takes a core for each.
	polling waiting = "poll"
	// blocking partners sleep. Whoever writes to them pays for the wake.
	blocking waiting = "block"
)

// lingerTime is how long polling goes on after the last thing to do. It is
// longer than the pause between two slices and ends soon after a phase.
const lingerTime = 50 * time.Millisecond

// parseWaiting reads the flag; empty leaves the choice to the cores.
func parseWaiting(text string) (waiting, error) {
	switch w := waiting(text); w {
	case "", polling, blocking:
		return w, nil
	}
	return "", fmt.Errorf("partners either %s or %s, not %q", polling, blocking, text)
}

// on settles how to wait on these cores. Polling where all share would steal
// what the contestants are to run on.
func (w waiting) on(c cores) (waiting, error) {
	switch {
	case w == "" && c.pinned():
		return polling, nil
	case w == "":
		return blocking, nil
	case w == polling && !c.pinned():
		return "", errors.New("-partners poll needs four cores: one each for the load generator and the backend")
	}
	return w, nil
}

// linger is how long to poll before sleeping.
func (w waiting) linger() time.Duration {
	if w == polling {
		return lingerTime
	}
	return 0
}

func (w waiting) String() string {
	if w == polling {
		return "partners poll: contestants wake nobody; busy is the share of time in which a partner found work"
	}
	return "partners block: whoever writes to a sleeping load generator or backend is charged for waking it; busy is their CPU"
}
