package faults

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/hub/hubtest"
)

// front spreads requests over the replicas that are ready, like the balancer
// before a hub does. It sends a request once: only one that found no connection
// goes to another replica.
type front struct {
	replicas []*replica
	next     atomic.Uint32
	asking   sync.WaitGroup
}

// How often the front asks who is ready, and how long it waits for the answer.
const (
	askEvery   = 50 * time.Millisecond
	askPatient = time.Second
)

var errNobodyReady = errors.New("no replica is ready")

func newFront(t testing.TB, replicas []*replica) *front {
	f := &front{replicas: replicas}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); f.asking.Wait() })
	for _, r := range replicas {
		r.ready.Store(true)
		f.asking.Go(func() { r.ask(ctx) })
	}
	return f
}

// ask follows the readiness of a replica.
func (r *replica) ask(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	client := &http.Client{Timeout: askPatient, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		resp, err := client.Get(r.AdminURL + "/readyz/routing")
		if err != nil {
			r.ready.Store(false)
			continue
		}
		resp.Body.Close()
		r.ready.Store(resp.StatusCode != http.StatusServiceUnavailable)
	}
}

// send sends a request to the next replica that is ready. If none is, it waits as
// long as the request may take.
func (f *front) send(r hubtest.Request) (*hubtest.Response, error) {
	for turn := 1; ; turn++ {
		to := f.replicas[int(f.next.Add(1))%len(f.replicas)]
		if to.ready.Load() {
			resp, err := to.TrySend(r)
			var failed *net.OpError
			if !errors.As(err, &failed) || failed.Op != "dial" {
				return resp, err
			}
			to.ready.Store(false)
		}
		if turn%len(f.replicas) != 0 {
			continue
		}
		select {
		case <-r.Context.Done():
			return nil, errNobodyReady
		case <-time.After(askEvery):
		}
	}
}
