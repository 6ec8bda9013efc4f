package routing

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

func TestAnotherReplicasLessonIsFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := NewIndex(IndexConfig{Store: r}), NewIndex(IndexConfig{Store: r})
		stop := running(t, a)
		defer stop()
		open := request(t, "DEMSP", "", "GET SENDER locations /L1")
		taught(t, a, "NLCPA DEMSP PUT RECEIVER locations /NL/CPA/L1 {}")
		time.Sleep(saveEvery)
		synctest.Wait()
		if !b.Fetch(t.Context(), open) || len(b.Location("l1")) != 1 {
			t.Fatal("it was not found")
		}
		asked := r.asked
		b.Fetch(t.Context(), open)
		if r.asked != asked {
			t.Error("what is in memory is asked for again")
		}
		// Memory does not answer for ever: another may have the id too.
		taught(t, a, "DECPO DEMSP PUT RECEIVER locations /DE/CPO/L1 {}")
		time.Sleep(fetchAgain + time.Second)
		if !b.Fetch(t.Context(), open) || len(b.Location("L1")) != 2 {
			t.Error("the second owner stays unknown")
		}
	})
}

func TestALaterProfileOfAnotherReplicaCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := NewIndex(IndexConfig{Store: r}), NewIndex(IndexConfig{Store: r})
		for _, x := range []*Index{a, b} {
			stop := running(t, x)
			defer stop()
		}
		update := request(t, "NLCPA", "", "PUT SENDER chargingprofiles /S1 {}")
		for i, step := range []struct {
			at   *Index
			from string
		}{{a, "DEMSP"}, {b, "NLSCS"}, {a, "DEMSP"}, {a, "DEMSP"}, {b, "NLSCS"}} {
			taught(t, step.at, step.from+" NLCPA PUT RECEIVER chargingprofiles /S1 {}")
			time.Sleep(3 * time.Second)
			for _, x := range []*Index{a, b} {
				x.Fetch(t.Context(), update)
				if diff := cmp.Diff([]ocpi.PartyKey{party(t, step.from)}, x.Profile(party(t, "NLCPA"), "S1")); diff != "" {
					t.Errorf("step %d:\n%s", i, diff)
				}
			}
		}
	})
}

func TestGuessedIdsDoNotLoadTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := NewIndex(IndexConfig{Store: r})
		for range 100 {
			x.Fetch(t.Context(), request(t, "DEMSP", "", "GET SENDER locations /GUESS"))
		}
		if r.asked != 1 {
			t.Errorf("asked %d times for one id", r.asked)
		}
		time.Sleep(2 * askAgain)
		for i := range 3 * mostLookups {
			x.Fetch(t.Context(), request(t, "DEMSP", "", fmt.Sprintf("GET SENDER locations /GUESS%d", i)))
		}
		if r.asked != 1+mostLookups {
			t.Errorf("asked %d times for many", r.asked-1)
		}
		for line := range map[string]bool{"GET SENDER nltnm-x /1": true, "PUT RECEIVER locations /DE/MSP/1 {}": true, "GET SENDER locations": true} {
			time.Sleep(2 * askAgain)
			before := r.asked
			x.Fetch(t.Context(), request(t, "DEMSP", "", line))
			if r.asked != before {
				t.Errorf("%s has no key to ask for", line)
			}
		}
	})
}

func TestARecordThatHangsHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		r := newRecord()
		r.hang = true
		x := NewIndex(IndexConfig{Store: r, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
		began := time.Now()
		for i := range 10 {
			x.Fetch(t.Context(), request(t, "DEMSP", "", fmt.Sprintf("GET SENDER locations /L%d", i)))
		}
		if took := time.Since(began); took > 2*fetchTimeout {
			t.Errorf("ten requests waited %v", took)
		}
		if n := strings.Count(logs.String(), "read what open routing learned"); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
}
