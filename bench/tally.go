//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// tallyPath is where the backend tells what was delivered:
//
//	GET /TALLY/reset  begins anew
//	GET /TALLY/{n}    answers as soon as n deliveries have arrived since
//	GET /TALLY/off    answers at once and counts no more
const tallyPath = "/TALLY/"

// tallied is the answer's data.
type tallied struct {
	Delivered uint64 `json:"delivered"`
	// P50 and P99 are how long deliveries took since they were due.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	// Last is the delivery that arrived last, head and body.
	Last []byte `json:"last"`
}

// tally counts the pushes that arrive at the backend, while it is on.
type tally struct {
	on        bool
	delivered uint64
	lags      lags
	last      []byte
	// waiting is the connection that wants to know when there are so many;
	// zero when none does.
	waiting int32
	wanted  uint64
}

// count takes note of a delivery.
func (t *tally) count(head, body []byte, now time.Time) {
	if !t.on {
		return
	}
	t.delivered++
	if due, ok := dueOf(head); ok {
		t.lags.add(sinceDue(due, now))
	}
	t.last = append(append(append(t.last[:0], head...), "\r\n\r\n"...), body...)
}

// ask handles a request below tallyPath from the connection fd; false leaves it
// waiting.
func (t *tally) ask(what string, fd int32) bool {
	switch what {
	case "reset":
		*t = tally{on: true, last: t.last[:0]}
	case "off":
		t.on = false
	default:
		wanted, err := strconv.ParseUint(what, 10, 64)
		if err == nil && wanted > t.delivered {
			t.waiting, t.wanted = fd, wanted
			return false
		}
	}
	return true
}

// satisfied tells that somebody waits for no longer.
func (t *tally) satisfied() bool { return t.waiting != 0 && t.delivered >= t.wanted }

func (t *tally) answer() []byte {
	return answered(tallied{t.delivered, t.lags.quantile(0.5), t.lags.quantile(0.99), t.last})
}

// parseTallied reads the answer's body.
func parseTallied(body []byte) (tallied, error) {
	var answer struct {
		Data tallied `json:"data"`
	}
	err := json.Unmarshal(body, &answer)
	return answer.Data, err
}

// askedFor is what of the tally a request line asks for.
func askedFor(line []byte) (what string, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte("GET "+tallyPath))
	what, _, _ = strings.Cut(string(rest), " ")
	return what, ok
}

// A push carries when it was due in the last digits of its X-Correlation-ID,
// which a hub must keep: microseconds of the machine's clock, of which idDigits
// come round every eleven days.
const dueRound = 1_000_000_000_000

func dueDigits(due time.Time) uint64 { return uint64(due.UnixMicro()) % dueRound }

// dueOf finds those digits in a head.
func dueOf(head []byte) (uint64, bool) {
	i := bytes.Index(head, []byte(correlationPrefix))
	if i < 0 || len(head) < i+len(correlationPrefix)+idDigits {
		return 0, false
	}
	var due uint64
	for _, digit := range head[i+len(correlationPrefix):][:idDigits] {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		due = due*10 + uint64(digit-'0')
	}
	return due, true
}

func sinceDue(due uint64, now time.Time) time.Duration {
	return time.Duration((dueDigits(now)+dueRound-due)%dueRound) * time.Microsecond
}

// lags is a histogram of microseconds in steps of at most 1.6 %.
type lags struct {
	counts [40 << lagBits]uint32
	total  uint64
}

const lagBits = 6

func (l *lags) add(lag time.Duration) {
	l.counts[min(lagStep(uint64(lag/time.Microsecond)), len(l.counts)-1)]++
	l.total++
}

// lagStep numbers the steps: up to 2^lagBits each value is one, then each
// doubling has as many.
func lagStep(us uint64) int {
	if us < 1<<lagBits {
		return int(us)
	}
	shift := bits.Len64(us) - lagBits - 1
	return shift<<lagBits + int(us>>shift)
}

// lagOf is the least of a step.
func lagOf(step int) uint64 {
	if step < 2<<lagBits {
		return uint64(step)
	}
	shift := step>>lagBits - 1
	return uint64(step-shift<<lagBits) << shift
}

// quantile is zero when nothing was counted.
func (l *lags) quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.total))
	for step, n := range l.counts {
		if uint64(n) > rank {
			return time.Duration(lagOf(step)) * time.Microsecond
		}
		rank -= uint64(n)
	}
	return 0
}
