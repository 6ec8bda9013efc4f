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

	"busbar/ocpi"
)

// record is a LessonStore in memory, which may fail or hang.
type record struct {
	mu      sync.Mutex
	lessons map[LessonKey][]Lesson
	// batches are the sizes of what was saved; asked counts keys.
	batches  []int
	replaced int
	asked    int
	fault    error
	hang     bool
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

const commandAccepted = `{"data":{"result":"ACCEPTED","timeout":30},"status_code":1000}`

// taught is an index that was taught by messages like "NLCPA DEMSP PUT RECEIVER
// …" with the answer commandAccepted.
func taught(t testing.TB, x *Index, lines ...string) *Index {
	t.Helper()
	for _, line := range lines {
		words := strings.SplitN(line, " ", 3)
		x.Learn(request(t, words[0], words[1], words[2]), []byte(commandAccepted))
	}
	return x
}

func TestM4_TrafficTeachesWhoHasWhat(t *testing.T) {
	t.Parallel()
	cpa, msp := party(t, "NLCPA"), party(t, "DEMSP")
	location := func(id string) func(*Index) any { return func(x *Index) any { return x.Location(id) } }
	token := func(uid, tokenType string) func(*Index) any {
		return func(x *Index) any { return x.Token(uid, tokenType) }
	}
	session := func(id string) func(*Index) any { return func(x *Index) any { return x.Session(id) } }
	none, ofCPA, ofMSP := []ocpi.PartyKey(nil), []ocpi.PartyKey{cpa}, []ocpi.PartyKey{msp}
	for _, tt := range []struct {
		name, message string
		ask           func(*Index) any
		want          any
	}{
		{"a Location", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/LOC1 {}", location("loc1"), ofCPA},
		{"an EVSE's status", "NLCPA DEMSP PATCH RECEIVER locations /nl/cpa/loc1/E1 {}", location("LOC1"), ofCPA},
		{"an escaped id", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/LOC%2F1 {}", location("loc/1"), ofCPA},
		{"a read teaches nothing", "NLCPA DEMSP GET RECEIVER locations /NL/CPA/LOC1", location("LOC1"), none},
		{"a URL without an id", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA {}", location(""), none},
		{"an id that is none", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/" + strings.Repeat("x", 300) + " {}", location(strings.Repeat("x", 300)), none},
		{"a Tariff", "NLCPA DEMSP PUT RECEIVER tariffs /NL/CPA/T1 {}", func(x *Index) any { return x.Tariff("t1") }, ofCPA},
		{"a Tariff is no Location", "NLCPA DEMSP PUT RECEIVER tariffs /NL/CPA/T1 {}", location("t1"), none},
		{"a Token", "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/0A {}", token("0a", "RFID"), ofMSP},
		{"a Token of a type", "DEMSP NLCPA PATCH RECEIVER tokens /DE/MSP/0A?a=b&type=APP_USER {}", token("0A", "APP_USER"), ofMSP},
		{"of that type only", "DEMSP NLCPA PATCH RECEIVER tokens /DE/MSP/0A?type=APP_USER {}", token("0A", "RFID"), none},
		{"an authorisation", "NLCPA DEMSP POST SENDER tokens /0A/authorize", token("0A", "RFID"), ofMSP},
		{"a Session", "NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {}", session("s1"), []Pair{{cpa, msp}}},
		{"a Session's update", "NLCPA DEMSP PATCH RECEIVER sessions /NL/CPA/S1 {}", session("S1"), []Pair{{cpa, msp}}},
		{"a Session's token", `NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"uid":"0A","type":"OTHER"}}`, token("0a", "OTHER"), ofMSP},
		{"a Session's token, towards an SCSP", `NLCPA NLSCS PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"country_code":"DE","party_id":"MSP","uid":"0A"}}`, token("0a", "RFID"), none},
		{"a CDR's token", `NLCPA DEMSP POST RECEIVER cdrs {"cdr_token":{"country_code":"DE","party_id":"MSP","uid":7}}`, token("7", "RFID"), ofMSP},
		{"a reservation", `DEMSP NLCPA POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`, func(x *Index) any { return x.Reservation(msp, "r1") }, ofCPA},
		{"a reservation of another", `DEMSP NLCPA POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`, func(x *Index) any { return x.Reservation(cpa, "r1") }, none},
		{"a START_SESSION teaches nothing", `DEMSP NLCPA POST RECEIVER commands /START_SESSION {"reservation_id":"R1","location_id":"LOC1"}`, location("LOC1"), none},
		{"a charging profile", "DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}", func(x *Index) any { return x.Profile(cpa, "S1") }, ofMSP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := taught(t, NewIndex(IndexConfig{}), tt.message)
			if diff := cmp.Diff(tt.want, tt.ask(x)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARejectedCommandTeachesNothing(t *testing.T) {
	t.Parallel()
	x := NewIndex(IndexConfig{})
	rejected := []byte(`{"data":{"result":"REJECTED","timeout":30},"status_code":1000}`)
	x.Learn(request(t, "DEMSP", "NLCPA", "PUT RECEIVER chargingprofiles /S1 {}"), rejected)
	x.Learn(request(t, "DEMSP", "NLCPA", `POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R1"}`), rejected)
	if got := x.Profile(party(t, "NLCPA"), "S1"); got != nil {
		t.Errorf("profile: %v", got)
	}
	if got := x.Reservation(party(t, "DEMSP"), "R1"); got != nil {
		t.Errorf("reservation: %v", got)
	}
}

func TestManyMayHaveAnIdButTheLatestHasTheProfile(t *testing.T) {
	t.Parallel()
	x := taught(t, NewIndex(IndexConfig{}),
		"NLCPB DEMSP PUT RECEIVER locations /NL/CPB/1 {}", "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/1 {}",
		"DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}", "NLSCS NLCPA PUT RECEIVER chargingprofiles /S1 {}")
	if diff := cmp.Diff([]ocpi.PartyKey{party(t, "NLCPA"), party(t, "NLCPB")}, x.Location("1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]ocpi.PartyKey{party(t, "NLSCS")}, x.Profile(party(t, "NLCPA"), "S1")); diff != "" {
		t.Error(diff)
	}
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
		if len(x.backlog.lessons) > mostUnsaved {
			t.Errorf("%d lessons wait", len(x.backlog.lessons))
		}
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
		stop := running(t, taught(t, NewIndex(IndexConfig{Store: r}), "DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}"))
		defer stop()
		time.Sleep(6 * 24 * time.Hour)
		synctest.Wait()
		if r.size() != 1 {
			t.Fatal("it was not kept")
		}
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if r.size() != 0 {
			t.Error("it was not forgotten")
		}
	})
}

func TestAnotherReplicasLessonIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := NewIndex(IndexConfig{Store: r}), NewIndex(IndexConfig{Store: r})
		stop := running(t, a)
		defer stop()
		open := request(t, "DEMSP", "", "GET SENDER locations /L1")
		taught(t, a, "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L1 {}")
		time.Sleep(saveEvery)
		synctest.Wait()
		if !b.Fetch(t.Context(), open) || len(b.Location("l1")) != 1 {
			t.Fatal("it was not found")
		}
		asked := r.asked
		b.Fetch(t.Context(), open)
		if r.asked != asked {
			t.Error("what is in memory is asked for again")
		}
		// Memory does not answer for ever: another may have the id too.
		taught(t, a, "DECPO DEMSP PUT RECEIVER locations /DE/CPO/L1 {}")
		time.Sleep(fetchAgain + time.Second)
		if !b.Fetch(t.Context(), open) || len(b.Location("L1")) != 2 {
			t.Error("the second owner stays unknown")
		}
	})
}

func TestALaterProfileOfAnotherReplicaCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := NewIndex(IndexConfig{Store: r}), NewIndex(IndexConfig{Store: r})
		for _, x := range []*Index{a, b} {
			stop := running(t, x)
			defer stop()
		}
		update := request(t, "NLCPA", "", "PUT SENDER chargingprofiles /S1 {}")
		for i, step := range []struct {
			at   *Index
			from string
		}{{a, "DEMSP"}, {b, "NLSCS"}, {a, "DEMSP"}, {a, "DEMSP"}, {b, "NLSCS"}} {
			taught(t, step.at, step.from+" NLCPA PUT RECEIVER chargingprofiles /S1 {}")
			time.Sleep(3 * time.Second)
			for _, x := range []*Index{a, b} {
				x.Fetch(t.Context(), update)
				if diff := cmp.Diff([]ocpi.PartyKey{party(t, step.from)}, x.Profile(party(t, "NLCPA"), "S1")); diff != "" {
					t.Errorf("step %d:\n%s", i, diff)
				}
			}
		}
	})
}

func TestGuessedIdsDoNotLoadTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := NewIndex(IndexConfig{Store: r})
		for range 100 {
			x.Fetch(t.Context(), request(t, "DEMSP", "", "GET SENDER locations /GUESS"))
		}
		if r.asked != 1 {
			t.Errorf("asked %d times for one id", r.asked)
		}
		time.Sleep(2 * askAgain)
		for i := range 3 * mostInquiries {
			x.Fetch(t.Context(), request(t, "DEMSP", "", fmt.Sprintf("GET SENDER locations /GUESS%d", i)))
		}
		if r.asked != 1+mostInquiries {
			t.Errorf("asked %d times for many", r.asked-1)
		}
		for line := range map[string]bool{"GET SENDER nltnm-x /1": true, "PUT RECEIVER locations /DE/MSP/1 {}": true, "GET SENDER locations": true} {
			time.Sleep(2 * askAgain)
			before := r.asked
			x.Fetch(t.Context(), request(t, "DEMSP", "", line))
			if r.asked != before {
				t.Errorf("%s has no key to ask for", line)
			}
		}
	})
}

func TestARecordThatHangsHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		r := newRecord()
		r.hang = true
		x := NewIndex(IndexConfig{Store: r, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		began := time.Now()
		for i := range 10 {
			x.Fetch(t.Context(), request(t, "DEMSP", "", fmt.Sprintf("GET SENDER locations /L%d", i)))
		}
		if took := time.Since(began); took > 2*fetchTimeout {
			t.Errorf("ten requests waited %v", took)
		}
		if n := strings.Count(logs.String(), "read what open routing learned"); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 64 * 20
	s := newShelf(bound)
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
		if p.held != len(p.young) || len(p.young)+len(p.old) > bound/shelfParts {
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

func BenchmarkLearn(b *testing.B) {
	for name, line := range map[string]string{
		"locations": "NLCPA DEMSP PATCH RECEIVER locations /NL/CPA/LOC-00001234/3256A-1 {}",
		"sessions":  `NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {"cdr_token":{"uid":"0A"}}`,
		"commands":  "DEMSP NLCPA POST RECEIVER commands /START_SESSION {}",
	} {
		b.Run(name, func(b *testing.B) {
			x := taught(b, NewIndex(IndexConfig{}), line)
			words := strings.SplitN(line, " ", 3)
			req := request(b, words[0], words[1], words[2])
			b.ReportAllocs()
			for b.Loop() {
				x.Learn(req, nil)
			}
		})
	}
}

func TestLearningWhatIsKnownAllocatesNothing(t *testing.T) {
	line := "PATCH RECEIVER locations /NL/CPA/LOC-00001234/3256A-1 {}"
	x := taught(t, NewIndex(IndexConfig{}), "NLCPA DEMSP "+line)
	req := request(t, "NLCPA", "DEMSP", line)
	if n := testing.AllocsPerRun(100, func() { x.Learn(req, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
