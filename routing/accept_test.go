package routing

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestP4_ARecordThatIsDownIsLoggedOnce, though it refuses each push.
func TestP4_ARecordThatIsDownIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := newOutboxRecord()
		o := newOutbox(&pending{}, record)
		var lines bytes.Buffer
		o.refusal.log = slog.New(slog.NewTextHandler(&lines, nil))
		record.fails["save"] = 3
		for turn := range 5 {
			err := o.Accept(t.Context(), &Broadcast{})
			synctest.Wait()
			if refused := err != nil; refused != (turn < 3) {
				t.Errorf("push %d: %v", turn, err)
			}
		}
		if warned, over := strings.Count(lines.String(), "level=WARN"), strings.Count(lines.String(), "works again"); warned != 1 || over != 1 {
			t.Errorf("the log is\n%s", &lines)
		}
	})
}

// TestBounds_ATokenPushIsAnsweredInTime, though the record answers nothing until its
// caller gives up, and a little longer.
func TestBounds_ATokenPushIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(&pending{}, newOutboxRecord())
		o.cfg.Store = silentOutbox{OutboxStore: o.cfg.Store}
		var pushes sync.WaitGroup
		for i := range 40 {
			pushes.Go(func() {
				began := time.Now()
				if err := o.Accept(t.Context(), &Broadcast{}); err == nil {
					t.Errorf("push %d was kept", i)
				}
				if took := time.Since(began); took > acceptTimeout {
					t.Errorf("push %d was answered after %s", i, took)
				}
			})
			time.Sleep(700 * time.Millisecond)
		}
		pushes.Wait()
	})
}

type silentOutbox struct{ OutboxStore }

func (silentOutbox) Save(ctx context.Context, _ ReplicaID, _ []*Broadcast) error {
	<-ctx.Done()
	time.Sleep(saveSettling)
	return ctx.Err()
}
