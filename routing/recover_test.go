package routing

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/parties"
)

func TestP4_WhatADeadReplicaLeftIsSentAgainInItsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record, log := newOutboxRecord(), &pending{}
		for _, words := range []string{
			"3 locations old", "5 locations L/1", "7 tariffs T1 deleted", "7 tariffs T2", "8 sessions S1", "9 locations l2",
		} {
			record.rows = append(record.rows, rowOf(t, words))
		}
		record.commits("dead", 5, 6, 7, 8, 9)
		record.commits("alive", 3)
		token := &Broadcast{Module: ocpi.ModuleTokens, Object: "tokens/NLTNM/t1", Method: "PATCH", Body: []byte(`{"valid":false}`)}
		if err := record.Save(t.Context(), "dead", []*Broadcast{token}); err != nil {
			t.Fatal(err)
		}
		for _, op := range []string{"replicas", "adopt", "at", "ended"} {
			record.fails[op] = 2
		}
		o := newOutbox(log, record)
		o.cfg.Directory.Apply(platform("chargers", func(p *parties.Platform) { p.Status, p.Revision = ocpi.Connected, 1 }, role(t, "NLCPA", ocpi.RoleCPO)), 1)
		var lines bytes.Buffer
		o.cfg.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		ctx, cancel := context.WithCancel(t.Context())
		ready, ran := make(chan struct{}), make(chan struct{})
		go func() { defer close(ran); o.Run(ctx, ready) }()
		passes(time.Minute)
		if len(log.all()) > 0 {
			t.Error("something is sent before the catalog is complete")
		}
		close(ready)
		passes(time.Minute)
		var got []string
		for _, b := range log.all() {
			if b.Parcel == 0 && (b.From != b.Owner || b.Platform != "chargers" || b.CorrelationID == "" || !b.Present || b.Body != nil) {
				t.Errorf("appended %+v", b)
			}
			got = append(got, fmt.Sprint(b.Revision, b.Parcel, " ", b.Method, " ", b.Path, " ", b.Object, string(b.Body)))
		}
		slices.Sort(got[1:3]) // of one revision
		if diff := cmp.Diff([]string{
			`0 1 PATCH  tokens/NLTNM/t1{"valid":false}`, "5 0 PUT /NL/CPA/L%2F1 locations/NLCPA/l/1",
			"7 0 DELETE /NL/CPA/t1 tariffs/NLCPA/t1", "7 0 PUT /NL/CPA/T2 tariffs/NLCPA/t2", "9 0 PUT /NL/CPA/l2 locations/NLCPA/l2",
		}, sorted(got)); diff != "" {
			t.Error(diff)
		}
		if revisions, parcels := record.open(); !slices.Equal(revisions, []int64{3, 5, 7, 9}) || len(parcels) != 1 {
			t.Errorf("open are %v and %v: nobody had anything yet", revisions, parcels)
		}
		if n := strings.Count(lines.String(), "level=WARN"); n != 2 { // looking, ending
			t.Errorf("%d warnings for two outages:\n%s", n, lines.String())
		}
		for i := range log.all() {
			log.end(i)
		}
		passes(5 * time.Second)
		if revisions, parcels := record.open(); !slices.Equal(revisions, []int64{3}) || len(parcels) != 0 || o.Open() != 0 {
			t.Errorf("open are %v and %v in the end", revisions, parcels)
		}
		cancel()
		<-ran
	})
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}

func TestP4_WhatIsAdoptedTwiceIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record, log := newOutboxRecord(), &pending{}
		record.rows = append(record.rows, rowOf(t, "5 tariffs T1"), rowOf(t, "6 tariffs T2"))
		record.commits("dead", 5, 6)
		token := []*Broadcast{{Module: ocpi.ModuleTokens}}
		if err := record.Save(t.Context(), "dead", token); err != nil {
			t.Fatal(err)
		}
		record.fails["at"] = 3 // and again, before what was adopted could be read
		o := newOutbox(log, record)
		o.Append(&Broadcast{Revision: 6}) // one that found its object as the dead replica made it
		o.Settled(6)
		o.Settled(5)
		stop := runs(t, o)
		defer stop()
		record.commits("dead", 5)
		record.mu.Lock()
		record.parcels[1] = openParcel{"dead", token[0]}
		record.mu.Unlock()
		passes(time.Minute)
		record.commits("dead", 5, 6)
		passes(time.Minute)
		if n := len(log.all()); n != 4 {
			t.Errorf("%d are sent, want the own one, two and the Token", n)
		}
		for i := range log.all() {
			log.end(i)
		}
		passes(endEvery)
		if revisions, parcels := record.open(); len(revisions)+len(parcels) > 0 {
			t.Errorf("open are %v and %v", revisions, parcels)
		}
	})
}

