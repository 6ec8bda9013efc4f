package sqldb

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"busbar/catalog"
)

// mostRaces is how often a commit may be overtaken by another replica's before it
// holds all others back.
const mostRaces = 2

// mostInVain is from how many bytes sent in vain on the next commit does not race:
// large batches of replicas that commit all the time cost more than a round trip.
const mostInVain = 64 << 10

// turn is one commit on Postgres, on one connection.
type turn struct {
	*Catalog
	conn   *pgx.Conn
	have   int64
	decide catalog.Decide
	// lost are bytes that were sent in vain.
	lost int64
}

// commitBesideOthers writes by one statement that does nothing when the record is
// not as decide was told any more: replicas wait for each other only while the
// server executes it, however far away or frozen they are. It needs no transaction
// around it, and no read before it while no other replica commits.
//
// One that is far away would be overtaken again and again by one that is near.
// Hence it holds the others back at last: for one round trip.
//
// Where transactions are serializable by default, Postgres says by an error that
// another was faster.
func (s *Catalog) commitBesideOthers(ctx context.Context, have int64, decide catalog.Decide) (revision int64, err error) {
	conn, err := s.db.pools[0].Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	err = conn.Raw(func(driver any) (err error) {
		t := turn{Catalog: s, conn: driver.(*stdlib.Conn).Conn(), have: have, decide: decide}
		if s.inVain.Load() > mostInVain {
			revision, err = t.hold(ctx)
		} else {
			revision, err = t.race(ctx)
		}
		return err
	})
	return revision, err
}

func (t *turn) race(ctx context.Context) (revision int64, err error) {
	p, remembered := t.remembered()
	for races := 0; races < mostRaces; remembered = false {
		if !remembered {
			if p, err = t.read(ctx); err != nil {
				return 0, nothingWritten(err)
			}
		}
		rows := t.decide(p.rows, p.Revision+1, p.LastSeq)
		switch {
		case len(rows) > 0:
			won, err := t.write(ctx, rows, p.clock)
			if won || err != nil && !outOfStep(err) {
				t.inVain.Store(t.lost)
				return p.Revision + 1, err
			}
			t.lost += size(rows)
			races++
		case !remembered: // else only a look tells that it is so
			return p.Revision, nil
		}
	}
	return t.hold(ctx)
}

// remembered is the part behind have when, as far as is known, it is empty.
func (t *turn) remembered() (part, bool) {
	if known := t.known.Load(); known != nil && known.Revision == t.have {
		return part{clock: *known, upTo: t.have}, true
	}
	return part{}, false
}

var partOnPostgres = strings.ReplaceAll(partQuery, "?", "$1::bigint")

func (t *turn) read(ctx context.Context) (p part, err error) {
	rows, err := t.conn.Query(ctx, partOnPostgres, t.have)
	if err != nil {
		return part{}, err
	}
	defer rows.Close()
	if p, err = scanPart(rows); err != nil {
		return part{}, err
	}
	return p, p.behind()
}

// write commits rows if the clock is still now. What is sent at once is a
// transaction, and ends with it.
func (t *turn) write(ctx context.Context, rows []catalog.Row, now clock) (won bool, err error) {
	var batch pgx.Batch
	batch.Queue(limitsOfLocks)
	next := t.queue(&batch, rows, now, &won)
	if err := t.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return false, definite(err)
	}
	if won {
		t.known.Store(&next)
	}
	return won, nil
}

// hold commits while the clock's row is locked, and asks for the rows and the end at
// once.
func (t *turn) hold(ctx context.Context) (revision int64, err error) {
	defer t.release()
	p, err := t.lock(ctx)
	if err != nil {
		return 0, nothingWritten(err)
	}
	rows := t.decide(p.rows, p.Revision+1, p.LastSeq)
	if len(rows) == 0 {
		return p.Revision, nil
	}
	if t.lost == 0 && p.Revision > t.have {
		t.lost = size(rows) // they would have been sent in vain again
	}
	t.inVain.Store(t.lost)
	var end pgx.Batch
	var written bool
	next := t.queue(&end, rows, p.clock, &written)
	end.Queue("COMMIT")
	if err := t.conn.SendBatch(ctx, &end).Close(); err != nil {
		return 0, definite(err)
	}
	if !written {
		return 0, nothingWritten(errors.New("the clock went on while its row was locked"))
	}
	t.known.Store(&next)
	return next.Revision, nil
}

// lock asks at once for the lock and for what it lets be read.
func (t *turn) lock(ctx context.Context) (p part, err error) {
	var batch pgx.Batch
	batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED") // each statement looks anew
	batch.Queue(limitsOfLocks)
	batch.Queue("SELECT FROM catalog_clock WHERE id = 1 FOR UPDATE")
	batch.Queue(partOnPostgres, t.have).Query(func(rows pgx.Rows) (err error) {
		p, err = scanPart(rows)
		return err
	})
	if err := t.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return part{}, err
	}
	return p, p.behind()
}

// releaseTimeout bounds how long the end of a transaction is waited for, whose
// server may be out of reach.
const releaseTimeout = time.Second

// release ends a transaction that was not committed, with its connection if need
// be: the others wait for it.
func (t *turn) release() {
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if _, err := t.conn.Exec(ctx, "ROLLBACK"); err != nil {
		_ = t.conn.Close(ctx)
	}
}

// commitStatement writes all of a commit if the clock is as it is told: revision
// and last_seq ($1, $2).
//
// Revisions become visible in their order, whatever replicas do. Every commit
// changes the clock's one row. One that finds another's change of it not ended waits
// for its end, which other transactions see before it gives the row free, and then
// looks at the row anew. So a revision can be committed only by who has found the one
// before it committed, and who reads the clock sees the rows of all that it counts:
// both are of one statement's snapshot. Of what else the other has written this
// statement may see nothing, and needs nothing: ON CONFLICT finds the newest row in
// any case.
var commitStatement = "WITH clock AS (" +
	"UPDATE catalog_clock SET revision = $1::bigint + 1, last_seq = $3::bigint " +
	"WHERE id = 1 AND revision = $1::bigint AND last_seq = $2::bigint RETURNING revision), " +
	"noted AS (INSERT INTO outbox_commits (replica, revision, objects) " +
	// A conflict is with what was left by a record that was restored in part.
	"SELECT $4::text, revision, $5::bytea FROM clock ON CONFLICT DO NOTHING) " +
	"INSERT INTO catalog " + names(noColumns) + " SELECT written.* FROM clock, " + unnest(noColumns, 5) + " AS written " +
	catalogConflict

var noColumns = new(catalogColumnSet).columns()

func size(rows []catalog.Row) (bytes int64) {
	for i := range rows {
		bytes += int64(len(rows[i].Document))
	}
	return bytes
}

// queue adds the statement to a batch, and tells what the clock will be.
func (t *turn) queue(batch *pgx.Batch, rows []catalog.Row, now clock, written *bool) (next clock) {
	set, next := columnsOf(rows, now)
	arguments := append([]any{now.Revision, now.LastSeq, next.LastSeq, string(t.replica), set.objects()}, arrays(set.columns())...)
	batch.Queue(commitStatement, arguments...).Exec(func(tag pgconn.CommandTag) error {
		*written = tag.RowsAffected() > 0
		return nil
	})
	return next
}

// definite marks an error of a transaction's last words if it tells that there was
// no commit: the server refused a statement, which ends all that was sent with it,
// or nothing was sent. A server that ends the connection leaves it open.
func definite(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR" || pgconn.SafeToRetry(err) {
		return nothingWritten(err)
	}
	return err
}
