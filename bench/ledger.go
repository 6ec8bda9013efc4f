//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// ledger is what receivers saw of EVSEs. A push is known by its last_updated: the
// soak gives each the microsecond at which it was due, and no EVSE two at once.
type ledger struct {
	// evses number the EVSEs that were pushed, by their path: NL/ABC/LOC1/1.
	evses map[string]int32
	// truth is what was accepted.
	truth []sight
}

// sight is what is known of one EVSE.
type sight struct {
	// states are how many states of it there were, the last with this
	// last_updated, in microseconds.
	states uint32
	last   int64
}

// sights are what one receiver saw.
type sights struct {
	evses []sight
	// pushes are all; presents, of them, are PUTs of a whole Location: what a lane
	// that was full owed. duplicates came with a state that was there already,
	// disordered with one that is older.
	pushes, presents, duplicates, disordered, unreadable uint64
	lags                                                 lags
	// latest is the longest lag.
	latest time.Duration
}

func newLedger() ledger { return ledger{evses: make(map[string]int32)} }

// take notes a push to the path below the locations endpoint.
func (l *ledger) take(s *sights, path, body []byte, whole bool, now time.Time) {
	s.pushes++
	if whole {
		s.presents++
		l.takeWhole(s, path, body)
		return
	}
	at, ok := updatedOf(body)
	if !ok {
		s.unreadable++
		return
	}
	lag := now.Sub(time.UnixMicro(at))
	s.lags.add(max(0, lag))
	s.latest = max(s.latest, lag)
	seen := s.of(l.number(path))
	switch {
	case at > seen.last:
		seen.last = at
		seen.states++
	case at == seen.last:
		s.duplicates++
	default:
		s.disordered++
	}
}

// takeWhole notes the EVSEs of a Location that were pushed in the soak: their
// last_updated has microseconds. A state that came before in this way is no
// duplicate, but an older one is out of order.
func (l *ledger) takeWhole(s *sights, path, body []byte) {
	var location struct {
		EVSEs []struct {
			UID         string `json:"uid"`
			LastUpdated string `json:"last_updated"`
		} `json:"evses"`
	}
	if json.Unmarshal(body, &location) != nil {
		s.unreadable++
		return
	}
	for _, e := range location.EVSEs {
		at, ok := microsOf([]byte(e.LastUpdated))
		if !ok {
			continue
		}
		seen := s.of(l.number([]byte(string(path) + "/" + e.UID)))
		switch {
		case at > seen.last:
			seen.last = at
			seen.states++
		case at < seen.last:
			s.disordered++
		}
	}
}

func (l *ledger) number(path []byte) int32 {
	n, ok := l.evses[string(path)]
	if !ok {
		n = int32(len(l.evses))
		l.evses[string(path)] = n
	}
	return n
}

func (s *sights) of(n int32) *sight {
	for len(s.evses) <= int(n) {
		s.evses = append(s.evses, sight{})
	}
	return &s.evses[n]
}

// stampLayout is the last_updated of a push, in UTC.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// updatedOf finds it in the body of a PATCH.
func updatedOf(body []byte) (int64, bool) {
	const name = `"last_updated":"`
	i := bytes.LastIndex(body, []byte(name))
	if i < 0 || len(body) < i+len(name)+len(stampLayout) {
		return 0, false
	}
	return microsOf(body[i+len(name):][:len(stampLayout)])
}

func microsOf(stamp []byte) (int64, bool) {
	if len(stamp) != len(stampLayout) {
		return 0, false
	}
	at, err := time.Parse(stampLayout, string(stamp))
	return at.UnixMicro(), err == nil
}

// learn takes in what was accepted, a line for each EVSE: path, number of states,
// microsecond of the last.
func (l *ledger) learn(lines []byte) error {
	for line := range bytes.Lines(lines) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			return fmt.Errorf("line %q has not three fields", line)
		}
		states, err := strconv.ParseUint(string(fields[1]), 10, 32)
		if err != nil {
			return err
		}
		last, err := strconv.ParseInt(string(fields[2]), 10, 64)
		if err != nil {
			return err
		}
		n := l.number(fields[0])
		for len(l.truth) <= int(n) {
			l.truth = append(l.truth, sight{})
		}
		l.truth[n] = sight{uint32(states), last}
	}
	return nil
}

// receiverReport compares what a receiver saw with what was accepted.
type receiverReport struct {
	Name  string `json:"name"`
	Worst mood   `json:"worst"`
	// Pushes are all that it answered, Presents those of whole Locations.
	Pushes   uint64 `json:"pushes"`
	Presents uint64 `json:"presents"`
	// States are those it saw; Skipped are accepted ones that it did not see, of
	// EVSEs of which it has the last; Missed those of EVSEs of which it has not:
	// there are Stale of them. Unknown states nobody accepted.
	States  uint64 `json:"states"`
	Skipped uint64 `json:"skipped"`
	Missed  uint64 `json:"missed"`
	Stale   uint64 `json:"stale"`
	Unknown uint64 `json:"unknown"`

	Duplicates uint64        `json:"duplicates"`
	Disordered uint64        `json:"disordered"`
	Unreadable uint64        `json:"unreadable"`
	P99        time.Duration `json:"p99"`
	Max        time.Duration `json:"max"`
}

func (l *ledger) judge(name string, r *receiver) receiverReport {
	report := receiverReport{
		Name: name, Worst: r.worst, Pushes: r.pushes, Presents: r.presents,
		Duplicates: r.duplicates, Disordered: r.disordered, Unreadable: r.unreadable,
		P99: r.lags.quantile(0.99), Max: r.latest,
	}
	for n := range max(len(l.truth), len(r.evses)) {
		var accepted sight
		if n < len(l.truth) {
			accepted = l.truth[n]
		}
		seen := *r.of(int32(n))
		report.States += uint64(seen.states)
		switch {
		case seen.states > accepted.states || seen.last > accepted.last:
			report.Unknown++
		case seen.last < accepted.last:
			report.Stale++
			report.Missed += uint64(accepted.states - seen.states)
		default:
			report.Skipped += uint64(accepted.states - seen.states)
		}
	}
	return report
}

// merge adds another histogram.
func (l *lags) merge(other *lags) {
	for step, n := range other.counts {
		l.counts[step] += n
	}
	l.total += other.total
}
