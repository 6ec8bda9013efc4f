package journal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"busbar/parties"
	"busbar/routing"
)

func TestFigures_AreThoseOfAllReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		lanes := map[routing.ReplicaID]int{"one": 3, "two": 4}
		start := func(id routing.ReplicaID) *Recorder {
			r, _ := run(t, Config{Feed: end{w, id}, Replica: id, Lanes: func() map[parties.PlatformID]int {
				return map[parties.PlatformID]int{"p": lanes[id]}
			}})
			return r
		}
		one, two := start("one"), start("two")
		for i := range 100 {
			fast, slow := passed(t, fmt.Sprint("a", i), "NLCPA", "DEMSP"), passed(t, fmt.Sprint("b", i), "NLCPA", "FRXXX")
			fast.Duration, fast.Peer = 2*time.Millisecond, time.Millisecond
			slow.Duration, slow.Peer, slow.Outcome = 5*time.Second, 4*time.Second, routing.OutcomeTimeout
			slow.Time = slow.Time.Add(-slow.Duration)
			one.Record(&fast)
			if i < 40 {
				two.Record(&slow)
			}
		}
		time.Sleep(5 * time.Second)
		for _, r := range []*Recorder{one, two} {
			f := r.Figures(t.Context())
			if f.Partial || f.Total.Messages != 140 || f.Total.Failed != 40 || len(f.Seconds) != 60 {
				t.Fatalf("partial %v, total %+v", f.Partial, f.Total)
			}
			if hub := f.Total.Hub; hub.P50 > 2*time.Millisecond || hub.P99 < 900*time.Millisecond || f.Total.Peer.P99 < 3600*time.Millisecond {
				t.Errorf("hub %v, peer %v", hub, f.Total.Peer)
			}
			if len(f.Failing) != 1 || f.Failing[0] != (Failing{party(t, "FRXXX"), 40, routing.OutcomeTimeout}) {
				t.Errorf("failing %v", f.Failing)
			}
			if len(f.Replicas) != 2 || f.Replicas[0].ID != r.cfg.Replica {
				t.Fatalf("replicas %+v", f.Replicas)
			}
			for _, replica := range f.Replicas {
				want := map[routing.ReplicaID]int{"one": 100, "two": 40}[replica.ID]
				if replica.Own.Messages != want || replica.Lanes["p"] != lanes[replica.ID] || replica.Since.After(time.Now()) {
					t.Errorf("replica %+v", replica)
				}
			}
		}
		w.Cut()
		if f := one.Figures(t.Context()); !f.Partial || len(f.Replicas) != 1 || f.Total.Messages != 100 || f.Replicas[0].ID != "one" {
			t.Errorf("without Redis: %+v", f.Replicas)
		}
	})
}

func TestFigures_OfALoneReplica(t *testing.T) {
	t.Parallel()
	r := New(Config{Replica: "r"})
	if f := r.Figures(t.Context()); f.Partial || len(f.Replicas) != 1 || f.Replicas[0].ID != "r" || len(f.Seconds) != 60 {
		t.Errorf("figures %+v", f.Replicas)
	}
}

// Clocks of replicas differ, in the worst case by hours: the minute of each is
// the last one.
func TestFigures_OfAReplicaWhoseClockIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for name, wrong := range map[string]time.Duration{
		"right": 0, "an hour ahead": time.Hour, "an hour behind": -time.Hour, "a second": time.Second, "ten seconds": -10 * time.Second,
	} {
		theirs := now.Add(wrong)
		p := newPulse()
		for i := range 30 {
			m := passed(t, fmt.Sprint(i), "NLCPA", "DEMSP")
			at := theirs.Add(time.Duration(i-40) * time.Second)
			m.Time = at.Add(-m.Duration)
			p.message(&m, at)
		}
		made := report{at: theirs.Add(-time.Second)}
		made.beats, made.failing = p.beats(theirs)
		read, err := readReport(made.pack())
		if err != nil {
			t.Fatal(err)
		}
		all := newPulse()
		all.absorb(read, now)
		if got := all.minute(now.Add(-figuresLate)).Total; got.Messages != 30 || got.Hub.P50 != p.minute(theirs).Total.Hub.P50 {
			t.Errorf("%s: total %+v", name, got)
		}
	}
}

func TestReport_OfALaterVersionOrNone(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "x", "\xff\xff\xff\xff\x0f"} {
		if _, err := readReport([]byte(raw)); err == nil {
			t.Errorf("%q is read", raw)
		}
	}
	if h := (stepsRecord{3, 1, 500, 2, 7}).histogram(); h.count != 3 || h.steps[127] != 2 {
		t.Errorf("histogram %+v", h)
	}
}
