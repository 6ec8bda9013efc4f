package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// ResponseURL is the URL of Callback: it must not be found at rest.
const ResponseURL = "https://emsp.example/results/response-url-that-nobody-may-read?key=s%C3%A9cret&x=é"

// Callback is a callback with every field set, which expires in an hour of the
// tests.
func Callback(id string) routing.Callback {
	return routing.Callback{
		ID: id, URL: ResponseURL,
		Requester: claim("NLEMS EMSP").Party, Receiver: claim("DEC CPO").Party,
		RequesterPlatform: parties.NewPlatformID(), ReceiverPlatform: parties.NewPlatformID(),
		Module: ocpi.ModuleCommands, SessionID: "S é/1", CreatedAt: at(0), ExpiresAt: at(3600),
	}
}

// TestCallbacks runs the conformance suite of routing.CallbackStore. open
// returns an empty store.
func TestCallbacks(t *testing.T, open func(*testing.T) routing.CallbackStore) {
	t.Helper()
	tests := map[string]func(*testing.T, routing.CallbackStore){
		"every field survives":                            everyCallbackField,
		"a bare callback survives":                        bareCallback,
		"times are kept in UTC to the microsecond":        callbackTimes,
		"a callback may be used any number of times":      callbackAgain,
		"what is unknown is not found":                    unknownCallback,
		"what expired is not found":                       expiredCallback,
		"only what expired is forgotten":                  forgetExpired,
		"a taken id is an error and changes nothing":      duplicateCallback,
		"callbacks are saved at once":                     concurrentCallbacks,
		"of concurrent saves of an id one wins":           concurrentDuplicates,
		"each is forgotten once by replicas at once":      concurrentForgets,
		"a call that was given up is no missing callback": callbackGivenUp,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func everyCallbackField(t *testing.T, s routing.CallbackStore) {
	first, second := Callback("first"), Callback("second")
	second.URL, second.Module = "https://peer.example/"+strings.Repeat("a", 1000), ocpi.ModuleChargingProfiles
	second.Requester, second.Receiver = second.Receiver, second.Requester
	save(t, s, first, second)
	wantCallback(t, s, first)
	wantCallback(t, s, second)
}

func bareCallback(t *testing.T, s routing.CallbackStore) {
	bare := routing.Callback{ID: "bare", ExpiresAt: at(1)}
	save(t, s, bare)
	wantCallback(t, s, bare)
}

func callbackTimes(t *testing.T, s routing.CallbackStore) {
	exact := time.Date(2026, 7, 1, 2, 0, 0, 987654321, time.FixedZone("somewhere", 2*3600))
	c := Callback("clock")
	c.CreatedAt, c.ExpiresAt = exact, exact.Add(time.Hour)
	save(t, s, c)
	c.CreatedAt = time.Date(2026, 7, 1, 0, 0, 0, 987654000, time.UTC)
	c.ExpiresAt = c.CreatedAt.Add(time.Hour)
	wantCallback(t, s, c)
}

func callbackAgain(t *testing.T, s routing.CallbackStore) {
	c := Callback("reservation")
	save(t, s, c)
	for range 3 {
		wantCallback(t, s, c)
	}
}

func unknownCallback(t *testing.T, s routing.CallbackStore) {
	save(t, s, Callback("known"))
	for _, id := range []string{"", "unknown", "KNOWN", "known ", "know_", "%", "known\x00", "\xff", strings.Repeat("k", 100_000)} {
		wantNoCallback(t, s, id, at(0))
	}
}

func expiredCallback(t *testing.T, s routing.CallbackStore) {
	c := Callback("brief")
	save(t, s, c)
	if _, err := s.Callback(t.Context(), c.ID, c.ExpiresAt.Add(-time.Microsecond)); err != nil {
		t.Errorf("Callback just before its end: %v", err)
	}
	wantNoCallback(t, s, c.ID, c.ExpiresAt)
	wantNoCallback(t, s, c.ID, c.ExpiresAt.In(time.FixedZone("west", -8*3600)))
	wantNoCallback(t, s, c.ID, c.ExpiresAt.Add(time.Hour))
}

func forgetExpired(t *testing.T, s routing.CallbackStore) {
	ends := map[string]int{"past": 9, "now": 10, "soon": 11, "late": 20}
	for id, second := range ends {
		c := Callback(id)
		c.ExpiresAt = at(second)
		save(t, s, c)
	}
	steps := []struct {
		now       int
		forgotten int64
	}{{8, 0}, {10, 2}, {10, 0}, {11, 1}, {30, 1}, {30, 0}}
	for _, step := range steps {
		wantForgotten(t, s, at(step.now), step.forgotten)
		for id, end := range ends {
			// As of a time before all ends: only what was deleted is missing.
			_, err := s.Callback(t.Context(), id, at(0))
			if gone := errors.Is(err, routing.ErrNoCallback); gone != (end <= step.now) || err != nil && !gone {
				t.Errorf("second %d: Callback %q: %v", step.now, id, err)
			}
		}
	}
}

func duplicateCallback(t *testing.T, s routing.CallbackStore) {
	c := Callback("taken")
	save(t, s, c)
	other := Callback("taken")
	other.URL, other.Module = "https://other.example", ocpi.ModuleChargingProfiles
	if err := s.SaveCallback(t.Context(), other); err == nil {
		t.Error("SaveCallback with a taken id succeeded")
	}
	wantCallback(t, s, c)
}

func concurrentCallbacks(t *testing.T, s routing.CallbackStore) {
	const each = 5
	together(writers, func(i int) {
		for n := range each {
			c := Callback(fmt.Sprintf("%d of writer %d", n, i))
			if err := s.SaveCallback(t.Context(), c); err != nil {
				t.Errorf("SaveCallback: %v", err)
				continue
			}
			got, err := s.Callback(t.Context(), c.ID, at(0))
			if diff := cmp.Diff(c, got, equalities()...); err != nil || diff != "" {
				t.Errorf("Callback %q: %v, differs (-want +got):\n%s", c.ID, err, diff)
			}
		}
	})
	wantForgotten(t, s, at(3600), writers*each)
}

func concurrentDuplicates(t *testing.T, s routing.CallbackStore) {
	saved := make([]routing.Callback, writers)
	errs := make([]error, writers)
	together(writers, func(i int) {
		saved[i] = Callback("contended")
		errs[i] = s.SaveCallback(t.Context(), saved[i])
	})
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
			wantCallback(t, s, saved[i])
		}
	}
	if won != 1 {
		t.Errorf("%d saves of one id succeeded, want 1", won)
	}
}

