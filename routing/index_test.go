package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// record is a LessonStore in memory, which may fail or hang.
type record struct {
	mu      sync.Mutex
	lessons map[LessonKey][]Lesson
	// batches are the sizes of what was saved; asked counts keys.
	batches  []int
	replaced int
	asked    int
	erasures []Erasure
	fault    error
	hang     bool
	// answering, if set, is called when lessons have been read, before they are
	// told.
	answering func()
}

func newRecord() *record { return &record{lessons: make(map[LessonKey][]Lesson)} }

func (r *record) SaveLessons(_ context.Context, lessons []Lesson) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		return r.fault
	}
	r.batches = append(r.batches, len(lessons))
	seen := make(map[unsaved]bool)
	for _, l := range lessons {
		if seen[unsaved{l.Key, l.Pair}] {
			panic("one lesson twice in a batch")
		}
		seen[unsaved{l.Key, l.Pair}] = true
		kept := r.lessons[l.Key][:0:0]
		for _, old := range r.lessons[l.Key] {
			if old.Pair != l.Pair {
				kept = append(kept, old)
			}
		}
		r.lessons[l.Key] = append(kept, l)
	}
	return nil
}

func (r *record) ReplaceLessons(_ context.Context, lessons []Lesson) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		return r.fault
	}
	r.replaced += len(lessons)
	for _, l := range lessons {
		r.lessons[l.Key] = []Lesson{l}
	}
	return nil
}

func (r *record) DropLessons(_ context.Context, lessons []Lesson) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		return r.fault
	}
	for _, l := range lessons {
		kept := r.lessons[l.Key][:0:0]
		for _, old := range r.lessons[l.Key] {
			if old.Pair != l.Pair {
				kept = append(kept, old)
			}
		}
		if r.lessons[l.Key] = kept; len(kept) == 0 {
			delete(r.lessons, l.Key)
		}
	}
	return nil
}

func (r *record) Lessons(ctx context.Context, keys []LessonKey, now time.Time) ([]Lesson, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked += len(keys)
	if r.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var found []Lesson
	for _, key := range keys {
		for _, l := range r.lessons[key] {
			if l.ExpiresAt.After(now) {
				found = append(found, l)
			}
		}
	}
	if r.answering != nil {
		r.answering()
	}
	return found, r.fault
}

func (r *record) ForgetLessons(_ context.Context, now time.Time, most int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int64(0)
	for key, lessons := range r.lessons {
		if !lessons[0].ExpiresAt.After(now) {
			delete(r.lessons, key)
			n++
		}
	}
	return n, nil
}

func (r *record) EraseLessons(_ context.Context, erasures []Erasure, _ time.Time) (n int64, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		return 0, r.fault
	}
	for _, e := range erasures {
		e.ID = fmt.Sprint(len(r.erasures))
		r.erasures = append(r.erasures, e)
		kept := r.lessons[e.Key][:0:0]
		for _, l := range r.lessons[e.Key] {
			if e.Owner.IsZero() || l.Pair.Owner == e.Owner {
				n++
				continue
			}
			kept = append(kept, l)
		}
		if r.lessons[e.Key] = kept; len(kept) == 0 {
			delete(r.lessons, e.Key)
		}
	}
	return n, nil
}

func (r *record) Erasures(context.Context) ([]Erasure, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Erasure(nil), r.erasures...), r.fault
}

func (r *record) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lessons)
}

func (r *record) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = err
}

// saysYes accepts everything: a command, a profile, a token.
const saysYes = `{"data":{"result":"ACCEPTED","timeout":30,"allowed":"ALLOWED"},"status_code":1000}`

// taught is an index that was taught by messages like "NLCPA DEMSP PUT RECEIVER
// …" with the answer accepted.
func taught(t testing.TB, x *Index, lines ...string) *Index {
	t.Helper()
	for _, line := range lines {
		words := strings.SplitN(line, " ", 3)
		x.Learn(request(t, words[0], words[1], words[2]), []byte(saysYes))
	}
	return x
}

func TestNoIdStandsInTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		stop := running(t, taught(t, NewIndex(IndexConfig{Store: r}), "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/SECRETUID {}"))
		stop()
		if text := fmt.Sprintf("%v %s", r.lessons, r.lessons); r.size() != 1 || strings.Contains(strings.ToUpper(text), "SECRETUID") {
			t.Errorf("the record holds %s", text)
		}
	})
}

