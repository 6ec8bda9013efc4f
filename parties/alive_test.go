package parties

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

const minutes5 = 5 * time.Minute

func TestO3_WhenACheckIsDue(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration) time.Time { return begin.Add(d) }
	for _, test := range []struct {
		name  string
		pulse pulse
		want  time.Duration // after begin
	}{
		{"it called", pulse{seen: after(time.Minute)}, 6 * time.Minute},
		{"it called, and has its own time", pulse{seen: after(time.Minute), phase: 0.8}, 6*time.Minute + 30*time.Second},
		{"it was checked", pulse{seen: after(time.Minute), checked: after(2 * time.Minute)}, 7 * time.Minute},
		{"it called after the check", pulse{seen: after(3 * time.Minute), checked: after(2 * time.Minute)}, 8 * time.Minute},
		{"it called shortly before the start", pulse{seen: after(-time.Minute)}, 4 * time.Minute},
		{"it was overdue at the start", pulse{seen: after(-time.Hour), phase: 0.5}, 150 * time.Second},
		{"it was never seen", pulse{phase: 0.2}, time.Minute},
		{"it was never seen, and checked", pulse{checked: after(time.Minute)}, 6 * time.Minute},
		{"it is suspected", pulse{seen: after(time.Hour), checked: after(time.Minute), suspected: true}, 65 * time.Second},
		{"it is suspected, and was lost twice", pulse{checked: after(time.Minute), suspected: true, losses: 2}, 80 * time.Second},
		{"it became OFFLINE", pulse{seen: after(time.Hour), checked: after(time.Minute), offline: true, failures: 1}, 70 * time.Second},
		{"it became OFFLINE, and has its own time", pulse{checked: after(time.Minute), offline: true, failures: 1, phase: 0.8}, 71 * time.Second},
		{"it is OFFLINE for a while", pulse{checked: after(time.Minute), offline: true, failures: 4}, 140 * time.Second},
		{"it is OFFLINE for long", pulse{checked: after(time.Minute), offline: true, failures: 99}, 6 * time.Minute},
		{"it is OFFLINE, as another replica found", pulse{seen: after(time.Minute), offline: true}, 6 * time.Minute},
		{"it is suspected, and was lost often", pulse{checked: after(time.Minute), suspected: true, losses: 99}, 6 * time.Minute},
	} {
		if got := test.pulse.due(begin, minutes5).Sub(begin); got != test.want {
			t.Errorf("%s: due after %s, want %s", test.name, got, test.want)
		}
	}
	if (pulse{suspected: true}).due(begin, minutes5).After(begin) {
		t.Error("a suspected platform that was never checked is not due at once")
	}
}

// world answers still-alive checks.
type world struct {
	mu     sync.Mutex
	dead   map[PlatformID]bool
	asked  map[PlatformID]int
	at     []time.Time
	slow   time.Duration
	now    int // being asked
	atOnce int
}

func (w *world) ask(ctx context.Context, p *Platform) error {
	w.mu.Lock()
	w.asked[p.ID]++
	w.at = append(w.at, time.Now())
	w.now++
	w.atOnce = max(w.atOnce, w.now)
	slow, dead := w.slow, w.dead[p.ID]
	w.mu.Unlock()
	pause(ctx, slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now--
	if dead {
		return errors.New("nobody answers")
	}
	return nil
}

func (w *world) kill(ids ...PlatformID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.dead[id] = true
	}
}

func (w *world) raise(ids ...PlatformID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		delete(w.dead, id)
	}
}

// checks are how often platforms were asked since the last call.
func (w *world) checks() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(w.asked)) {
		texts = append(texts, fmt.Sprintf("%s %d", id, w.asked[id]))
	}
	clear(w.asked)
	return strings.Join(texts, ", ")
}

// watching runs a monitor over the platforms, in virtual time. Its platforms
// have no time of their own, so that a test can tell when they are checked.
func watching(t *testing.T, platforms ...Platform) (*monitored, *world) {
	t.Helper()
	return watchingWith(t, func(*MonitorConfig) {}, platforms...)
}

// watchingWith is watching with another configuration.
func watchingWith(t *testing.T, change func(*MonitorConfig), platforms ...Platform) (*monitored, *world) {
	t.Helper()
	m := newMonitored(t, newMemory(), minutes5)
	change(&m.monitor.cfg)
	for _, p := range platforms {
		m.has(p)
	}
	w := &world{dead: make(map[PlatformID]bool), asked: make(map[PlatformID]int)}
	m.monitor.ask = w.ask
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); m.monitor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended // Run ends with its context, and with it all that it began
	})
	synctest.Wait()
	return m, w
}

