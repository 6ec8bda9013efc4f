package routing

import (
	"fmt"
	"testing"
	"time"
)

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 64 * 20
	s := newLessonCache(bound)
	now := time.Now()
	lesson := func(i int) *Lesson {
		key, _ := lessonKey(LessonLocation, fmt.Sprint(i), "")
		return &Lesson{Key: key, Pair: Pair{Owner: party(t, "NLCPA")}, ExpiresAt: now.Add(time.Hour)}
	}
	hot := lesson(-1)
	s.put(hot, false, now)
	for i := range 20 * bound {
		s.put(lesson(i), false, now)
		if i%5 == 0 && !s.isFresh(hot.Key, hot.Pair, hot.ExpiresAt) {
			t.Fatalf("what is in use was thrown out after %d others", i)
		}
	}
	for i := range s.parts {
		p := &s.parts[i]
		if p.held != len(p.young) || len(p.young)+len(p.old) > bound/cacheParts {
			t.Errorf("part %d holds %d and %d lessons, and counts %d", i, len(p.young), len(p.old), p.held)
		}
	}
	// One key may have many owners, but not any number.
	for i := range 2 * mostPairs {
		l := *hot
		l.Pair.Owner = party(t, fmt.Sprintf("NL%d", 100+i))
		if taken := s.put(&l, false, now); taken != (i < mostPairs-1) {
			t.Fatalf("owner %d of one id: taken %v", i, taken)
		}
	}
	if n := len(s.get(hot.Key, now)); n != mostPairs {
		t.Errorf("%d owners of one id", n)
	}
	// What has expired makes room.
	later := now.Add(2 * time.Hour)
	hot.ExpiresAt = later.Add(time.Hour)
	if !s.put(hot, false, later) || len(s.part(hot.Key).memo(hot.Key).lessons) != 1 {
		t.Error("expired lessons are kept")
	}
}
