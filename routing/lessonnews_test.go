package routing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// wire connects the indexes of one test, as pub/sub does.
type wire struct {
	mu   sync.Mutex
	ends []*wireEnd
}

// wireEnd is the LessonNews of one of them.
type wireEnd struct {
	wire *wire
	// told are the lessons that it told.
	told    int
	calls   chan func()
	hearing func(bool)
	learned func([]LearnedLesson)
	cut     bool
}

func (w *wire) end() *wireEnd {
	e := &wireEnd{wire: w, calls: make(chan func(), 1000)}
	w.ends = append(w.ends, e)
	return e
}

func (e *wireEnd) Tell(lessons ...LearnedLesson) {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	e.told += len(lessons)
	for _, other := range e.wire.ends {
		if other != e && !other.cut && !e.cut {
			other.calls <- func() { other.learned(lessons) }
		}
	}
}

func (e *wireEnd) Hear(ctx context.Context, hearing func(bool), learned func([]LearnedLesson)) {
	e.hearing, e.learned = hearing, learned
	hearing(true)
	for {
		select {
		case <-ctx.Done():
			return
		case call := <-e.calls:
			call()
		}
	}
}

func (e *wireEnd) setCut(yes bool) {
	e.wire.mu.Lock()
	defer e.wire.mu.Unlock()
	e.cut = yes
	e.calls <- func() { e.hearing(!yes) }
}

// replicas are two indexes on one record and one wire, that run until stop.
type replicas struct {
	record *record
	a, b   *Index
	to     [2]*wireEnd
	stop   func()
}

func newReplicas(t *testing.T) *replicas {
	w, r := new(wire), newRecord()
	p := &replicas{record: r, to: [2]*wireEnd{w.end(), w.end()}}
	p.a, p.b = NewIndex(IndexConfig{Store: r, News: p.to[0]}), NewIndex(IndexConfig{Store: r, News: p.to[1]})
	stopA, stopB := running(t, p.a), running(t, p.b)
	p.stop = func() { stopA(); stopB() }
	synctest.Wait()
	return p
}

func TestM1_ASecondOwnerIsKnownAtTheOtherReplicaAtOnce(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][2]string{
		"session":                     {"NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/AMB {}", "DECPB DEMSP PUT RECEIVER sessions /DE/CPB/AMB {}"},
		"reservation":                 {`DEMSP NLCPA POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R"}`, `DEMSP DECPB POST RECEIVER commands /RESERVE_NOW {"reservation_id":"R"}`},
		"token":                       {"DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/0A {}", "NLMSP NLCPA PUT RECEIVER tokens /NL/MSP/0A {}"},
		"session shared with another": {"NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/AMB {}", "NLCPA NLMSP PUT RECEIVER sessions /NL/CPA/AMB {}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newReplicas(t)
				defer p.stop()
				known := func(x *Index) int {
					return max(len(x.Session("AMB")), len(x.Reservation(party(t, "DEMSP"), "R")), len(x.Token("0A", "RFID")))
				}
				taught(t, p.b, lines[0])
				synctest.Wait()
				taught(t, p.a, lines[1])
				synctest.Wait()
				if here, there := known(p.a), known(p.b); here != 2 || there != 2 {
					t.Errorf("known of %d where it was taught, %d at the other", here, there)
				}
			})
		})
	}
}

func TestM4_ReplacementsAndDropsReachTheOtherReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newReplicas(t)
		defer p.stop()
		taught(t, p.a, "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/0A {}", "DEMSP NLCPA PUT RECEIVER chargingprofiles /S1 {}")
		synctest.Wait()
		taught(t, p.b, "NLSCS NLCPA PUT RECEIVER chargingprofiles /S1 {}")
		synctest.Wait()
		if diff := cmp.Diff([]ocpi.PartyKey{party(t, "NLSCS")}, p.a.Profile(party(t, "NLCPA"), "S1")); diff != "" {
			t.Errorf("profile:\n%s", diff)
		}
		authorize := request(t, "NLCPA", "DEMSP", "POST SENDER tokens /0A/authorize")
		p.b.correct(authorize, party(t, "NLMSP"))
		synctest.Wait()
		if diff := cmp.Diff([]ocpi.PartyKey{party(t, "NLMSP")}, p.a.Token("0A", "RFID")); diff != "" {
			t.Errorf("corrected:\n%s", diff)
		}
		p.b.Unlearn(request(t, "NLCPA", "NLMSP", "POST SENDER tokens /0A/authorize"), ocpi.UnknownToken)
		synctest.Wait()
		if left := p.a.Token("0A", "RFID"); len(left) != 0 {
			t.Errorf("still known of %v", left)
		}
	})
}

// What was heard is written by who was taught it; whoever is taught the same
// writes it too.
func TestWhatIsHeardIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newReplicas(t)
		defer p.stop()
		push := "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L1 {}"
		written := func() int { p.record.mu.Lock(); defer p.record.mu.Unlock(); return len(p.record.batches) }
		taught(t, p.a, push)
		time.Sleep(2 * saveEvery)
		if n := written(); n != 1 || p.to[1].told != 0 {
			t.Errorf("written %d times, told %d by who heard", n, p.to[1].told)
		}
		taught(t, p.b, push, push)
		time.Sleep(2 * saveEvery)
		if n := written(); n != 2 || p.to[1].told != 1 {
			t.Errorf("taught too: written %d times, told %d", n, p.to[1].told)
		}
	})
}

