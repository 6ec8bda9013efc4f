package routing

import (
	"slices"
	"sync"
	"time"

	"busbar/ocpi"
)

const (
	// memoryBound is the most lessons in memory, some 60 MB. What falls out is
	// still in the record.
	memoryBound = 500_000
	// mostPairs bounds the parties of one key: with as many as that, nothing is
	// led anywhere by it.
	mostPairs = 64
	// cacheParts keeps cores apart that learn at the same time.
	cacheParts = 64
)

// lessonCache holds lessons in memory. Each part has two generations: when the young
// one is full, it becomes the old one, and what was not touched meanwhile goes.
type lessonCache struct {
	parts [cacheParts]cachePart
	// full is the most lessons in one generation of a part.
	full int
}

type cachePart struct {
	mu         sync.RWMutex
	young, old map[LessonKey]memo
	// held counts the lessons in young.
	held int
}

// memo is what is held of a key.
type memo struct {
	lessons []held
	// asked is when the record was last asked for the key, in Unix seconds.
	asked uint32
}

type held struct {
	pair Pair
	// expires is in Unix seconds.
	expires uint32
	// elsewhere tells what another replica learned, and may not have written yet.
	elsewhere bool
}

func newLessonCache(bound int) *lessonCache {
	s := &lessonCache{full: max(bound/cacheParts/2, 1)}
	for i := range s.parts {
		s.parts[i].young = make(map[LessonKey]memo)
	}
	return s
}

func (s *lessonCache) part(key LessonKey) *cachePart { return &s.parts[key[0]%cacheParts] }

func seconds(t time.Time) uint32 { return uint32(t.Unix()) }

// isFresh tells that the lesson is held and was taken less than refreshAfter
// before one that would now expire at expires. What was only heard of is not
// fresh: a replica that is taught the same writes it, should the other have died.
func (s *lessonCache) isFresh(key LessonKey, pair Pair, expires time.Time) bool {
	p := s.part(key)
	least := seconds(expires.Add(-refreshAfter))
	p.mu.RLock()
	m, young := p.young[key]
	if !young {
		m = p.old[key]
	}
	at := slices.IndexFunc(m.lessons, func(h held) bool { return h.pair == pair })
	fresh := at >= 0 && m.lessons[at].expires > least && !m.lessons[at].elsewhere
	p.mu.RUnlock()
	if fresh && !young {
		p.mu.Lock()
		p.keep(key, p.memo(key), s.full) // what is in use stays
		p.mu.Unlock()
	}
	return fresh
}

