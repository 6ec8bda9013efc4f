package faults

import (
	"database/sql"
	"fmt"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// after is the pace of a test's own doings: faults last.
func after(d time.Duration) { <-time.After(d) }

// database is a connection to the record past the lines.
func (c *cluster) database() *sql.DB {
	c.t.Helper()
	pool, err := sql.Open("pgx", c.postgres)
	if err != nil {
		c.t.Fatal(err)
	}
	return pool
}

// wantNothingOpen holds that the record and the streams forget what has ended.
func (c *cluster) wantNothingOpen() {
	c.t.Helper()
	pool := c.database()
	defer pool.Close()
	deadline := time.After(settle)
	for {
		var open []string
		for _, query := range []string{"SELECT count(*) FROM outbox_commits", "SELECT count(*) FROM outbox_parcels WHERE sealed IS NOT NULL AND ended_at IS NULL"} {
			var n int
			if err := pool.QueryRow(query).Scan(&n); err != nil {
				c.t.Fatalf("%s: %v", query, err)
			}
			if n > 0 {
				open = append(open, fmt.Sprintf("%s: %d", query, n))
			}
		}
		if len(open) == 0 {
			return
		}
		select {
		case <-deadline:
			c.t.Errorf("everything arrived, but is open still: %s", strings.Join(open, "; "))
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
