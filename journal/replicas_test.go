package journal

import (
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// The message is recorded where it was accepted, its legs where they were fanned
// out: whichever replica stores first, and whoever is asked, shows both.
func TestMessage_OfSeveralReplicasIsOne(t *testing.T) {
	t.Parallel()
	for name, legsFirst := range map[string]bool{"the legs are stored first": true, "the message is": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &memoryStore{}
				one, _ := run(t, Config{Store: store})
				two, _ := run(t, Config{Store: store})
				early := one // whose batch is opened, and so stored, half a second earlier
				if legsFirst {
					early = two
				}
				record(t, early, "early")
				time.Sleep(batchAge / 2)
				push := passed(t, "c", "NLCPA", "EUBUS")
				push.Plan, push.Module, push.To = routing.PlanBroadcast, ocpi.ModuleLocations, party(t, "EUBUS")
				one.Record(&push)
				legs := routing.Legs{
					Time: push.Time, Duration: 20 * time.Millisecond, CorrelationID: "c", Method: push.Method,
					Module: push.Module, From: push.From, Total: 2, OK: 1,
					Failed: []routing.FailedLeg{{To: party(t, "FRXXX"), Outcome: routing.OutcomeTimeout}},
				}
				two.RecordLegs(&legs)
				time.Sleep(30 * time.Millisecond)
				callback := passed(t, "c", "DEMSP", "NLCPA")
				two.Record(&callback)
				// Another replica took it over, and sent it again.
				again := legs
				again.Duration, again.OK, again.Failed = 10*time.Second, 2, nil
				time.Sleep(10 * time.Second)
				one.RecordLegs(&again)
				time.Sleep(2 * batchAge)
				for _, asked := range []*Recorder{one, two, New(Config{Store: store})} {
					items, err := asked.Message(t.Context(), "c", time.Time{}, time.Time{})
					if err != nil || len(items) != 2 || items[0].Legs == nil || items[1].From != callback.From {
						t.Fatalf("items %+v, %v", items, err)
					}
					if l := items[0].Legs; l.OK != 2 || l.Duration != again.Duration {
						t.Errorf("legs %+v", l)
					}
					if got := find(t, asked, Query{}).ids(); got != "c c early" {
						t.Errorf("list %q", got)
					}
					page := find(t, asked, Query{Filter: Filter{Module: ocpi.ModuleLocations}, Limit: 1})
					if len(page.Items) != 1 || page.Items[0].Legs == nil {
						t.Errorf("page %+v", page)
					}
				}
			})
		})
	}
}

// What is not yet stored is known to the replica that has it, and to the others
// a second later.
func TestSearch_AnotherReplicasMessagesAreFoundWhenStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		one, _ := run(t, Config{Store: store})
		two, _ := run(t, Config{Store: store})
		record(t, one, "a")
		record(t, two, "b")
		record(t, one, "c")
		if a, b := find(t, one, Query{}).ids(), find(t, two, Query{}).ids(); a != "c a" || b != "b" {
			t.Errorf("before they are stored: %q and %q", a, b)
		}
		time.Sleep(batchAge + 2*tickEvery)
		for _, r := range []*Recorder{one, two} {
			if got := find(t, r, Query{}).ids(); got != "c b a" {
				t.Errorf("when they are: %q", got)
			}
		}
	})
}
