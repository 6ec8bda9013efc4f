package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// state is what a push carries and a receiver then has of an object: counters
// by the name of their field. "n" rises with every push of the object.
type state map[string]int

// outcome is what a sender knows of a push.
type outcome int

const (
	accepted outcome = iota // answered 1000
	refused                 // answered anything else
	unknown                 // not answered: the hub may have it or not
)

// push is one PUT or PATCH of an object to the hub. Pushes of one object follow
// one another: none is sent before the last was answered or given up.
type push struct {
	object string
	whole  bool // a PUT
	fields state
	outcome
}

// arrival is one leg as it reached a receiver.
type arrival struct {
	object string
	whole  bool
	fields state
}

// story is what happened, from outside the hub.
type story struct {
	// pushes are in the order in which they were sent, by object.
	pushes map[string][]push
	// arrivals are in the order in which they arrived, by receiver.
	arrivals map[string][]arrival
	// meant tells which receivers an object is meant for.
	meant func(object, receiver string) bool
	// record is what each replica's catalog has, by object; Tokens are in none.
	record map[string]map[string]state
	// doubtful: what is refused may have been kept after all, since the answer of
	// the record could get lost as well.
	doubtful bool
}

// apply is what a receiver has after a push or leg.
func apply(before state, whole bool, fields state) state {
	after := state{}
	if !whole {
		maps.Copy(after, before)
	}
	maps.Copy(after, fields)
	return after
}

// possible are the states that an object may end in: one, unless it is not known
// what became of a push.
func (s *story) possible(object string) []state {
	states := []state{nil}
	for _, p := range s.pushes[object] {
		var after []state
		if p.outcome == unknown || p.outcome == refused && s.doubtful {
			after = slices.Clone(states)
		}
		if p.outcome == refused && !s.doubtful {
			continue
		}
		for _, before := range states {
			after = append(after, apply(before, p.whole, p.fields))
		}
		states = distinct(after)
	}
	return states
}

func distinct(states []state) []state {
	var out []state
	for _, s := range states {
		if !slices.ContainsFunc(out, func(o state) bool { return maps.Equal(o, s) }) {
			out = append(out, s)
		}
	}
	return out
}

func among(states []state, s state) bool {
	return slices.ContainsFunc(states, func(o state) bool { return maps.Equal(o, s) })
}

// complaints are the broken promises; none if the hub kept them all.
func (s *story) complaints() []string {
	var all []string
	ends := map[string][]state{}
	for object := range s.pushes {
		ends[object] = s.possible(object)
	}
	all = append(all, s.recordComplaints(ends)...)
	for _, receiver := range slices.Sorted(maps.Keys(s.arrivals)) {
		has, more := s.follow(receiver)
		all = append(all, more...)
		all = append(all, s.endComplaints(receiver, has, ends)...)
	}
	return all
}

// recordComplaints: the replicas agree, on what was accepted.
func (s *story) recordComplaints(ends map[string][]state) []string {
	var all []string
	replicas := slices.Sorted(maps.Keys(s.record))
	for _, replica := range replicas {
		record := s.record[replica]
		for _, object := range slices.Sorted(maps.Keys(ends)) {
			if kept(object) && !maps.Equal(record[object], s.record[replicas[0]][object]) {
				all = append(all, fmt.Sprintf("the catalogs differ in %s: %s has %v, %s %v",
					object, replicas[0], s.record[replicas[0]][object], replica, record[object]))
			}
		}
		for _, object := range slices.Sorted(maps.Keys(ends)) {
			if kept(object) && !among(ends[object], record[object]) {
				all = append(all, fmt.Sprintf("the catalog of %s has %s as %v, want %v", replica, object, record[object], ends[object]))
			}
		}
		for object := range record {
			if s.pushes[object] == nil {
				all = append(all, fmt.Sprintf("the catalog of %s has %s, which nobody pushed", replica, object))
			}
		}
	}
	return all
}

// kept tells that the catalog keeps an object.
func kept(object string) bool { return strings.HasPrefix(object, "locations/") }

// follow takes a receiver through what arrived: no counter falls, and nothing
// arrives that was not pushed.
func (s *story) follow(receiver string) (map[string]state, []string) {
	var all []string
	has := map[string]state{}
	for i, a := range s.arrivals[receiver] {
		before := has[a.object]
		if a.fields["n"] < before["n"] {
			all = append(all, fmt.Sprintf("%s: leg %d brings %s from %d back to %d", receiver, i, a.object, before["n"], a.fields["n"]))
		}
		if !s.wasSent(a) {
			all = append(all, fmt.Sprintf("%s: leg %d of %s has n %d, which was refused or never pushed", receiver, i, a.object, a.fields["n"]))
		}
		has[a.object] = apply(before, a.whole, a.fields)
	}
	return has, all
}

func (s *story) wasSent(a arrival) bool {
	return slices.ContainsFunc(s.pushes[a.object], func(p push) bool {
		return p.fields["n"] == a.fields["n"] && (p.outcome != refused || s.doubtful)
	})
}

// endComplaints: a receiver has in the end what the catalogs have, and of what
// these do not keep the newest that was accepted.
func (s *story) endComplaints(receiver string, has map[string]state, ends map[string][]state) []string {
	var all []string
	for _, object := range slices.Sorted(maps.Keys(ends)) {
		if !s.meant(object, receiver) {
			continue
		}
		want := ends[object]
		for _, record := range s.record {
			if kept(object) {
				want = []state{record[object]}
			}
		}
		if !among(want, has[object]) {
			all = append(all, fmt.Sprintf("%s has %s as %v, want %v", receiver, object, has[object], want))
		}
	}
	return all
}

// totals are the counts of a story.
type totals struct {
	accepted, refused, unknown int
	objects, legs, receivers   int
}

func (s *story) totals() totals {
	var t totals
	for _, pushes := range s.pushes {
		t.objects++
		for _, p := range pushes {
			switch p.outcome {
			case accepted:
				t.accepted++
			case refused:
				t.refused++
			default:
				t.unknown++
			}
		}
	}
	for _, arrivals := range s.arrivals {
		t.receivers++
		t.legs += len(arrivals)
	}
	return t
}

// String implements fmt.Stringer.
func (t totals) String() string {
	return fmt.Sprintf("%d pushes of %d objects accepted, %d refused, %d not answered; %d legs to %d receivers",
		t.accepted, t.objects, t.refused, t.unknown, t.legs, t.receivers)
}
