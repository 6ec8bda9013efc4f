package routing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

func TestP4_TheMarkIsBelowWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, story string
		want        int64
	}{
		{"nothing happened", "", 10},
		{"one is under way", "begin 11, settled 11", 10},
		{"one has ended", "begin 11, settled 11, end 11", 11},
		{"one has ended before its batch was told of", "begin 11, end 11", 10},
		{"two of a batch, one has ended", "begin 11, begin 11, settled 11, end 11", 10},
		{"two of a batch, both have ended", "begin 11, begin 11, settled 11, end 11, end 11", 11},
		{"a later one has ended", "begin 11, settled 11, begin 12, settled 12, end 12", 10},
		{"both have, in the other order", "begin 11, settled 11, begin 12, settled 12, end 12, end 11", 12},
		{"a gap: a batch that nobody is sent", "settled 14", 14},
		{"the first has ended, the third not", "begin 11, begin 12, begin 13, settled 13, end 11, end 12", 12},
		{"one that is owed stays open", "begin 11, settled 11, begin 11, end 11", 10},
		{"an older one begins late", "begin 15, settled 15, begin 12, end 15", 11},
		{"one that had ended begins anew", "begin 11, begin 12, settled 12, end 12, begin 12, end 11", 11},
		{"a repetition of what the record had", "begin 10, settled 10", 9},
		{"what is not kept does not count", "begin 0, settled 11, end 0", 11},
		{"an end of nothing", "settled 11, end 11, end 5", 11},
		{"what is cut off stays open", "begin 11, settled 11, freeze, end 11", 10},
		{"a restored record", "settled 14, settled 3", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &Marks{settled: 10}
			for step := range strings.SplitSeq(test.story, ", ") {
				var revision int64
				word, rest, _ := strings.Cut(step, " ")
				_, _ = fmt.Sscan(rest, &revision)
				switch word {
				case "begin":
					m.begin(revision)
				case "end":
					m.end(revision)
				case "settled":
					m.Settled(revision)
				case "freeze":
					m.freeze()
				}
			}
			if got := m.mark(); got != test.want {
				t.Errorf("the mark is %d, want %d", got, test.want)
			}
		})
	}
}

func TestOneSlowReceiverDoesNotMakeTheMarkGrow(t *testing.T) {
	t.Parallel()
	m := &Marks{}
	m.begin(1)
	for revision := int64(2); revision < 10_000; revision++ {
		m.begin(revision)
		m.Settled(revision)
		m.end(revision)
	}
	if len(m.open) > 200 || m.mark() != 0 {
		t.Errorf("%d revisions are kept, the mark is %d", len(m.open), m.mark())
	}
	if m.end(1); len(m.open) != 0 || m.idle != 0 || m.mark() != 9999 {
		t.Errorf("%d are kept, %d idle, the mark is %d", len(m.open), m.idle, m.mark())
	}
}

// markRecord is a record of the catalog and the mark. Since ends with every
// revision, and fails the first times.
type markRecord struct {
	mu       sync.Mutex
	revision int64
	rows     []catalog.Row
	fails    int
	mark     int64
	saved    bool
}

func (r *markRecord) Revision(context.Context) (int64, error) { return r.revision, nil }

func (r *markRecord) Since(_ context.Context, after int64) ([]catalog.Row, int64, error) {
	if r.fails > 0 {
		r.fails--
		return nil, 0, fmt.Errorf("the record is away")
	}
	for revision := after + 1; revision <= r.revision; revision++ {
		var rows []catalog.Row
		for _, row := range r.rows {
			if row.Revision == revision {
				rows = append(rows, row)
			}
		}
		if len(rows) > 0 {
			return rows, revision, nil
		}
	}
	return nil, r.revision, nil
}

func (r *markRecord) Mark(context.Context) (int64, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark, r.saved, nil
}

func (r *markRecord) SaveMark(_ context.Context, mark int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark, r.saved = mark, true
	return nil
}

