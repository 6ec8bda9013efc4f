package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busbar/ocpi"
)

func TestP4_TheRecordHasWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, story string
		want        string // the revisions that are open
	}{
		{"nothing happened", "", ""},
		{"one is under way", "commit 11, append 11, settled 11", "11"},
		{"one has ended", "commit 11, append 11, settled 11, end 11", ""},
		{"one has ended before its batch was told of", "commit 11, append 11, end 11", "11"},
		{"that, and it was told of", "commit 11, append 11, end 11, settled 11", ""},
		{"two of a batch, one has ended", "commit 11, append 11, append 11, settled 11, end 11", "11"},
		{"two of a batch, both have ended", "commit 11, append 11, append 11, settled 11, end 11, end 11", ""},
		{"two of a batch, one ends before the other begins", "commit 11, append 11, end 11, append 11, settled 11", "11"},
		{"a later one has ended", "commit 11, append 11, settled 11, commit 12, append 12, settled 12, end 12", "11"},
		{"a batch that nobody is sent", "commit 11, settled 11", ""},
		{"one that found its object as another replica made it", "append 11, end 11", ""},
		{"the same, while the other has it open", "other 11, append 11, end 11", "11"},
		{"the same, and its batch wrote nothing", "other 11, append 11, settled 11, end 11", "11"},
		{"one that found its object as it made it before", "commit 11, append 11, settled 11, append 11, end 11", "11"},
		{"the same, and both have ended", "commit 11, append 11, settled 11, append 11, end 11, end 11", ""},
		{"one that came when the first had ended", "commit 11, append 11, settled 11, end 11, append 11", ""},
		{"what is cut off stays open", "commit 11, append 11, settled 11, freeze, end 11", "11"},
		{"what ended before the cut does not", "commit 11, append 11, settled 11, end 11, freeze", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			record, log := newOutboxRecord(), &pending{}
			o := newOutbox(log, record)
			for step := range strings.SplitSeq(test.story, ", ") {
				var revision int64
				word, rest, _ := strings.Cut(step, " ")
				_, _ = fmt.Sscan(rest, &revision)
				switch word {
				case "commit":
					record.commits(me, revision)
				case "other":
					record.commits("other", revision)
				case "append":
					o.Append(&Broadcast{Revision: revision})
				case "end":
					log.endOne(revision)
				case "settled":
					o.Settled(revision)
				case "freeze":
					o.Freeze()
				}
			}
			if err := o.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			revisions, _ := record.open()
			if got := strings.Trim(fmt.Sprint(revisions), "[]"); got != test.want {
				t.Errorf("open are %q, want %q", got, test.want)
			}
		})
	}
}

// endOne ends a broadcast of the revision that has not ended.
func (p *pending) endOne(revision int64) {
	for i, b := range p.broadcasts {
		if b.Revision == revision && p.ends[i] != nil {
			ended := p.ends[i]
			p.ends[i] = nil
			ended()
			return
		}
	}
}

// Whatever happens in which order, the record has open what has not ended, and
// nothing else.
func TestP4_TheRecordHasWhatIsUnderWayInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		record, log := newOutboxRecord(), &pending{}
		o := newOutbox(log, record)
		revision, inBatch := int64(0), false
		under := map[int64]int{} // broadcasts under way
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(*rapid.T) {
				if inBatch {
					o.Settled(revision)
				}
				revision, inBatch = revision+1, true
				record.commits(me, revision)
			},
			"append": func(t *rapid.T) {
				if !inBatch {
					t.Skip("no batch")
				}
				under[revision]++
				o.Append(&Broadcast{Revision: revision})
			},
			"token": func(t *rapid.T) {
				if err := o.Accept(context.Background(), &Broadcast{Module: ocpi.ModuleTokens}); err != nil {
					t.Fatal(err)
				}
			},
			"settle": func(*rapid.T) {
				if inBatch {
					o.Settled(revision)
				}
				inBatch = false
			},
			"end": func(t *rapid.T) {
				var open []int
				for i, ended := range log.ends {
					if ended != nil {
						open = append(open, i)
					}
				}
				if len(open) == 0 {
					t.Skip("nothing is open")
				}
				i := rapid.SampledFrom(open).Draw(t, "which")
				log.end(i)
				log.ends[i] = nil
				under[log.broadcasts[i].Revision]--
			},
			"fail": func(*rapid.T) { record.fails["ended"]++ },
			"":     func(t *rapid.T) { wantOpen(t, o, record, log, revision, inBatch, under) },
		})
	})
}

// wantOpen holds that the record has open what the story says.
func wantOpen(t *rapid.T, o *Outbox, record *outboxRecord, log *pending, last int64, inBatch bool, under map[int64]int) {
	if o.Flush(context.Background()) != nil {
		return // the next one
	}
	revisions, parcels := record.open()
	var want, wantParcels []int64
	for revision := int64(1); revision <= last; revision++ {
		if under[revision] > 0 || inBatch && revision == last {
			want = append(want, revision)
		}
	}
	for i, b := range log.broadcasts {
		if b.Parcel != 0 && log.ends[i] != nil {
			wantParcels = append(wantParcels, b.Parcel)
		}
	}
	if !slices.Equal(revisions, want) || !slices.Equal(parcels, wantParcels) {
		t.Fatalf("open are %v and parcels %v, want %v and %v", revisions, parcels, want, wantParcels)
	}
	open := 0
	for _, ended := range log.ends {
		if ended != nil {
			open++
		}
	}
	if o.Open() != open {
		t.Fatalf("%d are counted as open, want %d", o.Open(), open)
	}
}