// put takes a lesson, unless its key has too many; alone drops all others of the
// key.
func (s *lessonCache) put(l *Lesson, alone bool, now time.Time) (taken bool) {
	p := s.part(l.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memo(l.Key)
	if alone {
		m.lessons = nil
	}
	m.lessons, taken = with(m.lessons, held{pair: l.Pair, expires: seconds(l.ExpiresAt)}, now)
	p.place(l.Key, m, s.full)
	return taken
}

// hear takes a lesson of another replica. One that replaces the others of its key
// leaves those that were taught later; of profiles only the latest counts.
func (s *lessonCache) hear(l *LearnedLesson, now time.Time) {
	p := s.part(l.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memo(l.Key)
	add := held{pair: l.Pair, expires: seconds(l.ExpiresAt), elsewhere: true}
	if l.Change == LessonReplaced {
		var later []held
		for _, h := range m.lessons {
			if h.pair == add.pair || h.expires > add.expires {
				later = append(later, h)
			}
		}
		m.lessons = later
		if l.Kind == LessonProfile && slices.ContainsFunc(later, func(h held) bool { return h.expires > add.expires }) {
			return
		}
	}
	m.lessons, _ = with(m.lessons, add, now)
	p.place(l.Key, m, s.full)
}

// drop takes a lesson out; it tells whether it was there.
func (s *lessonCache) drop(key LessonKey, pair Pair) bool {
	p := s.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memo(key)
	at := slices.IndexFunc(m.lessons, func(h held) bool { return h.pair == pair })
	if at < 0 {
		return false
	}
	m.lessons = slices.Concat(m.lessons[:at], m.lessons[at+1:])
	p.place(key, m, s.full)
	return true
}

// erase takes the lessons of a key out that are about an owner, or about anybody
// when it is zero, and tells which they were.
func (s *lessonCache) erase(key LessonKey, owner ocpi.PartyKey) (pairs []Pair) {
	p := s.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memo(key)
	var kept []held
	for _, h := range m.lessons {
		if owner.IsZero() || h.pair.Owner == owner {
			pairs = append(pairs, h.pair)
		} else {
			kept = append(kept, h)
		}
	}
	if len(pairs) > 0 {
		m.lessons = kept
		p.place(key, m, s.full)
	}
	return pairs
}

// clear forgets everything.
func (s *lessonCache) clear() {
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		p.young, p.old, p.held = make(map[LessonKey]memo), nil, 0
		p.mu.Unlock()
	}
}

// fill takes what the record holds of a key, when it was asked. alone keeps only
// the latest; with keep, nothing stays beside it but what that says.
func (s *lessonCache) fill(key LessonKey, lessons []Lesson, alone bool, keep func(Pair) bool, now, asked time.Time) {
	p := s.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memo(key)
	before := len(m.lessons)
	if keep != nil {
		m.lessons = slices.DeleteFunc(slices.Clone(m.lessons), func(h held) bool { return !keep(h.pair) })
	}
	for i := range lessons {
		h := held{pair: lessons[i].Pair, expires: seconds(lessons[i].ExpiresAt)}
		if alone && slices.ContainsFunc(m.lessons, func(other held) bool { return other.expires > h.expires }) {
			continue
		}
		if alone {
			m.lessons = nil
		}
		m.lessons, _ = with(m.lessons, h, now)
	}
	if len(m.lessons) == 0 && before == 0 {
		return
	}
	m.asked = seconds(asked)
	p.place(key, m, s.full)
}

// with is a new list with a lesson added or prolonged, and without what expired.
func with(lessons []held, add held, now time.Time) (_ []held, taken bool) {
	kept := make([]held, 0, len(lessons)+1)
	for _, h := range lessons {
		switch {
		case h.pair == add.pair:
			add.expires, add.elsewhere = max(add.expires, h.expires), add.elsewhere && h.elsewhere
		case h.expires > seconds(now):
			kept = append(kept, h)
		}
	}
	if len(kept) == mostPairs {
		return kept, false
	}
	return append(kept, add), true
}

// get is what is held of a key and has not expired.
func (s *lessonCache) get(key LessonKey, now time.Time) []Pair {
	p := s.part(key)
	p.mu.RLock()
	defer p.mu.RUnlock()
	var pairs []Pair
	for _, h := range p.memo(key).lessons {
		if h.expires > seconds(now) {
			pairs = append(pairs, h.pair)
		}
	}
	return pairs
}

// askedSince tells that the record was asked for the key, and had something.
func (s *lessonCache) askedSince(key LessonKey, since time.Time) bool {
	p := s.part(key)
	p.mu.RLock()
	defer p.mu.RUnlock()
	m := p.memo(key)
	return len(m.lessons) > 0 && m.asked > seconds(since)
}

// knows tells that something is held of the key, if perhaps expired.
func (s *lessonCache) knows(key LessonKey) bool {
	p := s.part(key)
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.memo(key).lessons) > 0
}

func (p *cachePart) memo(key LessonKey) memo {
	if m, ok := p.young[key]; ok {
		return m
	}
	return p.old[key]
}

// keep moves a memo to the young generation, if it is not there.
func (p *cachePart) keep(key LessonKey, m memo, full int) {
	if _, young := p.young[key]; !young && len(m.lessons) > 0 {
		p.place(key, m, full)
	}
}

// place puts a memo into the young generation, and lets that grow old when it is
// full.
func (p *cachePart) place(key LessonKey, m memo, full int) {
	p.held += len(m.lessons) - len(p.young[key].lessons)
	p.young[key] = m
	delete(p.old, key)
	if p.held >= full {
		p.old, p.young, p.held = p.young, make(map[LessonKey]memo), 0
	}
}