// rowOf reads "7 tariffs T1", "7 tariffs T1 deleted": an object of NL/CPA.
func rowOf(t *testing.T, words string) catalog.Row {
	t.Helper()
	f := strings.Fields(words)
	row := catalog.Row{Key: catalog.Key{Module: ocpi.ModuleID(f[1]), Owner: party(t, "NLCPA"), ID: strings.ToLower(f[2])}}
	_, _ = fmt.Sscan(f[0], &row.Revision)
	if row.Deleted = len(f) > 3; !row.Deleted {
		row.Document = []byte(`{"id":"` + f[2] + `"}`)
	}
	return row
}

// appended is a log that only remembers.
type appended struct{ broadcasts []*Broadcast }

func (a *appended) Append(b *Broadcast, _ func()) {
	a.broadcasts = append(a.broadcasts, b)
}

func (*appended) Run(context.Context, func(Handed)) {}

func newMarks(t *testing.T, record *markRecord) *Marks {
	t.Helper()
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{}))
	d.Apply(platform("chargers", func(p *parties.Platform) { p.Status, p.Revision = ocpi.Connected, 1 }, role(t, "NLCPA", ocpi.RoleCPO)), 1)
	m, err := NewMarks(t.Context(), MarksConfig{Store: record, Record: record, Directory: d, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestP4_WhatTheLastProcessLeftIsSentAgainInItsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := &markRecord{revision: 9, mark: 4, saved: true, fails: 2}
		for _, words := range []string{"3 locations old", "5 locations L/1", "7 tariffs T1 deleted", "7 tariffs T2", "8 sessions S1", "9 locations l2"} {
			record.rows = append(record.rows, rowOf(t, words))
		}
		m := newMarks(t, record)
		// Pushed since, and in the record before the replay reads it.
		record.rows, record.revision = append(record.rows, rowOf(t, "10 locations new")), 10
		log, ready := &appended{}, make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { defer close(ran); m.Run(ctx, ready, m.Log(log)) }()
		synctest.Wait()
		if len(log.broadcasts) > 0 {
			t.Error("something is sent before the catalog is complete")
		}
		close(ready)
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		var got []string
		for _, b := range log.broadcasts {
			if b.From != b.Owner || b.Platform != "chargers" || b.CorrelationID == "" || !b.Present || b.Body != nil {
				t.Errorf("appended %+v", b)
			}
			got = append(got, fmt.Sprint(b.Revision, " ", b.Path, " ", b.Object))
		}
		if diff := cmp.Diff([]string{
			"5 /NL/CPA/L%2F1 locations/NLCPA/l/1", "7 /NL/CPA/t1 tariffs/NLCPA/t1", "7 /NL/CPA/T2 tariffs/NLCPA/t2", "9 /NL/CPA/l2 locations/NLCPA/l2",
		}, got); diff != "" {
			t.Error(diff)
		}
		if mark, _, _ := record.Mark(ctx); mark != 4 {
			t.Errorf("the mark is %d before anything arrived", mark)
		}
		for _, b := range log.broadcasts[:3] {
			m.end(b.Revision)
		}
		time.Sleep(time.Minute)
		if mark, _, _ := record.Mark(ctx); mark != 8 {
			t.Errorf("the mark is %d, want 8", mark)
		}
		m.end(9)
		m.Settled(10)
		cancel()
		<-ran
		if err := m.Save(t.Context()); err != nil || record.mark != 10 {
			t.Errorf("at the end the mark is %d, %v", record.mark, err)
		}
	})
}

func TestTheFirstStartWithAMarkSendsNothingAgain(t *testing.T) {
	t.Parallel()
	record := &markRecord{revision: 9, rows: []catalog.Row{rowOf(t, "5 locations L1")}}
	m := newMarks(t, record)
	if !record.saved || record.mark != 9 || m.mark() != 9 {
		t.Errorf("the mark is %d, %d is saved", m.mark(), record.mark)
	}
	log := &appended{}
	if !m.replay(t.Context(), log) || len(log.broadcasts) > 0 {
		t.Errorf("%d are sent again", len(log.broadcasts))
	}
}

func TestARecordThatWasRestoredSendsNothingAgain(t *testing.T) {
	t.Parallel()
	m := newMarks(t, &markRecord{revision: 3, mark: 9, saved: true})
	if log := (&appended{}); !m.replay(t.Context(), log) || len(log.broadcasts) > 0 || m.mark() != 3 {
		t.Errorf("%d are sent again; the mark is %d", len(log.broadcasts), m.mark())
	}
}