func TestP7_TokensThatComeTogetherAreSavedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record, log := newOutboxRecord(), &pending{}
		o := newOutbox(log, record)
		hold := make(chan struct{})
		record.saving = func() { <-hold }
		var accepting sync.WaitGroup
		for i := range saveAtOnce + 11 {
			accepting.Go(func() {
				if err := o.Accept(t.Context(), &Broadcast{CorrelationID: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		leaving, leave := context.WithCancel(t.Context())
		accepting.Go(func() {
			if err := o.Accept(leaving, &Broadcast{CorrelationID: "left"}); !errors.Is(err, context.Canceled) {
				t.Errorf("who left is told %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		if len(log.all()) != 0 {
			t.Error("something was sent before it was saved")
		}
		close(hold)
		accepting.Wait()
		if diff := cmp.Diff([]int{1, saveAtOnce, 10}, record.saves); diff != "" {
			t.Error(diff)
		}
		for i, b := range log.all() {
			if b.CorrelationID != fmt.Sprint(i) || b.Parcel != int64(i+1) {
				t.Fatalf("%s is sent as number %d, parcel %d", b.CorrelationID, i, b.Parcel)
			}
		}
		if o.Open() != saveAtOnce+11 {
			t.Errorf("%d are open", o.Open())
		}
	})
}

func TestS5_WhoLeavesWhileItIsSavedUndoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record, log := newOutboxRecord(), &pending{}
		o := newOutbox(log, record)
		hold := make(chan struct{})
		record.saving = func() { <-hold }
		leaving, leave := context.WithCancel(t.Context())
		accepted := make(chan error, 1)
		go func() { accepted <- o.Accept(leaving, &Broadcast{}) }()
		synctest.Wait()
		leave()
		synctest.Wait()
		close(hold)
		if err := <-accepted; err != nil || len(log.all()) != 1 {
			t.Errorf("told %v, %d are sent", err, len(log.all()))
		}
	})
}

func TestS5_TooManyTokensAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ pushes, bytes int }{
		"in number": {mostSaves, 1},
		"in bytes":  {4, mostSaveBytes / 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				record, log := newOutboxRecord(), &pending{}
				o := newOutbox(log, record)
				hold := make(chan struct{})
				record.saving = func() { <-hold }
				var accepting sync.WaitGroup
				body := make([]byte, test.bytes)
				for range test.pushes + 1 { // the first is being saved
					accepting.Go(func() {
						if err := o.Accept(t.Context(), &Broadcast{Body: body}); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				err := o.Accept(t.Context(), &Broadcast{Body: body})
				refusal, ok := ocpi.AsError(err)
				if !ok || refusal.Status != ocpi.HubError || !strings.Contains(refusal.Message, "send it again later") {
					t.Errorf("told %v", err)
				}
				close(hold)
				accepting.Wait()
				if err := o.Accept(t.Context(), &Broadcast{Body: body}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// runs runs an Outbox whose catalog is loaded, on the bubble's clock.
func runs(t *testing.T, o *Outbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ran := make(chan struct{}), make(chan struct{})
	close(ready)
	go func() { defer close(ran); o.Run(ctx, ready) }()
	synctest.Wait()
	return func() { cancel(); <-ran }
}

func passes(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

// A receiver that hangs holds the stop of a hub as long as others still take what
// they are owed, and a moment.
func TestSettleDoesNotWaitForWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &pending{}
		o := newOutbox(log, newOutboxRecord())
		for revision := range int64(4) {
			o.Append(&Broadcast{Revision: revision + 1})
		}
		for n := range 3 {
			time.AfterFunc(time.Duration(n+1)*time.Second+time.Millisecond, func() { log.end(n) })
		}
		begun := time.Now()
		o.Settle(t.Context())
		if took := time.Since(begun); o.Open() != 1 || took < 4*time.Second || took > 5*time.Second {
			t.Errorf("after %s %d are open", took, o.Open())
		}
	})
}

func TestSettleWaitsForWhatWasAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record, log := newOutboxRecord(), &pending{}
		o := newOutbox(log, record)
		o.Settle(t.Context()) // nothing is under way
		record.commits(me, 5)
		o.Append(&Broadcast{Revision: 5})
		o.Settled(5)
		if err := o.Accept(t.Context(), &Broadcast{}); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		o.Settle(short)
		if time.Since(begun) != time.Second {
			t.Errorf("it waited %s", time.Since(begun))
		}
		time.AfterFunc(time.Second, func() { log.end(0) })
		time.AfterFunc(2*time.Second, func() { log.end(1) })
		begun = time.Now()
		o.Settle(t.Context())
		if time.Since(begun) != 2*time.Second {
			t.Errorf("it waited %s", time.Since(begun))
		}
		if err := o.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if revisions, parcels := record.open(); len(revisions)+len(parcels) > 0 {
			t.Errorf("open are %v and %v", revisions, parcels)
		}
	})
}

func TestOldTokenPushesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := newOutboxRecord()
		defer runs(t, newOutbox(&pending{}, record))()
		passes(forgetParcels)
		if want := time.Now().Add(-parcelsKept); !record.forgotten.Equal(want) {
			t.Errorf("forgotten before %s, want %s", record.forgotten, want)
		}
	})
}
