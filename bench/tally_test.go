//go:build linux

package main

import (
	"testing"
	"time"
)

func TestTallyCountsWhileItIsOn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	head := func(due time.Time) []byte {
		r := newRequest(patchEVSE(), "h", caller{}, partyNumber(0))
		r.readdress(partyNumber(1), dueDigits(due))
		h, _, err := newWire(bytesReader(r.bytes)).next()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	var tl tally
	tl.count(head(now), nil, now)
	if tl.delivered != 0 {
		t.Error("it counts before it was asked to")
	}
	if !tl.ask("reset", 3) {
		t.Error("a reset waits")
	}
	if tl.ask("2", 3) || tl.satisfied() {
		t.Error("2 deliveries are there before they came")
	}
	for i := range 2 {
		if tl.satisfied() {
			t.Errorf("satisfied with %d of 2", i)
		}
		tl.count(head(now.Add(-time.Duration(i+1)*time.Millisecond)), []byte("body"), now)
	}
	if !tl.satisfied() || !tl.ask("2", 4) || !tl.ask("off", 4) {
		t.Error("2 deliveries are there, and it waits")
	}
	tl.count(head(now), nil, now)
	_, body, err := newWire(bytesReader(tl.answer())).next()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseTallied(body)
	if err != nil || got.Delivered != 2 || got.P50 > 2*time.Millisecond || got.P99 < 1900*time.Microsecond {
		t.Errorf("told %+v, %v", got, err)
	}
	if want := string(head(now.Add(-2*time.Millisecond))) + "\r\n\r\nbody"; string(got.Last) != want {
		t.Errorf("the last is %q, want %q", got.Last, want)
	}
}

func TestDueIsReadAcrossTheRound(t *testing.T) {
	t.Parallel()
	before := time.UnixMicro(5*dueRound - 3)
	if got := sinceDue(dueDigits(before), before.Add(5*time.Microsecond)); got != 5*time.Microsecond {
		t.Errorf("%v since it was due, want 5µs", got)
	}
	for _, bad := range []string{"", correlationPrefix + "12345", correlationPrefix + "12345678901x"} {
		if _, ok := dueOf([]byte(bad)); ok {
			t.Errorf("%q says when it was due", bad)
		}
	}
}

func TestLagSteps(t *testing.T) {
	t.Parallel()
	for _, us := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 1000, 12345, 1 << 20, 1<<30 + 12345} {
		step := lagStep(us)
		least, next := lagOf(step), lagOf(step+1)
		if us < least || us >= next {
			t.Errorf("%d µs is in the step from %d to %d", us, least, next)
		}
		if us > 0 && float64(next-1-least) > 0.016*float64(us) {
			t.Errorf("the step of %d µs goes from %d to %d", us, least, next)
		}
	}
}

func TestLagQuantiles(t *testing.T) {
	t.Parallel()
	var l lags
	if l.quantile(0.99) != 0 {
		t.Error("no lags have a quantile")
	}
	for i := range 1000 {
		l.add(time.Duration(i) * time.Microsecond)
	}
	l.add(100 * time.Hour) // more than the histogram has
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond} {
		if got := l.quantile(q); got > want || got < want-want/60 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}
