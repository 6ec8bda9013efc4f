package routing

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"busbar/ocpi"
)

const (
	// saveEvery is how long a lesson waits for others to be written with.
	saveEvery = 200 * time.Millisecond
	// saveBatch is the most lessons in one write; so many do not wait.
	saveBatch = 1000
	// mostUnsaved bounds the lessons that wait while the record fails; more are
	// kept in memory only.
	mostUnsaved = 50_000
	// saveTimeout bounds one write, saveAgain is the pause after one that failed.
	saveTimeout = 10 * time.Second
	saveAgain   = 2 * time.Second
	// lastSave bounds what Run still writes at its end.
	lastSave = 5 * time.Second
	// forgetEvery is how often the record is cleaned up, mostLessons what is left
	// in it: half a gigabyte.
	forgetEvery = time.Hour
	mostLessons = 5_000_000
)

// backlog are the lessons that are not in the record yet.
type backlog struct {
	mu      sync.Mutex
	lessons map[unsaved]waiting
	// drops are those that are taken out of the record.
	drops map[unsaved]Lesson
	// saving are those that are being written.
	saving map[unsaved]waiting
	// written are lessons of tokens that were, since the erasures of others were last
	// heard: one of those may have gone before.
	written map[unsaved]Lesson
	lost    int
	// some is told when the first one waits, many when a batch is full.
	some, many chan struct{}
}

// unsaved tells lessons apart; of those that replace all others of their key only
// the latest is saved, so their pair is left out.
type unsaved struct {
	key  LessonKey
	pair Pair
}

// waiting is a lesson that waits; alone tells that it replaces the others of its
// key.
type waiting struct {
	Lesson
	alone bool
}

func newBacklog() *backlog {
	return &backlog{lessons: make(map[unsaved]waiting), drops: make(map[unsaved]Lesson),
		written: make(map[unsaved]Lesson), some: make(chan struct{}, 1), many: make(chan struct{}, 1)}
}

func unsavedAs(l *Lesson, alone bool) unsaved {
	if alone {
		return unsaved{key: l.Key}
	}
	return unsaved{key: l.Key, pair: l.Pair}
}

func (b *backlog) add(l Lesson, alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := unsavedAs(&l, alone)
	if _, waits := b.lessons[id]; !waits && len(b.lessons) >= mostUnsaved {
		b.lost++
		return
	}
	b.lessons[id] = waiting{l, alone}
	delete(b.drops, id)
	b.wake()
}

// drop makes a lesson be forgotten, saved or not.
func (b *backlog) drop(l Lesson) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := unsavedAs(&l, false)
	delete(b.lessons, id)
	delete(b.written, id)
	if _, waits := b.drops[id]; !waits && len(b.drops) >= mostUnsaved {
		b.lost++
		return
	}
	b.drops[id] = l
	b.wake()
}

func (b *backlog) wake() {
	switch n := len(b.lessons) + len(b.drops); {
	case n == 1:
		tell(b.some)
	case n >= saveBatch:
		tell(b.many)
	}
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// takeBack returns lessons that could not be saved, unless newer ones wait.
func (b *backlog) takeBack(lessons []Lesson, alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range lessons {
		id := unsavedAs(&lessons[i], alone)
		if _, newer := b.lessons[id]; newer {
			continue
		}
		if len(b.lessons) >= mostUnsaved {
			b.lost++
			continue
		}
		b.lessons[id] = waiting{lessons[i], alone}
	}
}

// dropped takes up to saveBatch lessons out that are to be forgotten.
func (b *backlog) dropped() (drop []Lesson) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, l := range b.drops {
		if len(drop) == saveBatch {
			break
		}
		delete(b.drops, id)
		drop = append(drop, l)
	}
	return drop
}

// dropAgain returns what could not be forgotten, unless it was learned since.
func (b *backlog) dropAgain(lessons []Lesson) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range lessons {
		id := unsavedAs(&lessons[i], false)
		if _, newer := b.lessons[id]; !newer && len(b.drops) < mostUnsaved {
			b.drops[id] = lessons[i]
		}
	}
}

// batch takes up to saveBatch lessons out, those to be saved and those that
// replace others. They are sorted, so that replicas that write the same ones do
// not lock each other out.
func (b *backlog) batch() (save, replace []Lesson) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saving = make(map[unsaved]waiting, min(len(b.lessons), saveBatch))
	for id, l := range b.lessons {
		if len(save)+len(replace) == saveBatch {
			break
		}
		delete(b.lessons, id)
		b.saving[id] = l
		if l.alone {
			replace = append(replace, l.Lesson)
		} else {
			save = append(save, l.Lesson)
		}
	}
	for _, lessons := range [...][]Lesson{save, replace} {
		slices.SortFunc(lessons, func(a, b Lesson) int {
			return cmp.Or(bytes.Compare(a.Key[:], b.Key[:]),
				bytes.Compare(a.Pair.Owner[:], b.Pair.Owner[:]), bytes.Compare(a.Pair.With[:], b.Pair.With[:]))
		})
	}
	return save, replace
}

// waits tells that a lesson is not in the record yet, as far as is known.
func (b *backlog) waits(key LessonKey, pair Pair) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range [...]map[unsaved]waiting{b.lessons, b.saving} {
		if _, ok := list[unsaved{key: key, pair: pair}]; ok {
			return true
		}
		if l, ok := list[unsaved{key: key}]; ok && l.Pair == pair {
			return true
		}
	}
	return false
}

