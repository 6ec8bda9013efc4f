package main

import "testing"

func TestHeadroomIsTheSameWhateverIsAlive(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: 3000, 1 << 20: 3000, 4 << 20: 2400, 96 << 20: 100, 192 << 20: 50, 384 << 20: 25, 1 << 30: 10, 1 << 40: 10,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB alive: GOGC %d, want %d", live>>20, got, want)
		}
	}
}
