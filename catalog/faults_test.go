package catalog_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

// wants is what a record lists between two times.
func (r *record) wants(m ocpi.ModuleID, from, to time.Time) (listed string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var documents []string
	for _, row := range slices.SortedFunc(maps.Values(r.rows), func(a, b catalog.Row) int { return cmp.Compare(a.Seq, b.Seq) }) {
		after := from.IsZero() || !row.LastUpdated.Before(from)
		before := to.IsZero() || row.LastUpdated.Before(to)
		if !row.Deleted && row.Key.Module == m && after && before {
			documents = append(documents, string(row.Document))
		}
	}
	return strings.Join(documents, ","), len(documents)
}

// TestS5_MemoryIsTheRecordWhateverFails lets replicas push while the record
// fails before commits and behind them, hangs, and is restored from a backup.
// Readers page meanwhile. In the end all list what the record has.
func TestS5_MemoryIsTheRecordWhateverFails(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { disturb(t, seed) })
		})
	}
}

func disturb(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	r := newRecord()
	replicas := []*catalog.Catalog{running(t, r), running(t, r), running(t, r)}
	ctx, stop := context.WithCancel(t.Context())
	var reading, pushing sync.WaitGroup
	for _, c := range replicas {
		reading.Go(func() { readAll(ctx, t, c) })
	}
	for step := range 60 {
		disturbance(r, random, seed%2 == 1 && step == 30)
		for range random.IntN(30) {
			w, c := anyPush(random), replicas[random.IntN(3)]
			pushing.Go(func() { _, _ = c.Apply(t.Context(), w) })
			if random.IntN(3) == 0 {
				pushing.Wait()
			}
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
	}
	pushing.Wait()
	calm(r)
	time.Sleep(20 * time.Second) // longer than any call hangs
	synctest.Wait()
	stop()
	reading.Wait()
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, m := range []ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTariffs} {
		for _, bound := range [][2]time.Time{{}, {base.Add(20 * time.Hour)}, {{}, base.Add(40 * time.Hour)}, {base.Add(30 * time.Hour), base.Add(31 * time.Hour)}} {
			want, n := r.wants(m, bound[0], bound[1])
			for i, c := range replicas {
				listed, page, err := c.AppendPage(nil, catalog.Query{Module: m, From: bound[0], To: bound[1], Limit: 1000})
				if listed = append(listed, page.Shared...); err != nil || string(listed) != want || page.Total != n {
					t.Errorf("replica %d lists %d of %d %s between %v, %v", i, page.Objects, n, m, bound, err)
				}
			}
		}
	}
}

// disturbance makes the record behave in another way.
func disturbance(r *record, random *rand.Rand, restore bool) {
	kind := random.IntN(10)
	r.set(func(r *record) {
		r.fail, r.failAfter, r.downAfter, r.hangs, r.page = nil, nil, false, false, random.IntN(4)
		switch kind {
		case 0:
			r.fail = errDown
		case 1, 2:
			r.failAfter = errDown
		case 3:
			r.failAfter, r.downAfter = errDown, true
		case 4:
			r.hangs = true
		}
		if restore { // an old backup, which is behind what every replica has
			r.rows, r.revision, r.written = map[catalog.Key]catalog.Row{}, 1, nil
		}
	})
}

func calm(r *record) {
	r.set(func(r *record) { r.fail, r.failAfter, r.downAfter, r.hangs = nil, nil, false, false })
}

func anyPush(random *rand.Rand) catalog.Write {
	id := fmt.Sprint("o", random.IntN(40))
	at := time.Date(2026, 1, 1, random.IntN(60), 0, 0, 0, time.UTC).Format(time.RFC3339)
	body := fmt.Sprintf(`{"n":%d,"pad":%q,"last_updated":%q}`, random.IntN(9), strings.Repeat("x", random.IntN(300)), at)
	method := []string{http.MethodPut, http.MethodPut, http.MethodPatch, http.MethodDelete}[random.IntN(4)]
	if random.IntN(2) == 0 && method != http.MethodDelete {
		return location(method, nlTNM, id, body)
	}
	return tariff(method, id, body)
}

// readAll reads page after page, each of which must be sound and in its bounds.
func readAll(ctx context.Context, t *testing.T, c *catalog.Catalog) {
	for ctx.Err() == nil {
		q := catalog.Query{Module: ocpi.ModuleTariffs, Limit: 7}
		for ctx.Err() == nil {
			page, info, err := c.AppendPage([]byte("["), q)
			if err != nil {
				t.Error(err)
				return
			}
			if err := ocpi.CheckJSON(append(append(page, info.Shared...), ']')); err != nil || info.Objects > info.Total || info.Next != 0 && info.Next <= q.After {
				t.Errorf("%+v behind %d, %v", info, q.After, err)
				return
			}
			if q.After = info.Next; q.After == 0 {
				break
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
}