// running runs the index until the returned function is called.
func running(t *testing.T, x *Index) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); x.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func TestLessonsExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := taught(t, NewIndex(IndexConfig{}),
			"NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L1 {}", "NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {}",
			`DEMSP NLCPA POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`)
		known := func() string {
			return fmt.Sprint(len(x.Location("L1")), len(x.Session("S1")), len(x.Reservation(party(t, "DEMSP"), "R1")))
		}
		for _, step := range []struct {
			days int
			want string
		}{{6, "1 1 1"}, {2, "1 1 0"}, {23, "1 0 0"}, {58, "1 0 0"}, {2, "0 0 0"}} {
			time.Sleep(time.Duration(step.days) * 24 * time.Hour)
			if got := known(); got != step.want {
				t.Errorf("after %d more days: %s, want %s", step.days, got, step.want)
			}
		}
		taught(t, x, "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L1 {}")
		if got := known(); got != "1 0 0" {
			t.Errorf("taught again: %s", got)
		}
	})
}

func TestALessonIsWrittenOnceADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := NewIndex(IndexConfig{Store: r})
		stop := running(t, x)
		defer stop()
		for range 50 { // two days and a bit
			taught(t, x, "NLCPA DEMSP PATCH RECEIVER locations /NL/CPA/L1 {}")
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		if diff := cmp.Diff([]int{1, 1, 1}, r.batches); diff != "" {
			t.Errorf("written:\n%s", diff)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, lessons := range r.lessons {
			if left := time.Until(lessons[0].ExpiresAt); left < 89*24*time.Hour {
				t.Errorf("the record's lesson expires in %v", left)
			}
		}
	})
}

func TestLessonsAreWrittenInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := NewIndex(IndexConfig{Store: r})
		for i := range 2500 {
			taught(t, x, fmt.Sprintf("NLCPA DEMSP PATCH RECEIVER locations /NL/CPA/L%d {}", i))
		}
		taught(t, x, "DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}", "NLSCS NLCPA PUT RECEIVER chargingprofiles /S1 {}")
		stop := running(t, x)
		synctest.Wait() // so many do not wait
		if r.size() != 2501 || len(r.batches) > 3 || r.replaced != 1 {
			t.Errorf("%d lessons in batches of %v, %d replaced", r.size(), r.batches, r.replaced)
		}
		taught(t, x, "NLCPA DEMSP PATCH RECEIVER locations /NL/CPA/LAST {}")
		stop()
		if r.size() != 2502 {
			t.Error("what was learned last is lost")
		}
	})
}

func TestARecordThatFailsIsLoggedOnceAndCaughtUpWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		r := newRecord()
		r.fail(errors.New("the disk is full"))
		x := NewIndex(IndexConfig{Store: r, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		stop := running(t, x)
		const learned = mostUnsaved + 500
		for i := range learned {
			taught(t, x, fmt.Sprintf("NLCPA DEMSP PATCH RECEIVER locations /NL/CPA/L%d {}", i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(logs.String(), "the disk is full"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, logs.String())
		}
		x.backlog.mu.Lock()
		if len(x.backlog.lessons) > mostUnsaved {
			t.Errorf("%d lessons wait", len(x.backlog.lessons))
		}
		x.backlog.mu.Unlock()
		r.fail(nil)
		time.Sleep(saveAgain + saveEvery)
		synctest.Wait()
		stop()
		if r.size() != mostUnsaved || !strings.Contains(logs.String(), "lost=500") {
			t.Errorf("%d lessons in the record;\n%s", r.size(), logs.String())
		}
	})
}

func TestTheRecordIsCleanedUpHourly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := taught(t, NewIndex(IndexConfig{Store: r}), "DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}")
		// It runs in the lesson's last hours only: its clocks tick every few seconds.
		time.Sleep(lifetime(LessonProfile) - 90*time.Minute)
		defer running(t, x)()
		time.Sleep(80 * time.Minute)
		synctest.Wait()
		if r.size() != 1 {
			t.Fatal("it was not kept")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.size() != 0 {
			t.Error("it was not forgotten")
		}
	})
}

func TestTheIndexIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	r := newRecord()
	x := NewIndex(IndexConfig{Store: r})
	stop := running(t, x)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 300 {
				id := i % 40
				taught(t, x, fmt.Sprintf("NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S%d {}", id),
					fmt.Sprintf("NL%d NLCPA PUT RECEIVER chargingprofiles /S%d {}", w, id))
				x.Session(fmt.Sprintf("s%d", id))
				x.Fetch(t.Context(), request(t, "NLCPA", "", fmt.Sprintf("PUT SENDER chargingprofiles /S%d {}", id)))
				if len(x.Profile(party(t, "NLCPA"), fmt.Sprint("S", id))) != 1 {
					t.Error("one profile has one latest setter")
				}
			}
		})
	}
	workers.Wait()
	stop()
	if r.size() != 80 {
		t.Errorf("%d keys in the record", r.size())
	}
}