func concurrentForgets(t *testing.T, s routing.CallbackStore) {
	const expired = 50
	for i := range expired {
		save(t, s, Callback(fmt.Sprintf("callback %d", i)))
	}
	kept := Callback("kept")
	kept.ExpiresAt = at(3601)
	save(t, s, kept)
	counts := make([]int64, writers)
	together(writers, func(i int) {
		var err error
		if counts[i], err = s.ForgetCallbacks(t.Context(), at(3600)); err != nil {
			t.Errorf("ForgetCallbacks: %v", err)
		}
	})
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	if sum != expired {
		t.Errorf("ForgetCallbacks counted %d in all, want %d", sum, expired)
	}
	wantForgotten(t, s, at(3600), 0)
	wantCallback(t, s, kept)
}

func callbackGivenUp(t *testing.T, s routing.CallbackStore) {
	save(t, s, Callback("there"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Callback(ctx, "there", at(0)); !errors.Is(err, context.Canceled) || errors.Is(err, routing.ErrNoCallback) {
		t.Errorf("Callback: %v, want Canceled", err)
	}
	if err := s.SaveCallback(ctx, Callback("late")); !errors.Is(err, context.Canceled) {
		t.Errorf("SaveCallback: %v, want Canceled", err)
	}
	if _, err := s.ForgetCallbacks(ctx, at(3600)); !errors.Is(err, context.Canceled) {
		t.Errorf("ForgetCallbacks: %v, want Canceled", err)
	}
	wantNoCallback(t, s, "late", at(0))
	wantForgotten(t, s, at(3600), 1)
}

func save(t *testing.T, s routing.CallbackStore, list ...routing.Callback) {
	t.Helper()
	for _, c := range list {
		if err := s.SaveCallback(t.Context(), c); err != nil {
			t.Fatalf("SaveCallback %q: %v", c.ID, err)
		}
	}
}

func wantCallback(t *testing.T, s routing.CallbackStore, want routing.Callback) {
	t.Helper()
	got, err := s.Callback(t.Context(), want.ID, at(0))
	if err != nil {
		t.Fatalf("Callback %q: %v", want.ID, err)
	}
	if diff := cmp.Diff(want, got, equalities()...); diff != "" {
		t.Errorf("Callback %q differs (-want +got):\n%s", want.ID, diff)
	}
}

func wantNoCallback(t *testing.T, s routing.CallbackStore, id string, now time.Time) {
	t.Helper()
	if _, err := s.Callback(t.Context(), id, now); !errors.Is(err, routing.ErrNoCallback) {
		t.Errorf("Callback %.40q at %s: %v, want ErrNoCallback", id, now, err)
	}
}

func wantForgotten(t *testing.T, s routing.CallbackStore, now time.Time, want int64) {
	t.Helper()
	if n, err := s.ForgetCallbacks(t.Context(), now); err != nil || n != want {
		t.Errorf("ForgetCallbacks at %s = %d, %v, want %d", now, n, err, want)
	}
}
