package parties

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

func TestRollListsEveryPartyOnEveryPlatform(t *testing.T) {
	t.Parallel()
	d := directory()
	roll := func() []string {
		var lines []string
		for _, m := range d.Snapshot().Roll() {
			lines = append(lines, fmt.Sprint(m.Party, " ", m.Entry.Platform.ID, " ", m.Roles))
		}
		return lines
	}
	older, newer, planned := at(t, "a", "NLBBB", 1), at(t, "b", "NLBBB", 2), at(t, "c", "NLAAA", 3)
	newer.CreatedAt = time.Unix(1, 0)
	also := newer.Roles[0]
	also.Role = ocpi.RoleEMSP
	newer.Roles = append(newer.Roles, also)
	planned.Approved, planned.Roles = []ocpi.PartyRole{planned.Roles[0].PartyRole}, nil
	d.Apply(newer, 2)
	if diff := cmp.Diff([]string{"NLBBB b [CPO EMSP]"}, roll()); diff != "" {
		t.Error(diff)
	}
	d.Apply(planned, 3)
	d.Apply(older, 1)
	want := []string{"NLAAA c [CPO]", "NLBBB a [CPO]", "NLBBB b [CPO EMSP]"}
	if diff := cmp.Diff(want, roll()); diff != "" {
		t.Errorf("after a change:\n%s", diff)
	}
	s := d.Snapshot()
	if !slices.EqualFunc(s.Roll(), s.Roll(), func(a, b Member) bool { return a.Entry == b.Entry }) {
		t.Error("one snapshot, two rolls")
	}
}
