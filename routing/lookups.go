package routing

import (
	"sync"
	"time"
)

const (
	// missAgain is how long an answer of the record stands for the next request
	// with the same key, whatever it was; up to twice that. Not longer: another
	// replica may be writing what is missing.
	missAgain = 100 * time.Millisecond
	// askAgain is when a record that failed is asked again.
	askAgain = time.Second
	// mostLookups bounds the questions to the record in a second: whoever guesses
	// ids does not load it. Beyond, only memory answers. What memory knows, and is
	// only looked at again, leaves half of them to what it does not.
	mostLookups = 1000
	// complainAgain is how often a failing record is logged.
	complainAgain = time.Minute
)

// lookups remembers what the record was asked lately.
type lookups struct {
	mu    sync.Mutex
	since time.Time
	// keys were asked since then, before in the interval before it.
	keys, before map[LessonKey]struct{}
	// spent are the questions of the second that began at counting.
	spent    int
	counting time.Time
	// downUntil is when a record that failed is asked again.
	downUntil, complained time.Time
}

// recently tells that the record needs no asking now; known, that memory has
// something of the key.
func (a *lookups) recently(key LessonKey, known bool, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	_, lately := a.keys[key]
	_, before := a.before[key]
	most := mostLookups
	if known {
		most /= 2
	}
	return lately || before || a.spent >= most || now.Before(a.downUntil)
}

// note remembers that the record was asked for a key.
func (a *lookups) note(key LessonKey, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	a.spent++
	if len(a.keys) < mostLookups {
		a.keys[key] = struct{}{}
	}
}

// failed remembers that the record did not answer; it tells whether that is to
// be logged.
func (a *lookups) failed(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.downUntil = now.Add(askAgain)
	if !a.complained.IsZero() && now.Sub(a.complained) < complainAgain {
		return false
	}
	a.complained = now
	return true
}

// turn forgets what was asked long ago.
func (a *lookups) turn(now time.Time) {
	if now.Sub(a.counting) >= time.Second {
		a.spent, a.counting = 0, now
	}
	switch age := now.Sub(a.since); {
	case a.keys == nil || age >= 2*missAgain:
		a.before, a.keys, a.since = nil, make(map[LessonKey]struct{}), now
	case age >= missAgain:
		a.before, a.keys, a.since = a.keys, make(map[LessonKey]struct{}), now
	}
}
