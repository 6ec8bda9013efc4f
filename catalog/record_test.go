package catalog_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"busbar/catalog"
)

// record is a Store in memory that can fail. Several catalogs may share it, as
// replicas do.
type record struct {
	mu                sync.Mutex
	rows              map[catalog.Key]catalog.Row
	written           []catalog.Key // one for each write, in order
	revision, lastSeq int64
	commits, loads    int
	// asked counts questions for the revision.
	asked     int
	forgotten time.Time
	// by are who committed.
	by map[int64]*seat

	// fail is what every call answers; failAfter is what Commit answers after it
	// committed.
	fail, failAfter error
	// downAfter tells that nothing is answered after failAfter.
	downAfter bool
	// instead, when it is not nil, replaces what the next Commit would write: another
	// replica writes it.
	instead func(catalog.Row) catalog.Row
	// withheld, when it is not nil, gets what Commit would write, by withheldBy.
	withheld   func(catalog.Row)
	withheldBy *seat
	// page, when it is not 0, is after how many rows Since ends.
	page int
	// most, when it is not 0, is how many rows of others a Commit reads at most.
	most int
	// gate, when it is not nil, holds every Commit until it can receive.
	gate chan struct{}
	// interrupts is how many Commits, once decided, the record's server ends by
	// itself.
	interrupts int
	// hangs tells that Revision answers only when its caller gives up.
	hangs bool
	// settleHangs is the same of Settle; decides lets Commit decide before the gate.
	settleHangs, decides bool
}

var errDown = errors.New("the record is down")

func newRecord() *record {
	return &record{rows: make(map[catalog.Key]catalog.Row), by: make(map[int64]*seat)}
}

func (r *record) set(change func(*record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *record) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *record) Revision(ctx context.Context) (int64, error) {
	r.mu.Lock()
	r.asked++
	if r.hangs {
		r.mu.Unlock()
		<-ctx.Done()
		return 0, ctx.Err()
	}
	defer r.mu.Unlock()
	return r.revision, r.fail
}

func (r *record) since(revision int64) (rows []catalog.Row) {
	seen := make(map[catalog.Key]bool)
	for _, k := range slices.Backward(r.written) {
		row := r.rows[k]
		if row.Revision <= revision && !seen[k] {
			break
		}
		if !seen[k] {
			seen[k] = true
			row.Document = slices.Clone(row.Document)
			rows = append(rows, row)
		}
	}
	slices.Reverse(rows)
	return rows
}

func (r *record) Load(_ context.Context, each func(catalog.Row) error) (int64, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads++
	rows := slices.SortedFunc(maps.Values(r.rows), func(a, b catalog.Row) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, row := range rows {
		if row.Deleted {
			continue
		}
		row.Document = slices.Clone(row.Document)
		if err := each(row); err != nil {
			return 0, 0, err
		}
	}
	return r.revision, r.lastSeq, r.fail
}

func (r *record) Since(_ context.Context, revision int64) ([]catalog.Row, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := r.since(revision)
	if r.page == 0 || len(rows) <= r.page {
		return rows, r.revision, r.fail
	}
	upTo := rows[r.page-1].Revision
	end := slices.IndexFunc(rows, func(row catalog.Row) bool { return row.Revision > upTo })
	if end < 0 {
		end = len(rows)
	}
	return rows[:end], upTo, r.fail
}

// seat is the record as one replica has it.
type seat struct{ *record }

func (s *seat) Commit(ctx context.Context, have int64, decide catalog.Decide) (int64, error) {
	return s.commit(ctx, s, have, decide)
}

func (s *seat) Settle(ctx context.Context, revision int64) (written bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settleHangs {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return false, ctx.Err()
	}
	if s.fail != nil {
		return false, s.fail
	}
	if s.revision == revision-1 {
		s.revision = revision
	}
	return s.by[revision] == s, nil
}

func (r *record) commit(ctx context.Context, by *seat, have int64, decide catalog.Decide) (int64, error) {
	r.mu.Lock()
	gate := r.gate
	if r.decides {
		decide(r.since(have), r.revision+1, r.lastSeq)
	}
	r.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return 0, r.fail
	}
	newer := r.since(have)
	if r.most > 0 && len(newer) > r.most {
		return 0, catalog.ErrBehind
	}
	rows := decide(newer, r.revision+1, r.lastSeq)
	if len(rows) == 0 {
		return r.revision, nil
	}
	if r.interrupts > 0 {
		r.interrupts--
		return 0, fmt.Errorf("%w: the clock jumped", catalog.ErrInterrupted)
	}
	if r.withheld != nil {
		r.withheldBy = by
		for _, row := range rows {
			row.Revision = r.revision + 1
			r.withheld(row)
		}
		if r.downAfter {
			r.fail = r.failAfter
		}
		return 0, r.failAfter
	}
	r.revision++
	r.commits++
	if r.by[r.revision] = by; r.instead != nil {
		r.by[r.revision] = nil
	}
	for _, row := range rows {
		if old, ok := r.rows[row.Key]; ok && old.Revision == r.revision {
			panic("an object was written twice in one commit")
		}
		row.Revision = r.revision
		if r.instead != nil {
			row = r.instead(row)
		}
		r.rows[row.Key] = row
		r.written = append(r.written, row.Key)
		r.lastSeq = max(r.lastSeq, row.Seq)
	}
	if r.downAfter {
		r.fail = r.failAfter
	}
	return r.revision, r.failAfter
}

func (r *record) ForgetDeleted(_ context.Context, before time.Time) (n int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten = before
	for k, row := range r.rows {
		if row.Deleted && row.ChangedAt.Before(before) {
			delete(r.rows, k)
			n++
		}
	}
	return n, r.fail
}
