package routing

import (
	"context"
	"testing"
	"testing/synctest"

	"busbar/ocpi"
)

// slowLog is a log that has what is appended once the test says so.
type slowLog struct {
	pending
	taken chan struct{}
}

func (l *slowLog) Append(b *Broadcast, ended func()) (taken <-chan struct{}) {
	l.pending.Append(b, ended)
	return l.taken
}

// TestP4_APushIsAnsweredOnceTheLogHasIt: then whatever its sender sends next comes
// behind it, at whichever replica. Who has left is not waited for.
func TestP4_APushIsAnsweredOnceTheLogHasIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{taken: make(chan struct{})}
		r := tokenRouter(log)
		answered := make(chan Reply, 3)
		push := func(ctx context.Context) {
			req := tokenPush(t, "PUT /NL/TNM/T1", `{"uid":"T1"}`)
			answered <- r.broadcast(ctx, emsp, req, &Message{})
		}
		leaving, leave := context.WithCancel(t.Context())
		go push(t.Context())
		go push(t.Context())
		go push(leaving)
		synctest.Wait()
		if appended, n := len(log.all()), len(answered); appended != 3 || n != 0 {
			t.Fatalf("%d are appended, %d are answered, want all and none", appended, n)
		}
		leave()
		synctest.Wait()
		if n := len(answered); n != 1 {
			t.Errorf("%d are answered when one has left", n)
		}
		close(log.taken)
		for range 3 {
			if reply := <-answered; reply.Response.Status != ocpi.Success {
				t.Errorf("answered %d", reply.Response.Status)
			}
		}
	})
}
