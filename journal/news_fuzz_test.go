package journal

import (
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"busbar/ocpi"
)

// FuzzNews: whatever stands in Redis, it is news or a report, or refused, and
// bounded.
func FuzzNews(f *testing.F) {
	packed, _ := newNewsWriter(ocpi.PartyKey{}).pack(news{messages: samples(3)}, 1)
	f.Add(packed)
	f.Add(report{at: time.Unix(1_700_000_000, 0), beats: []beat{{unix: 1_700_000_000, messages: 1}}}.pack())
	f.Add(s2.Encode(nil, []byte(`{"at":-1,"beats":[{"t":-5,"hub":[1,2,3]},{"t":9223372036854775807,"peer":[4294967295,1]}]}`)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if events, lost, err := readNews(raw); err == nil {
			for _, e := range events {
				e.ended()
			}
			if lost < 0 {
				t.Errorf("%d lost", lost)
			}
		}
		if r, err := readReport(raw); err == nil {
			now := time.Unix(1_700_000_000, 0)
			all := newPulse()
			all.absorb(r, now)
			all.minute(now)
		}
	})
}