// passes lets time go by.
func passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (m *monitored) status(id PlatformID) ocpi.ConnectionStatus {
	return m.directory.Snapshot().Platform(id).Platform.Status
}

func (m *monitored) wantStatus(when string, id PlatformID, want ocpi.ConnectionStatus) {
	m.Helper()
	if got := m.status(id); got != want {
		m.Errorf("%s %s is %s, want %s", when, id, got, want)
	}
	if stored, err := m.store.Get(m.Context(), id); err != nil || stored.Status != want {
		m.Errorf("%s %s is stored as %s, %v, want %s", when, id, stored.Status, err, want)
	}
}

// now is a platform that called just now.
func now(p Platform) Platform {
	p.LastSeen = time.Now()
	return p
}

func TestO3_SilenceIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "cpo", "NLCPA CPO")), now(member(t, "msp", "DEMSP EMSP")))
		passes(4 * time.Minute)
		m.directory.Snapshot().Platform("msp").Seen(time.Now())
		if got := w.checks(); got != "" {
			t.Errorf("checked after 4 minutes: %s", got)
		}
		passes(2 * time.Minute)
		if got := w.checks(); got != "cpo 1" {
			t.Errorf("checked after 6 minutes: %q, want the silent one", got)
		}
		m.wantStatus("after a good answer", "cpo", ocpi.Connected)
		if since := time.Since(m.directory.Snapshot().Platform("cpo").LastSeen()); since > time.Minute {
			t.Errorf("the answer is not a sign of life: last seen %s ago", since)
		}

		w.kill("cpo")
		passes(6 * time.Minute)
		m.wantStatus("after no answer", "cpo", ocpi.Offline)
		m.wantPushed("the outage", "msp: NLCPA CPO OFFLINE")
		w.checks()
		passes(20 * time.Minute)
		w.checks()
		passes(12 * time.Minute)
		if got := w.checks(); !strings.HasPrefix(got, "cpo 2") && !strings.HasPrefix(got, "cpo 3") { // its phase is drawn
			t.Errorf("checks of an OFFLINE platform within 12 minutes: %s, want 2 or 3", got)
		}
		w.raise("cpo")
		passes(6 * time.Minute)
		m.wantStatus("after an answer", "cpo", ocpi.Connected)
		m.wantPushed("the return", "msp: NLCPA CPO CONNECTED")
		away, err := time.ParseDuration(strings.TrimPrefix(m.cameBack(), "cpo "))
		if got := away; err != nil || got < 32*time.Minute { // since before the outage
			t.Errorf("told that it came back after %s, %v", got, err)
		}
	})
}

func TestO3_WhoIsOfflineByMistakeIsConnectedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "cpo", "NLCPA CPO")), now(member(t, "msp", "DEMSP EMSP")))
		w.kill("cpo")
		m.monitor.Suspect("cpo")
		passes(time.Second)
		m.wantStatus("a short outage:", "cpo", ocpi.Offline)
		passes(2 * offlinePause)
		w.raise("cpo")
		passes(2*offlinePause + 5*time.Second)
		m.wantStatus("half a minute later,", "cpo", ocpi.Connected)
		m.wantPushed("the outage", "msp: NLCPA CPO CONNECTED, msp: NLCPA CPO OFFLINE") // in any order
	})
}

func TestO3_OnlyPlatformsThatMayBeThereAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		planned, held, left := member(t, "planned", "NLAAA CPO"), member(t, "held", "NLBBB CPO"), member(t, "left", "NLCCC CPO")
		planned.Version, planned.Status = "", ocpi.Planned
		held.Held, held.Status = true, ocpi.Suspended
		left.Version, left.Status = "", ocpi.Suspended
		m, w := watching(t, planned, held, left)
		w.kill("planned", "held", "left")
		for _, id := range []PlatformID{"planned", "held", "left", "unknown"} {
			m.monitor.Suspect(id)
			m.monitor.Heard(id)
		}
		passes(time.Hour)
		if got := w.checks(); got != "" {
			t.Errorf("checked %s", got)
		}
		m.wantStatus("though it called,", "planned", ocpi.Planned)
		m.wantStatus("though it called,", "left", ocpi.Suspended)
		if got := m.cameBack(); got != "" {
			t.Errorf("%s came back", got)
		}
	})
}

