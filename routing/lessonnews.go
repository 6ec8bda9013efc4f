package routing

import (
	"context"
	"sync"
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// LessonChange says what happened to a lesson.
type LessonChange string

// LessonReplaced is a lesson that the others of its key made way for.
const (
	LessonLearned  LessonChange = "learned"
	LessonReplaced LessonChange = "replaced"
	LessonDropped  LessonChange = "dropped"
)

// LearnedLesson is the news of a lesson.
type LearnedLesson struct {
	Lesson
	Change LessonChange
}

// LessonNews carries what one replica learns to the others at once; LessonStore
// has it a moment later.
type LessonNews interface {
	// Tell tells the others. It does not block; what it cannot carry, the others
	// hear as a loss.
	Tell(lessons ...LearnedLesson)
	// Hear hears the others until ctx ends. hearing(true) tells that they are heard
	// from now on and that what they told before may be lost, be it again;
	// hearing(false), that they are not heard, of which it must tell within about a
	// second. Nothing is called at the same time.
	Hear(ctx context.Context, hearing func(bool), learned func([]LearnedLesson))
}

const (
	// lessonPatience is RouterConfig.LessonPatience: longer than the record's news
	// need without LessonNews (saveEvery).
	lessonPatience = 250 * time.Millisecond
	// mostWaits bounds those that wait, so that guessed ids hold up nothing.
	mostWaits, mostWaitsOfOne = 256, 64
)

// hearing counts how often the news began and ended to be heard: odd while they
// are.
type hearing uint64

func (h hearing) now() bool { return h%2 == 1 }

// heardLessons are whether news are heard, and who waits for which.
type heardLessons struct {
	mu      sync.Mutex
	count   hearing
	waiting map[LessonKey]map[chan struct{}]struct{}
}

func newHeardLessons() *heardLessons {
	return &heardLessons{waiting: make(map[LessonKey]map[chan struct{}]struct{})}
}

func (h *heardLessons) times() hearing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// become takes that news are heard from now on, or no more.
func (h *heardLessons) become(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count++; h.count.now() != yes {
		h.count++
	}
}

// wait gives a channel that is told of each lesson of the keys until stop.
func (h *heardLessons) wait(keys []LessonKey) (heard chan struct{}, stop func()) {
	heard = make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range keys {
		if h.waiting[key] == nil {
			h.waiting[key] = make(map[chan struct{}]struct{})
		}
		h.waiting[key][heard] = struct{}{}
	}
	return heard, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, key := range keys {
			if delete(h.waiting[key], heard); len(h.waiting[key]) == 0 {
				delete(h.waiting, key)
			}
		}
	}
}

// wake tells those who wait for a lesson.
func (h *heardLessons) wake(lessons []LearnedLesson) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		return
	}
	for i := range lessons {
		for heard := range h.waiting[lessons[i].Key] {
			tell(heard)
		}
	}
}

func changeOf(alone bool) LessonChange {
	if alone {
		return LessonReplaced
	}
	return LessonLearned
}

// tell tells the other replicas.
func (x *Index) tell(change LessonChange, lessons ...Lesson) {
	if x.cfg.News == nil || len(lessons) == 0 {
		return
	}
	news := make([]LearnedLesson, len(lessons))
	for i := range lessons {
		news[i] = LearnedLesson{lessons[i], change}
	}
	x.cfg.News.Tell(news...)
}

// isTold tells that there may be other replicas.
func (x *Index) isTold() bool { return x.cfg.News != nil }

// trusted is how long memory answers for a key before the record is asked again.
func (x *Index) trusted(h hearing) time.Duration {
	switch {
	case x.cfg.News == nil:
		return fetchAgain
	case h.now():
		return fetchAgainHearing
	}
	return fetchAgainDeaf
}

// hearing takes that news are heard or not. Who begins to hear has missed
// something: all that another may have changed is forgotten, and the record
// answers.
func (x *Index) hearing(yes bool) {
	// A question to the record that is under way now counts as asked too early.
	x.heard.become(yes)
	if !yes {
		return
	}
	x.memory.clear()
	now := time.Now()
	for _, l := range x.backlog.unwritten() {
		x.memory.put(&l.Lesson, l.alone, now)
	}
}

// hear takes what other replicas learned. They write it.
func (x *Index) hear(lessons []LearnedLesson) {
	now := time.Now()
	for i := range lessons {
		if l := &lessons[i]; l.Change == LessonDropped {
			x.drop(l.Key, l.Pair)
		} else {
			x.memory.hear(l, now)
		}
	}
	x.heard.wake(lessons)
}

// awaitLesson gives a lesson that a request lacks, and that another replica may
// have been taught a moment ago, the time to arrive: by the news or, at the end,
// by the record.
func (r *Router) awaitLesson(ctx context.Context, view View, caller *parties.Entry, req *ocpi.Request, plan Plan) Plan {
	key, refusal := readKey(req, plan.From.Party)
	if refusal != nil {
		return plan
	}
	deadline := time.Now().Add(r.cfg.LessonPatience)
	done, ok := r.waits.wait(ctx, caller.Platform.ID, deadline)
	if !ok {
		return plan
	}
	defer done()
	heard, stop := r.cfg.Index.heard.wait(key.lessons)
	defer stop()
	end := time.NewTimer(time.Until(deadline))
	defer end.Stop()
	for {
		// First, since it may have arrived before it was waited for.
		if plan = Decide(view, caller, req); !plan.mayFollow {
			return plan
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return plan
		case <-end.C:
			asked := *req
			asked.From = plan.From
			r.cfg.Index.Fetch(ctx, &asked)
			return Decide(view, caller, req)
		}
	}
}