// wrote takes that lessons are in the record now.
func (b *backlog) wrote(lessons []Lesson) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range lessons {
		if l := &lessons[i]; l.Kind == LessonToken && len(b.written) < mostUnsaved {
			b.written[unsavedAs(l, false)] = *l
		}
	}
}

// heardErasures takes that the erasures before what is written from now on are
// known.
func (b *backlog) heardErasures() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.written)
}

// of are the lessons of a key that are about an owner, or about anybody when it is
// zero, among those that wait to be written or were a moment ago.
func (b *backlog) of(key LessonKey, owner ocpi.PartyKey) (pairs []Pair) {
	b.mu.Lock()
	defer b.mu.Unlock()
	add := func(l *Lesson) {
		if l.Key == key && (owner.IsZero() || l.Pair.Owner == owner) {
			pairs = append(pairs, l.Pair)
		}
	}
	for _, list := range [...]map[unsaved]waiting{b.lessons, b.saving} {
		for _, l := range list {
			add(&l.Lesson)
		}
	}
	for _, l := range b.written {
		add(&l)
	}
	return pairs
}

// unwritten are all that are not in the record yet, as far as is known.
func (b *backlog) unwritten() []waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Values(b.saving)), maps.Values(b.lessons))
}

// takeLost is how many lessons were lost since it was last asked.
func (b *backlog) takeLost() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := b.lost
	b.lost = 0
	return lost
}

// Run writes lessons back, hears of those of other replicas and forgets old ones,
// until ctx ends; then it writes what is left.
func (x *Index) Run(ctx context.Context) {
	var hearing sync.WaitGroup
	if x.cfg.News != nil {
		hearing.Go(func() { x.cfg.News.Hear(ctx, x.hearing, x.hear) })
	}
	x.record(ctx)
	hearing.Wait()
}

// record writes to the record until ctx ends.
func (x *Index) record(ctx context.Context) {
	if x.cfg.Store == nil {
		<-ctx.Done()
		return
	}
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	hear := time.NewTicker(erasuresEvery)
	defer hear.Stop()
	heard := erased{heard: time.Now()}
	var failing bool
	var due <-chan time.Time // nil while nothing waits
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
			defer cancel()
			x.report(x.saveAll(last), &failing)
			return
		case now := <-forget.C:
			x.forget(ctx, now)
			continue
		case now := <-hear.C:
			x.hearErasures(ctx, &heard, now)
			continue
		case <-x.backlog.some:
			if due == nil {
				due = time.After(saveEvery)
			}
			continue
		case <-x.backlog.many:
			if failing {
				continue
			}
		case <-due:
		}
		due = nil
		err := x.saveAll(ctx)
		if ctx.Err() != nil {
			continue // what was taken back is written above
		}
		if err != nil {
			due = time.After(saveAgain)
		}
		x.report(err, &failing)
	}
}

func (x *Index) forget(ctx context.Context, now time.Time) {
	if _, err := x.cfg.Store.ForgetLessons(ctx, now, mostLessons); err != nil && ctx.Err() == nil {
		x.cfg.Logger.Warn("forget what open routing learned", "error", err)
	}
}

// report logs when the record begins to fail, and when it ends.
func (x *Index) report(err error, failing *bool) {
	switch {
	case err != nil && !*failing:
		x.cfg.Logger.Warn("write what open routing learned", "error", err)
	case err == nil && *failing:
		x.cfg.Logger.Info("what open routing learned is written again", "lost", x.backlog.takeLost())
	}
	*failing = err != nil
}

// saveAll writes batches until none is left. What fails is taken back.
//
// What is dropped goes first: what was learned since is saved behind it.
func (x *Index) saveAll(ctx context.Context) error {
	for {
		drop := x.backlog.dropped()
		save, replace := x.backlog.batch()
		if len(drop)+len(save)+len(replace) == 0 {
			return nil
		}
		bounded, cancel := context.WithTimeout(ctx, saveTimeout)
		err := x.save(bounded, drop, save, replace)
		cancel()
		if err != nil {
			return err
		}
	}
}

func (x *Index) save(ctx context.Context, drop, save, replace []Lesson) error {
	if len(drop) > 0 {
		if err := x.cfg.Store.DropLessons(ctx, drop); err != nil {
			x.backlog.dropAgain(drop)
			x.backlog.takeBack(save, false)
			x.backlog.takeBack(replace, true)
			return err
		}
		// Again: whoever asked the record meanwhile found them in it, here too.
		gone := slices.DeleteFunc(drop, func(l Lesson) bool { return x.backlog.waits(l.Key, l.Pair) })
		for i := range gone {
			x.drop(gone[i].Key, gone[i].Pair)
		}
		x.tell(LessonDropped, gone...)
	}
	if len(save) > 0 {
		if err := x.cfg.Store.SaveLessons(ctx, save); err != nil {
			x.backlog.takeBack(save, false)
			x.backlog.takeBack(replace, true)
			return err
		}
		x.backlog.wrote(save)
	}
	if len(replace) > 0 {
		if err := x.cfg.Store.ReplaceLessons(ctx, replace); err != nil {
			x.backlog.takeBack(replace, true)
			return err
		}
		x.backlog.wrote(replace)
	}
	return nil
}