func TestAReplicaThatMissedNewsForgetsItsMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newReplicas(t)
		defer p.stop()
		open := request(t, "DEMSP", "", "GET SENDER locations /L1")
		known := func() int { p.b.Fetch(t.Context(), open); return len(p.b.Location("L1")) }
		taught(t, p.b, "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L1 {}")
		time.Sleep(saveEvery)
		p.to[1].setCut(true)
		synctest.Wait()
		taught(t, p.a, "DECPO DEMSP PUT RECEIVER locations /DE/CPO/L1 {}")
		time.Sleep(fetchAgainDeaf + saveEvery)
		if n := known(); n != 2 {
			t.Errorf("while nothing is heard: known of %d", n)
		}
		// Gone from the record: gone from a memory that cannot hear of it.
		p.record.mu.Lock()
		for key, lessons := range p.record.lessons {
			p.record.lessons[key] = lessons[:1]
		}
		p.record.mu.Unlock()
		time.Sleep(fetchAgainDeaf + time.Second)
		if n := known(); n != 1 {
			t.Errorf("what the record forgot: known of %d", n)
		}
		// What only this one knows is not forgotten with the rest.
		p.record.fail(errors.New("down"))
		taught(t, p.b, "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L2 {}")
		p.to[1].setCut(false)
		synctest.Wait()
		if one, two := len(p.b.Location("L1")), len(p.b.Location("L2")); one != 0 || two != 1 {
			t.Errorf("heard again: memory has %d and %d", one, two)
		}
		p.record.fail(nil)
		time.Sleep(saveAgain + saveEvery)
		if n := known(); n != 1 {
			t.Errorf("heard again: known of %d", n)
		}
	})
}

func TestKnownKeysLeaveQuestionsToUnknownOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newReplicas(t)
		defer p.stop()
		for i := range 2 * mostLookups {
			taught(t, p.a, fmt.Sprintf("NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L%d {}", i))
		}
		synctest.Wait()
		for i := range 2 * mostLookups {
			p.b.Fetch(t.Context(), request(t, "DEMSP", "", fmt.Sprintf("GET SENDER locations /L%d", i)))
		}
		if p.record.asked != mostLookups/2 {
			t.Errorf("asked %d times for what is known", p.record.asked)
		}
	})
}

// F2: a CPO PUTs a session at one replica and PATCHes it at the other at once.
func TestWhatIsOnItsWayFromAnotherReplicaIsWaitedFor(t *testing.T) {
	t.Parallel()
	taughtLater := func(after time.Duration) func(*testing.T, *replicas) {
		return func(t *testing.T, p *replicas) {
			time.Sleep(after)
			taught(t, p.a, "NLCPA DEMSP PUT RECEIVER sessions /NL/CPA/S1 {}")
		}
	}
	for _, test := range []struct {
		name  string
		line  string
		deaf  bool
		does  func(*testing.T, *replicas)
		found bool
		took  time.Duration
	}{
		{"the news arrive", "NLCPA  PATCH RECEIVER sessions /NL/CPA/S1 {}", false, taughtLater(20 * time.Millisecond), true, 20 * time.Millisecond},
		{"only the record tells", "NLCPA  PATCH RECEIVER sessions /NL/CPA/S1 {}", true, taughtLater(20 * time.Millisecond), true, lessonPatience},
		{"nobody was taught", "NLCPA  PATCH RECEIVER sessions /NL/CPA/S1 {}", false, func(*testing.T, *replicas) {}, false, lessonPatience},
		{"what is not made a moment ago", "DEMSP  GET SENDER tariffs /T1", false, func(*testing.T, *replicas) {}, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := network(t)
			d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{AllowPrivate: true}))
			for _, id := range []parties.PlatformID{"chargers", "drivers"} {
				d.Apply(s.Platform(id).Platform, 1)
			}
			synctest.Test(t, func(t *testing.T) {
				p := newReplicas(t)
				defer p.stop()
				if test.deaf {
					p.to[1].setCut(true)
					synctest.Wait()
				}
				r := NewRouter(RouterConfig{Directory: d, Hub: parties.Identity{Party: party(t, "EUBUS")}, Index: p.b})
				words := strings.SplitN(test.line, " ", 3)
				caller, _ := d.Snapshot().Find(party(t, words[0]), ocpi.ModuleTokens, ocpi.Receiver)
				began := time.Now()
				var doing sync.WaitGroup
				doing.Go(func() { test.does(t, p) })
				plan := r.decide(t.Context(), caller, request(t, words[0], "", words[2]))
				if took := time.Since(began); (plan.To.Party == party(t, "DEMSP")) != test.found || took != test.took {
					t.Errorf("to %v (%v) after %v", plan.To, plan.Refusal, took)
				}
				doing.Wait()
				if len(p.b.heard.waiting) != 0 {
					t.Error("somebody waits still")
				}
			})
		})
	}
}
