package routing

import (
	"sync"
	"time"
)

const (
	// askAgain is how long an answer of the record stands for the next request
	// with the same key, whatever it was.
	askAgain = time.Second
	// mostLookups bounds the questions to the record in that time: whoever guesses
	// ids does not load it. Beyond, only memory answers.
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
	// downUntil is when a record that failed is asked again.
	downUntil, complained time.Time
}

// recently tells that the record needs no asking now.
func (a *lookups) recently(key LessonKey, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
	_, lately := a.keys[key]
	_, before := a.before[key]
	return lately || before || len(a.keys) >= mostLookups || now.Before(a.downUntil)
}

// note remembers that the record was asked for a key.
func (a *lookups) note(key LessonKey, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(now)
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
	switch age := now.Sub(a.since); {
	case a.keys == nil || age >= 2*askAgain:
		a.before, a.keys, a.since = nil, make(map[LessonKey]struct{}), now
	case age >= askAgain:
		a.before, a.keys, a.since = a.keys, make(map[LessonKey]struct{}), now
	}
}