func TestO3_WhoCallsIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cpo := now(member(t, "cpo", "NLCPA CPO"))
		cpo.Status, cpo.StatusSince = ocpi.Offline, time.Now().Add(-time.Hour)
		m, w := watching(t, cpo, now(member(t, "msp", "DEMSP EMSP")))
		for range 1000 {
			m.monitor.Heard("cpo")
		}
		synctest.Wait()
		m.wantStatus("after a call", "cpo", ocpi.Connected)
		m.wantPushed("a call", "msp: NLCPA CPO CONNECTED")
		if got := m.cameBack(); got != "cpo 1h5m0s" {
			t.Errorf("told that %q came back", got)
		}
		if revision, _ := m.store.Revision(t.Context()); revision != 3 || w.checks() != "" {
			t.Errorf("revision %d: many calls were many changes, or a call was checked", revision)
		}
	})
}

func TestO3_ACallIsNotForgottenWhileTheDatabaseIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cpo := now(member(t, "cpo", "NLCPA CPO"))
		cpo.Status = ocpi.Offline
		m, _ := watching(t, cpo)
		m.store.mu.Lock()
		m.store.down = errors.New("down")
		m.store.mu.Unlock()
		m.monitor.Heard("cpo")
		passes(0)
		m.store.mu.Lock()
		m.store.down = nil
		m.store.mu.Unlock()
		m.monitor.Heard("cpo") // its next call
		passes(storeFailurePause)
		m.wantStatus("after the database is back", "cpo", ocpi.Connected)
	})
}

func TestO3_ASuspectIsCheckedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "cpo", "NLCPA CPO")), now(member(t, "msp", "DEMSP EMSP")))
		for range 100 {
			m.monitor.Suspect("cpo")
			synctest.Wait()
		}
		if got := w.checks(); got != "cpo 1" {
			t.Errorf("checked at once: %q, want cpo once", got)
		}
		m.wantStatus("a wrong suspicion:", "cpo", ocpi.Connected)
		w.kill("cpo")
		// That it called another replica says nothing of whether it can be called.
		if err := m.store.Seen(t.Context(), map[PlatformID]time.Time{"cpo": time.Now().Add(time.Second)}); err != nil {
			t.Fatal(err)
		}
		passes(suspectPause + time.Second)
		if got := w.checks(); got != "cpo 1" {
			t.Errorf("checked after a pause: %q, want cpo once more", got)
		}
		m.wantStatus("a right one:", "cpo", ocpi.Offline)
		m.monitor.Suspect("cpo")
		passes(time.Minute)
		if got := w.checks(); got != "" {
			t.Errorf("an OFFLINE platform was suspected: %s", got)
		}
	})
}

func TestO3_WhoCallsAndCannotBeCalledDoesNotComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "cpo", "NLCPA CPO")), now(member(t, "msp", "DEMSP EMSP")))
		w.kill("cpo")
		for range 600 { // every second a call of its own, and one to it that fails
			m.directory.Snapshot().Platform("cpo").Seen(time.Now())
			if m.status("cpo") == ocpi.Offline {
				m.monitor.Heard("cpo")
			}
			m.monitor.Suspect("cpo")
			passes(time.Second)
		}
		if n := strings.Count(m.pushed(), "OFFLINE"); n < 2 || n > 8 {
			t.Errorf("it went OFFLINE %d times in ten minutes", n)
		}
		w.raise("cpo")
		passes(2 * minutes5)
		m.wantStatus("mended,", "cpo", ocpi.Connected)
		w.kill("cpo")
		passes(suspectPause)
		m.monitor.Suspect("cpo")
		passes(suspectPause + time.Second)
		m.wantStatus("broken anew,", "cpo", ocpi.Offline)
	})
}

func TestO3_ACallDuringTheCheckCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "cpo", "NLCPA CPO")), now(member(t, "other", "NLCPB CPO")))
		w.slow = 10 * time.Second
		w.kill("cpo", "other")
		m.monitor.Suspect("cpo")
		m.monitor.Suspect("other")
		passes(time.Second)
		m.directory.Snapshot().Platform("cpo").Seen(time.Now())
		if err := m.store.Seen(t.Context(), map[PlatformID]time.Time{"other": time.Now()}); err != nil { // at another replica
			t.Fatal(err)
		}
		passes(10 * time.Second)
		m.wantStatus("after a call", "cpo", ocpi.Connected)
		m.wantStatus("after a call elsewhere", "other", ocpi.Connected)
	})
}

func TestO3_AChangeDuringTheCheckCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "renewed", "NLCPA CPO")), now(member(t, "held", "NLCPB CPO")))
		w.slow = 10 * time.Second
		w.kill("renewed", "held")
		m.monitor.Suspect("renewed")
		m.monitor.Suspect("held")
		passes(time.Second)
		m.set("renewed", func(p *Platform) { p.Outbound = ocpi.NewCredentialsToken() })
		if _, err := m.registrar.Suspend(t.Context(), "held"); err != nil {
			t.Fatal(err)
		}
		passes(10 * time.Second)
		m.wantStatus("with another token", "renewed", ocpi.Connected)
		m.wantStatus("suspended by the operator", "held", ocpi.Suspended)
	})
}

func TestO3_WhoCallsAnotherReplicaIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := watching(t, now(member(t, "cpo", "NLCPA CPO")))
		for range 10 {
			passes(4 * time.Minute)
			if err := m.store.Seen(t.Context(), map[PlatformID]time.Time{"cpo": time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		if got, asked := w.checks(), m.store.asked(); got != "" || asked > 20 {
			t.Errorf("checked %q, and asked the record %d times", got, asked)
		}
		w.kill("cpo")
		passes(minutes5 + minutes5/8 + time.Second) // since it last called there
		m.wantStatus("silent everywhere", "cpo", ocpi.Offline)
	})
}

// many platforms, seen at the same moment.
func crowd(t *testing.T, n int, seen time.Time) []Platform {
	var list []Platform
	for i := range n {
		p := member(t, PlatformID(fmt.Sprintf("p%03d", i)), fmt.Sprintf("NL%03d CPO", i))
		p.LastSeen = seen
		list = append(list, p)
	}
	return list
}

func TestO3_ChecksAreSpread(t *testing.T) {
	for name, seen := range map[string]time.Duration{"all were overdue at the start": -time.Hour, "all fell silent at once": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, w := watching(t, crowd(t, 200, time.Now().Add(seen))...)
				passes(11 * time.Minute)
				if len(w.at) < 200 {
					t.Fatalf("%d checks of 200 platforms", len(w.at))
				}
				most := 0
				for i, from := range w.at {
					n := 0
					for _, other := range w.at[i:] {
						if other.Sub(from) < time.Second {
							n++
						}
					}
					most = max(most, n)
				}
				if most > 40 {
					t.Errorf("%d checks within a second", most)
				}
			})
		})
	}
}

func TestO3_FewChecksRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := crowd(t, 40, time.Now())
		m, w := watching(t, list...)
		w.slow = 10 * time.Second
		for _, p := range list {
			w.kill(p.ID)
			m.monitor.Suspect(p.ID)
		}
		passes(51 * time.Second)
		if w.atOnce != mostChecks {
			t.Errorf("%d checks ran at once, want %d", w.atOnce, mostChecks)
		}
		for _, p := range list {
			m.wantStatus("in turn", p.ID, ocpi.Offline)
		}
	})
}

func TestO3_OneReplicaAsksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mine atomic.Bool
		m, w := watchingWith(t, func(c *MonitorConfig) {
			c.Mine = func(id PlatformID) bool { return id == "mine" || mine.Load() }
		}, now(member(t, "mine", "NLCPA CPO")), now(member(t, "theirs", "DEMSP EMSP")))
		passes(6 * time.Minute)
		if got := w.checks(); got != "mine 1" {
			t.Errorf("checked %s", got)
		}
		m.monitor.Suspect("theirs") // it could not be reached from here
		passes(time.Second)
		if got := w.checks(); got != "theirs 1" {
			t.Errorf("checked %s: who suspects, asks", got)
		}
		w.kill("theirs")
		m.monitor.Suspect("theirs")
		passes(10 * time.Second)
		m.wantStatus("after no answer", "theirs", ocpi.Offline)
		w.checks()
		w.raise("theirs")
		passes(time.Minute)
		m.wantStatus("asked soon by who found it,", "theirs", ocpi.Connected)
		w.checks()
		mine.Store(true) // the other replica is gone
		passes(7 * time.Minute)
		if got := w.checks(); got != "mine 1, theirs 1" {
			t.Errorf("checked %s", got)
		}
	})
}
