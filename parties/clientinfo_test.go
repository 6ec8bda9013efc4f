package parties

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"busbar/ocpi"
)

func TestHCI_ThePagesAreOneList(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, newMemory(), 0)
	m.has(member(t, "asking", "DEMSP EMSP"))
	for i := range 7 {
		p := member(t, PlatformID(fmt.Sprint(i)), fmt.Sprintf("NLA%d CPO", i), fmt.Sprintf("NLB%d EMSP", i))
		p.CreatedAt, p.StatusSince = time.Unix(int64(100-i/2), 0), time.Unix(int64(1000+i), 999_999)
		m.has(p)
	}
	s := m.directory.Snapshot()
	asking := s.Platform("asking")
	all, total := s.ClientInfos(asking, ocpi.Paging{Limit: 100})
	if len(all) != 14 || total != 14 || all[0].PartyID != "A6" {
		t.Fatalf("%d of %d, first %v", len(all), total, all[0])
	}
	for _, limit := range []int{1, 3, 5, 14} {
		var paged []ocpi.ClientInfo
		for offset := 0; offset < 20; offset += limit {
			page, n := s.ClientInfos(asking, ocpi.Paging{Limit: limit, Offset: offset})
			if n != 14 {
				t.Errorf("limit %d, offset %d: %d match", limit, offset, n)
			}
			paged = append(paged, page...)
		}
		if !slices.Equal(paged, all) {
			t.Errorf("pages of %d make another list", limit)
		}
	}
	for _, test := range []struct {
		from, to int64
		want     int
	}{{1003, 0, 8}, {0, 1003, 6}, {1002, 1004, 4}, {2000, 0, 0}} {
		page := ocpi.Paging{Limit: 1}
		if test.from != 0 {
			page.From = time.Unix(test.from, 0) // inclusive of what is shown, which has milliseconds
		}
		if test.to != 0 {
			page.To = time.Unix(test.to, 0)
		}
		if _, n := s.ClientInfos(asking, page); n != test.want {
			t.Errorf("from %d to %d: %d match, want %d", test.from, test.to, n, test.want)
		}
	}
}
