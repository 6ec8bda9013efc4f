package routing

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"busbar/ocpi"
)

// TestR3_NothingIsSentBehindAStateThatHasIt: a state is sent for a broadcast that
// comes again, by this replica or by the one before; what follows in the log may be
// older than the state.
func TestR3_NothingIsSentBehindAStateThatHasIt(t *testing.T) {
	t.Parallel()
	fresh := func(revision int64) Handed { return Handed{Broadcast: &Broadcast{Revision: revision}} }
	again := func(revision int64) Handed {
		return Handed{Broadcast: &Broadcast{Revision: revision}, Again: true, Newest: 3}
	}
	overtaken := func(h Handed) Handed { h.Overtaken = true; return h }
	const before = "another replica's"
	for name, test := range map[string]struct {
		tenure string // whose the part of the log was before; of a shared one
		has    int64  // the revision that wrote the object in the catalog
		handed []Handed
		want   []string
	}{
		"fresh ones, of a log that is not shared":     {"", 8, []Handed{fresh(6), fresh(7), fresh(8)}, []string{"6", "7", "8"}},
		"after one that came again":                   {"", 8, []Handed{again(3), fresh(6), fresh(8), fresh(9)}, []string{"state 8", "9"}},
		"after some that came again":                  {"", 8, []Handed{again(3), again(4), again(5), fresh(9)}, []string{"state 8", "9"}},
		"after one that came again and is the newest": {"", 3, []Handed{again(3), fresh(4)}, []string{"3", "4"}},
		"one that its batch overtook, fresh":          {"", 8, []Handed{overtaken(fresh(8)), fresh(8)}, []string{"8", "8"}},
		"the same, again":                             {"", 8, []Handed{overtaken(again(8)), again(8)}, []string{"state 8"}},
		"the same, and it alone had not ended":        {"", 8, []Handed{overtaken(again(8)), fresh(9)}, []string{"state 8", "9"}},
		"two that were, the second fresh":             {"", 8, []Handed{overtaken(again(8)), overtaken(fresh(8)), fresh(9)}, []string{"state 8", "9"}},
		"two that were, behind an older state":        {"", 8, []Handed{again(3), overtaken(fresh(8)), overtaken(fresh(8)), fresh(8), fresh(9)}, []string{"state 8", "9"}},
		"one that another may have sent":              {before, 8, []Handed{overtaken(fresh(8)), fresh(9)}, []string{"state 8", "9"}},
		"what another replica may have had sent":      {before, 8, []Handed{fresh(6), fresh(7), fresh(8), fresh(9)}, []string{"state 8", "9"}},
		"the newest that another may have sent":       {before, 8, []Handed{fresh(8), fresh(9)}, []string{"8", "9"}},
		"what no other can have sent":                 {before, 8, []Handed{fresh(9), fresh(10)}, []string{"9", "10"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			s.set("x1", "state", test.has)
			f, _ := catching(t, s)
			var got []string
			f.cfg.Receivers = func(b *Broadcast) []Leg {
				text := fmt.Sprint(b.Revision)
				if string(b.Body) == "state" {
					text = "state " + text
				}
				if b.Method != "" {
					got = append(got, text)
				}
				return nil
			}
			var tenure *Tenure
			if test.tenure == before {
				tenure = new(Tenure)
			}
			ended := 0
			for _, h := range test.handed {
				was := h.Overtaken
				h.Broadcast = handed(t, ocpi.ModuleLocations, "PATCH", "/NL/CPA/X1/E1", h.Revision)
				h.Overtaken = was
				h.Tenure, h.Done = tenure, func() { ended++ }
				f.Deliver(h)
			}
			if !slices.Equal(got, test.want) || ended != len(test.handed) {
				t.Errorf("sent %q, want %q; %d of %d ended", got, test.want, ended, len(test.handed))
			}
		})
	}
}

// TestR3_ToCatchUpWithAllThereIsSaysNothingOfWhatComesLater: an emptied Redis does
// not know what is newest, and asks for everything, each time.
func TestR3_ToCatchUpWithAllThereIsSaysNothingOfWhatComesLater(t *testing.T) {
	t.Parallel()
	s := newShelf()
	s.set("x1", "state", 5)
	asked := 0
	s.caughtUp = func(context.Context, int64) error { asked++; return nil }
	f, _ := catching(t, s)
	for range 3 {
		f.Deliver(Handed{Broadcast: handed(t, ocpi.ModuleLocations, "PUT", "/NL/CPA/X1", 5), Again: true, Newest: everything})
	}
	if asked != 3 {
		t.Errorf("the catalog was asked %d times, want 3", asked)
	}
}

func TestR3_ATenureRemembersABoundedNumberOfObjects(t *testing.T) {
	t.Parallel()
	var tenure Tenure
	for n := range mostAhead + 1 {
		tenure.goAhead(fmt.Sprint("x", n), int64(n+1))
	}
	if len(tenure.ahead) != 1 || tenure.floor != mostAhead {
		t.Errorf("it has %d objects above %d", len(tenure.ahead), tenure.floor)
	}
	if passed, doubtful := tenure.passed(&Broadcast{Object: "x7", Revision: 7}); passed || !doubtful {
		t.Errorf("of what it forgot it says passed %t, doubtful %t", passed, doubtful)
	}
}
