package web

import (
	"fmt"
	"testing"
	"time"
)

func TestBrake_LetsGuessOneEverySixSeconds(t *testing.T) {
	t.Parallel()
	b, now := newBrake(), time.Date(2026, 1, 5, 9, 30, 0, 0, time.UTC)
	for i := range 10 {
		if wait := b.guessed("192.0.2.1", now); wait != 0 {
			t.Fatalf("guess %d waits %s", i+1, wait)
		}
	}
	for range 100 { // those that were refused cost nothing
		if wait := b.guessed("192.0.2.1", now); wait != 6*time.Second {
			t.Fatalf("guess 11 waits %s", wait)
		}
	}
	if wait := b.guessed("192.0.2.1", now.Add(6*time.Second)); wait != 0 {
		t.Errorf("after six seconds a guess waits %s", wait)
	}
	if wait := b.guessed("192.0.2.1", now.Add(6*time.Second)); wait == 0 {
		t.Error("after six seconds there are two guesses")
	}
}

func TestBrake_Neighbourhoods(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1/32",
		"::ffff:192.0.2.1":   "192.0.2.1/32",
		"2001:db8::1":        "2001:db8::/64",
		"2001:db8::ffff:1":   "2001:db8::/64",
		"2001:db8:0:1::1":    "2001:db8:0:1::/64",
		"fe80::1%eth0":       "fe80::/64",
		"":                   "invalid Prefix",
		"@":                  "invalid Prefix",
		"/run/busbar.socket": "invalid Prefix",
	} {
		if got := neighbourhood(address).String(); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}

// However many addresses guess, the memory is bounded, and those that find no
// room are braked together.
func TestBrake_IsBounded(t *testing.T) {
	t.Parallel()
	b, now := newBrake(), time.Date(2026, 1, 5, 9, 30, 0, 0, time.UTC)
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
	braked := 0
	for i := range 3 * maxGuessers {
		if b.guessed(address(i), now) > 0 {
			braked++
		}
	}
	if len(b.guessers) != maxGuessers || braked != 2*maxGuessers-guessesAtOnce {
		t.Errorf("%d addresses are kept, and %d guesses were braked", len(b.guessers), braked)
	}
	// Who has not guessed for a while is forgotten.
	later := now.Add(guessEvery)
	if b.guessed("192.0.2.1", later) != 0 || len(b.guessers) != 1 {
		t.Errorf("%d addresses are kept a while later", len(b.guessers))
	}
}
