package faults

import (
	"database/sql"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// jumps are what a clock does in turn, each for a few seconds.
var jumps = []time.Duration{time.Hour, 0, -time.Hour, 0}

// TestClock_JumpsOfAnHour: of the servers, of one replica, and of all, under load.
func TestClock_JumpsOfAnHour(t *testing.T) {
	t.Parallel()
	defaults := func(s *hub.Settings) { s.AliveInterval = "5m" } // an hour is much longer
	t.Run("of Postgres and Redis", func(t *testing.T) {
		t.Parallel()
		bendable(t)
		postgres, redis := newPostgres(t), newRedis(t)
		c := newCluster(t, 3, stores{postgres: postgres.url, redis: redis, settings: defaults})
		c.jump(func(off time.Duration) {
			postgres.bend(off)
			redis.bend(off)
			c.wantServerClock(off)
		})
	})
	for name, jumping := range map[string]int{"of one replica": 1, "of all replicas": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bendable(t)
			c := newCluster(t, 3, stores{settings: defaults})
			c.jump(func(off time.Duration) {
				for _, r := range c.replicas[:jumping] {
					hubtest.BendClock(t, off, r.PID())
					r.wantClock(t, off)
				}
			})
		})
	}
}

// TestClock_ACommitThatPostgresInterruptsIsTriedAgain: Postgres limits how long a
// transaction waits for another, by its wall clock. When that jumps, it ends those
// that wait; the sender of a push is not told.
func TestClock_ACommitThatPostgresInterruptsIsTriedAgain(t *testing.T) {
	t.Parallel()
	bendable(t)
	postgres := newPostgres(t)
	c := newCluster(t, 1, stores{postgres: postgres.url})
	m := c.market(people{msps: 2})
	pool := c.database()
	defer pool.Close()
	other, err := pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback() }()
	if _, err := other.Exec("SELECT FROM catalog_clock FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		resp, err := c.replicas[0].TrySend(hubtest.Request{
			Method: "PUT", Path: "/ocpi/2.2.1/receiver/locations/NL/CP0/L", To: "EU/BUS", Token: m.cpos[0].TokenC,
			Body: `{"country_code":"NL","party_id":"CP0","id":"L","last_updated":"2026-01-01T00:00:00Z"}`,
		})
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- fmt.Sprintf("HTTP %d OCPI %d", resp.Status, resp.OCPI())
	}()
	waits := awaitWaiting(t, pool, "")
	postgres.bend(time.Hour)
	awaitWaiting(t, pool, waits)
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != "HTTP 200 OCPI 1000" {
		t.Errorf("the push: %s", got)
	}
}

// awaitWaiting waits until a transaction of the hub waits for a lock, another one
// than before, and tells which.
func awaitWaiting(t *testing.T, pool *sql.DB, before string) (transaction string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		err := pool.QueryRow("SELECT pid || ' ' || xact_start FROM pg_stat_activity " +
			"WHERE application_name = 'busbar' AND wait_event_type = 'Lock'").Scan(&transaction)
		if err == nil && transaction != before {
			return transaction
		}
		select {
		case <-deadline:
			t.Fatalf("no transaction waits but %q: %v", transaction, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func bendable(t *testing.T) {
	t.Helper()
	if !hubtest.BendsClocks {
		t.Skip("the clock of one process can be bent on linux/amd64 only")
	}
}

// jump holds that nothing is lost, refused or disordered while clocks jump.
func (c *cluster) jump(set func(time.Duration)) {
	c.t.Helper()
	m := c.market(people{msps: 4, slow: 1})
	c.underLoad(m, rates{}, func() {
		after(2 * time.Second)
		for _, off := range jumps {
			set(off)
			after(4 * time.Second)
		}
	})
	m.wantUnharmed()
	c.wantNothingOpen()
}

// wantClock holds that the replica's clock is wrong by that much indeed: its
// answers say so.
func (r *replica) wantClock(t *testing.T, off time.Duration) {
	t.Helper()
	resp, err := http.Get(r.AdminURL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	says, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	if wrong := says.Sub(time.Now().Add(off)).Abs(); wrong > time.Minute {
		t.Errorf("%s should be wrong by %s; it says %s", r.name, off, says)
	}
}

// bend makes the clock of a server, and of its children, wrong.
func (s *server) bend(off time.Duration) {
	s.t.Helper()
	// While it is stopped, it has no new children.
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	hubtest.BendClock(s.t, off, append(hubtest.Children(s.t, s.cmd.Process.Pid), s.cmd.Process.Pid)...)
}

// wantServerClock holds that the servers see the wrong clock indeed.
func (c *cluster) wantServerClock(off time.Duration) {
	c.t.Helper()
	var postgres time.Time
	pool := c.database()
	defer pool.Close()
	if err := pool.QueryRow("SELECT clock_timestamp()").Scan(&postgres); err != nil {
		c.t.Fatal(err)
	}
	client := c.redis.client()
	defer client.Close()
	redis, err := client.Time(c.t.Context()).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	for name, says := range map[string]time.Time{"Postgres": postgres, "Redis": redis} {
		if says.Sub(time.Now().Add(off)).Abs() > time.Minute {
			c.t.Errorf("the clock of %s should be wrong by %s; it says %s", name, off, says)
		}
	}
}