// What the record did although it did not say so: nobody but this replica would
// ever send it, and a sender that pushes it again changes nothing.
func TestP4_WhatWasWrittenThoughTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(*testing.T, *Outbox, *outboxRecord)
		sent    int
	}{
		"a commit of the catalog is sent": {func(_ *testing.T, o *Outbox, r *outboxRecord) {
			r.commits(me, 5)
			o.Doubt()
		}, 1},
		"what was adopted is sent": {func(t *testing.T, o *Outbox, r *outboxRecord) {
			r.commits("dead", 5)
			_ = r.Save(t.Context(), "dead", []*Broadcast{{}})
			r.fails["adopt"], r.done = 1, true
		}, 2},
		"a Token is not sent: its sender was told so": {func(t *testing.T, o *Outbox, r *outboxRecord) {
			r.fails["save"], r.done = 1, true
			if o.Accept(t.Context(), &Broadcast{}) == nil {
				t.Error("accepted")
			}
		}, 0},
		"what was not written is not": {func(_ *testing.T, o *Outbox, r *outboxRecord) { o.Doubt() }, 0},
		"what is under way is sent once": {func(t *testing.T, o *Outbox, r *outboxRecord) {
			r.commits(me, 5)
			o.Append(&Broadcast{Revision: 5})
			o.Settled(5)
			o.Doubt()
		}, 1},
		"what is just being written is sent once": {func(t *testing.T, o *Outbox, r *outboxRecord) {
			o.Doubt()
			time.AfterFunc(doubtPause, func() { r.commits(me, 5) })
			time.AfterFunc(doubtPause+time.Second, func() { o.Append(&Broadcast{Revision: 5}); o.Settled(5) })
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				record, log := newOutboxRecord(), &pending{}
				record.rows = append(record.rows, rowOf(t, "5 tariffs T1"))
				o := newOutbox(log, record)
				test.happens(t, o, record)
				stop := runs(t, o)
				passes(5 * time.Minute)
				if n := len(log.all()); n != test.sent {
					t.Errorf("%d are sent, want %d", n, test.sent)
				}
				for i := range log.all() {
					log.end(i)
				}
				stop()
				if revisions, parcels := record.open(); len(revisions)+len(parcels) > 0 {
					t.Errorf("open are %v and %v", revisions, parcels)
				}
			})
		})
	}
}

func TestP4_WhatCouldNotBeReadStaysForTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record, log := newOutboxRecord(), &pending{}
		record.rows = append(record.rows, rowOf(t, "5 tariffs T1"))
		record.commits("dead", 5)
		record.fails["at"] = 1_000_000
		o := newOutbox(log, record)
		stop := runs(t, o)
		passes(time.Minute)
		stop()
		o.Settle(t.Context()) // at once
		if revisions, _ := record.open(); !slices.Equal(revisions, []int64{5}) || o.Open() != 0 {
			t.Errorf("open are %v", revisions)
		}
	})
}

// TestP4_MuchIsAdoptedInSteps: while too many broadcasts are open, what a replica
// left stays in the record, or waits to be begun. That counts for nothing itself.
func TestP4_MuchIsAdoptedInSteps(t *testing.T) {
	t.Parallel()
	record, log := newOutboxRecord(), &pending{}
	o := newOutbox(log, record)
	recover := func() {
		t.Helper()
		if err := o.recover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for revision := range int64(20) {
		record.commits("dead", revision+1)
		row := rowOf(t, "1 tariffs T"+fmt.Sprint(revision))
		row.Revision = revision + 1
		record.rows = append(record.rows, row)
	}
	o.open = mostAdopted
	recover()
	if record.revisions[1] != "dead" || len(log.all()) != 0 {
		t.Error("it was adopted though much is open")
	}
	o.open = mostAdopted - 1
	recover()
	if record.revisions[20] != me || len(log.all()) != readAtOnce || o.toBegin.Load() != 20-readAtOnce {
		t.Errorf("%d were begun, %d are to be", len(log.all()), o.toBegin.Load())
	}
	if o.begun() != mostAdopted-1+readAtOnce {
		t.Errorf("%d count as begun", o.begun())
	}
	recover()
	if len(log.all()) != readAtOnce {
		t.Error("more were begun though much is open")
	}
	o.open -= mostAdopted
	recover()
	if len(log.all()) != 20 || o.toBegin.Load() != 0 {
		t.Errorf("%d of 20 were begun, %d are to be", len(log.all()), o.toBegin.Load())
	}
}
