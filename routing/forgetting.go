package routing

import "sync"

// questions are those to the record that are under way: what is forgotten
// meanwhile may be in their answers, and must not come back with them.
type questions struct {
	mu   sync.Mutex
	open map[*question]struct{}
}

// question is one of them, and what was forgotten since it was asked.
type question struct{ forgotten []forgotten }

// forgotten tells what is forgotten.
type forgotten func(LessonKey, Pair) bool

func newQuestions() *questions { return &questions{open: make(map[*question]struct{})} }

func (q *questions) begin() *question {
	q.mu.Lock()
	defer q.mu.Unlock()
	asked := new(question)
	q.open[asked] = struct{}{}
	return asked
}

func (q *questions) end(asked *question) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, asked)
}

// forget takes something out of memory.
func (q *questions) forget(what forgotten, takeOut func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for asked := range q.open {
		asked.forgotten = append(asked.forgotten, what)
	}
	takeOut()
}

// answered puts what is left of an answer into memory.
func (q *questions) answered(asked *question, lessons []Lesson, putIn func([]Lesson)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []Lesson
	for _, l := range lessons {
		gone := false
		for _, forgot := range asked.forgotten {
			gone = gone || forgot(l.Key, l.Pair)
		}
		if !gone {
			left = append(left, l)
		}
	}
	putIn(left)
}

// drop takes a lesson out of memory; it tells whether it was there.
func (x *Index) drop(key LessonKey, pair Pair) (was bool) {
	x.questions.forget(func(k LessonKey, p Pair) bool { return k == key && p == pair },
		func() { was = x.memory.drop(key, pair) })
	return was
}

// erase takes the lessons of an erasure out of memory, and tells which they were.
func (x *Index) erase(e *Erasure) (pairs []Pair) {
	x.questions.forget(func(k LessonKey, p Pair) bool { return k == e.Key && (e.Owner.IsZero() || p.Owner == e.Owner) },
		func() { pairs = x.memory.erase(e.Key, e.Owner) })
	return pairs
}
