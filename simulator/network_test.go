package simulator

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

// turns lets n messages go at once, then ends the test's day.
func turns(n int64, end context.CancelFunc) Pace {
	var left atomic.Int64
	left.Store(n)
	return func(ctx context.Context) error {
		if left.Add(-1) < 0 {
			end()
			<-ctx.Done()
		}
		return ctx.Err()
	}
}

// complaints collects what is logged as a warning.
type complaints struct {
	mu   sync.Mutex
	text strings.Builder
}

func (c *complaints) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

// TestNetworkChargesAllDay with a hub that only carries messages to the party
// that they name.
func TestNetworkChargesAllDay(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var warned complaints
	var ended atomic.Bool
	modules := sync.Map{}
	n, err := NewNetwork(NetworkConfig{
		Enrol: h.enrol, Seed: 3, Direct: true, Pace: turns(1500, func() { ended.Store(true); cancel() }),
		Logger: slog.New(slog.NewTextHandler(&warned, nil)),
		Observe: func(e Event) {
			if e.Received || ended.Load() {
				return
			}
			if e.To == hubParty || e.To.IsZero() && e.Module.IsStandard() {
				t.Errorf("not direct: %+v", e)
			}
			modules.Store(string(e.Module)+" "+string(e.Interface)+" "+e.Method, true)
			if e.Err != nil || e.HTTP >= 500 || e.Status >= 3000 || e.Status == 0 {
				t.Errorf("%+v", e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	if err := n.Run(ctx); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("run before start: %v", err)
	}
	if err := n.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"tokens SENDER POST", "sessions RECEIVER PUT", "sessions RECEIVER PATCH", "cdrs RECEIVER POST", "commands RECEIVER POST",
		"commands SENDER POST", "locations SENDER GET", "locations RECEIVER PATCH", "locations RECEIVER PUT", "tokens RECEIVER PUT",
	} {
		if _, ok := modules.Load(want); !ok {
			t.Errorf("a day without %s", want)
		}
	}
	if warned.text.Len() > 0 {
		t.Errorf("warnings:\n%s", warned.text.String())
	}
	stats := n.Stats()
	if stats.Sent < 1400 || stats.Received == 0 || stats.Answered[ocpi.Success] < 1000 || stats.Answered[ocpi.UnknownToken] == 0 {
		t.Errorf("%+v", stats)
	}
}

// TestNetworkStops in the middle of the day, with nothing left running.
func TestNetworkStops(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	busy := make(chan struct{})
	n, err := NewNetwork(NetworkConfig{Enrol: h.enrol, ResultDelay: time.Hour, Pace: turns(200, sync.OnceFunc(func() { close(busy) }))})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(t.Context()) }()
	<-busy
	if err := n.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNetworkOfRealLocations(t *testing.T) {
	t.Parallel()
	var locations []Location
	for _, owner := range []string{"NLAAA", "NLBBB", "BECCC", "NLDDD", "NLEEE", "NLFFF"} {
		for _, l := range sampleLocations(castParty{code: "NLKVL"}, key("NLKVL"), 1)[:2] {
			l.Owner = key(owner)
			locations = append(locations, l)
		}
	}
	h := newStubHub(t)
	n, err := NewNetwork(NetworkConfig{Enrol: h.enrol, Locations: locations})
	if err != nil {
		t.Fatal(err)
	}
	parties := map[ocpi.PartyRole]int{}
	for _, p := range n.Platforms() {
		for _, role := range p.Roles() {
			parties[role]++
		}
	}
	if len(n.CPOs()) != 6 || len(n.EMSPs()) != 5 || len(parties) != 12 || len(n.Platforms()) != 8 {
		t.Errorf("%d CPOs, %d eMSPs, parties %v", len(n.CPOs()), len(n.EMSPs()), parties)
	}
	if first := n.Platforms()[0]; len(first.Roles()) != 2 || first.CPO(key("NLEEE")) == nil {
		t.Errorf("the first platform hosts %v", first.Roles())
	}
	if _, err := NewNetwork(NetworkConfig{Enrol: h.enrol, Locations: []Location{}}); err == nil {
		t.Error("a network without Locations")
	}
	if _, err := NewNetwork(NetworkConfig{}); err == nil {
		t.Error("a network without Enrol")
	}
}

func TestSampleNetworkHasThreeOfEach(t *testing.T) {
	t.Parallel()
	n, err := NewNetwork(NetworkConfig{Enrol: newStubHub(t).enrol})
	if err != nil {
		t.Fatal(err)
	}
	cpo, emsp, several := 0, 0, 0
	for _, p := range n.Platforms() {
		cpos := 0
		for _, role := range p.Roles() {
			if role.Role == ocpi.RoleCPO {
				cpos++
			}
		}
		if cpos > 0 {
			cpo++
		} else if p.SCSP(p.Roles()[0].Party) == nil {
			emsp++
		}
		if cpos > 1 {
			several++
		}
	}
	if cpo < 3 || emsp < 3 || several == 0 {
		t.Errorf("%d CPO platforms, %d with several parties; %d eMSP platforms", cpo, several, emsp)
	}
}

func TestEvenPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pace := EvenPace(4)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 4 {
					pace(t.Context())
				}
			})
		}
		wg.Wait()
		if got := time.Since(start); got != 11*250*time.Millisecond {
			t.Errorf("12 messages at 4 per second took %s", got)
		}
		time.Sleep(time.Hour) // nothing is saved up
		start = time.Now()
		pace(t.Context())
		pace(t.Context())
		if got := time.Since(start); got != 250*time.Millisecond {
			t.Errorf("2 messages after a pause took %s", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := pace(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
