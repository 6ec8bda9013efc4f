package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"busbar/parties"
)

// The number of writers at once, more than any pool's idle connections.
const writers = 12

// together runs do in n goroutines that begin at once, and waits for them.
func together(n int, do func(i int)) {
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	wg.Wait()
}

func concurrentClaims(t *testing.T, s parties.Store) {
	errs := make([]error, writers)
	together(writers, func(i int) {
		p := Platform(fmt.Sprintf("contender %d", i))
		p.Approved = claims(fmt.Sprintf("DE%d CPO", i))
		if i%2 == 0 {
			p.Approved = append(p.Approved, claim("NLONE CPO"))
		} else {
			p.Roles = roles("NLONE CPO")
		}
		_, errs[i] = s.Create(t.Context(), p)
	})
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantTaken(t, fmt.Sprintf("contender %d", i), err, "NLONE CPO")
	}
	all, err := s.All(t.Context())
	if won != 1 || len(all.Platforms) != 1 || all.Revision != 1 || err != nil {
		t.Errorf("%d won, %d platforms stored at revision %d (%v), want one of each", won, len(all.Platforms), all.Revision, err)
	}
}

func concurrentUpdates(t *testing.T, s parties.Store) {
	p := create(t, s, FullPlatform("NL"))[0]
	errs := make([]error, writers)
	together(writers, func(i int) {
		mine := p.Clone()
		mine.Name = fmt.Sprintf("updated by %d", i)
		_, errs[i] = s.Update(t.Context(), mine)
	})
	winner := slices.Index(errs, nil)
	if winner < 0 {
		t.Fatalf("nobody won: %v", errs)
	}
	for i, err := range errs {
		if i != winner && !errors.Is(err, parties.ErrStale) {
			t.Errorf("writer %d: %v, want ErrStale", i, err)
		}
	}
	p.Name = fmt.Sprintf("updated by %d", winner)
	wantAll(t, s, 2, revised(p, 2))
}

// Every create adds one platform and one revision, so whoever reads revision n
// must find exactly n platforms, with the revisions 1 to n.
func visibleInOrder(t *testing.T, s parties.Store) {
	const each = 4
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					wantNoGap(t, s)
				}
			}
		})
	}
	given := make([][]int64, writers)
	together(writers, func(i int) {
		for range each {
			revision, err := s.Create(t.Context(), Platform("one of many"))
			if err != nil {
				t.Errorf("Create: %v", err)
			}
			given[i] = append(given[i], revision)
		}
	})
	close(stop)
	readers.Wait()
	wantNoGap(t, s)
	all := slices.Sorted(slices.Values(slices.Concat(given...)))
	for i, revision := range all {
		if revision != int64(i+1) {
			t.Fatalf("the revisions given out are %v, want 1 to %d", all, writers*each)
		}
	}
}

func wantNoGap(t *testing.T, s parties.Store) {
	all, err := s.All(t.Context())
	if err != nil {
		t.Errorf("All: %v", err)
		return
	}
	have := make(map[int64]bool)
	for _, p := range all.Platforms {
		have[p.Revision] = true
	}
	for r := range all.Revision {
		if !have[r+1] {
			t.Errorf("revision %d is visible, but %d is not", all.Revision, r+1)
		}
	}
	if int64(len(all.Platforms)) != all.Revision {
		t.Errorf("%d platforms at revision %d", len(all.Platforms), all.Revision)
	}
}

func seenBesideUpdates(t *testing.T, s parties.Store) {
	stored := create(t, s, many(20)...)
	together(writers, func(i int) {
		if i%2 == 0 {
			p := stored[i]
			p.Name = "renamed"
			if _, err := s.Update(t.Context(), p); err != nil {
				t.Errorf("Update: %v", err)
			}
			return
		}
		news := make(map[parties.PlatformID]time.Time)
		for _, p := range stored {
			news[p.ID] = at(i)
		}
		if err := s.Seen(t.Context(), news); err != nil {
			t.Errorf("Seen: %v", err)
		}
	})
	all, err := s.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Platforms {
		if !p.LastSeen.Equal(at(writers - 1)) {
			t.Errorf("%s was last seen at %s, want %s", p.Name, p.LastSeen, at(writers-1))
		}
	}
}
