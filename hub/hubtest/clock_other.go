//go:build !(linux && amd64)

package hubtest

import (
	"testing"
	"time"
)

// BendsClocks tells that BendClock works here.
const BendsClocks = false

// BendClock fails: the clock of one process can be bent on linux/amd64 only.
func BendClock(t testing.TB, _ time.Duration, _ ...int) {
	t.Helper()
	t.Fatal("the clock of one process can be bent on linux/amd64 only")
}

// Children is of use to BendClock only.
func Children(testing.TB, int) []int { return nil }
