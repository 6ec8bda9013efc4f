package rediscache

import (
	"slices"
	"sort"
)

// shelf are the broadcasts of this replica that Redis has in one stream, by
// rising id, some of which have ended.
type shelf struct {
	list []*open
	// idle counts those that have ended.
	idle int
	// looked is up to where it was looked which of them are left; zero is from the
	// start.
	looked streamID
}

// find is the broadcast of an entry, if it has not ended.
func (s *shelf) find(id streamID) *open {
	i := s.place(id)
	if i == len(s.list) || s.list[i].id != id || s.list[i].over {
		return nil
	}
	return s.list[i]
}

// place is where the first that is not before an id stands.
func (s *shelf) place(id streamID) int {
	return sort.Search(len(s.list), func(i int) bool { return !s.list[i].id.before(id) })
}

// open is how many have not ended.
func (s *shelf) open() int { return len(s.list) - s.idle }

// tidy drops those that have ended, now and then: one slow receiver may hold the
// first for hours, while all others pass.
func (s *shelf) tidy() {
	if s.idle == 0 || s.idle < len(s.list) && s.idle < 64 || s.idle < len(s.list)/2 {
		return
	}
	s.list = slices.DeleteFunc(s.list, func(o *open) bool { return o.over })
	s.idle = 0
}

// cutOff drops those that Redis has lost, which are the last.
func (s *shelf) cutOff() {
	s.list = slices.DeleteFunc(s.list, func(o *open) bool { return o.over || o.call == 0 })
	s.idle, s.looked = 0, streamID{}
}
