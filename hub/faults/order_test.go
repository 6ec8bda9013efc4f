package faults

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"busbar/hub/hubtest"
)

// TestSlowNetwork_WhatIsSentAfterTheAnswerComesBehind, though each PUT is sent to a
// replica that is far from Redis, and the PATCH which follows its answer to one that
// is near.
func TestSlowNetwork_WhatIsSentAfterTheAnswerComesBehind(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, stores{})
	m := c.market(people{msps: 2})
	far, near := c.replicas[0], c.replicas[1]
	far.redis.slow(100, 0)
	const token = `{"country_code":"DE","party_id":"M00","uid":%q,"n":%d,"last_updated":"2026-01-01T00:00:00Z"}`
	const location = `{"country_code":"NL","party_id":"CP0","id":%q,"n":%d,"last_updated":"2026-01-01T00:00:00Z"}`
	for _, of := range []struct{ module, owner, secret, body, receiver string }{
		{"locations", "NL/CP0", m.cpos[0].TokenC, location, "M00"}, {"tokens", "DE/M00", m.msps[0].TokenC, token, "CP0"},
	} {
		send := func(r *replica, method, id string, n int) {
			resp := r.Send(t, hubtest.Request{
				Method: method, Path: "/ocpi/2.2.1/receiver/" + of.module + "/" + of.owner + "/" + id, Token: of.secret, To: "EU/BUS",
				Body: fmt.Sprintf(of.body, id, n),
			})
			if resp.OCPI() != 1000 {
				t.Fatalf("a %s is answered %d %s", method, resp.OCPI(), resp.Message())
			}
		}
		for i, awaited := 0, 0; awaited < 10; i++ {
			id, before := fmt.Sprint("L", i), far.unawaited()
			send(far, http.MethodPut, id, 1)
			// On a machine that stands still for a second, the answer does not wait.
			waited := far.unawaited() == before
			send(near, http.MethodPatch, id, 2)
			if !waited {
				continue
			}
			awaited++
			if first := m.firstOf(of.receiver, of.module+"/"+id); !first.whole {
				t.Errorf("of %s/%s the PATCH came to %s before the PUT", of.module, id, of.receiver)
			}
		}
	}
}

// unawaited is how many broadcasts a replica has answered before Redis had them.
func (r *replica) unawaited() string {
	const name = "\nbusbar_log_unawaited_total "
	_, rest, _ := strings.Cut(r.Metrics(), name)
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// firstOf waits for the first that a receiver gets of an object.
func (m *market) firstOf(receiver, object string) arrival {
	m.t.Helper()
	late := time.After(2 * time.Minute) // only a failing test waits so long
	for {
		m.mu.Lock()
		all := m.arrivals[receiver]
		i := slices.IndexFunc(all, func(a arrival) bool { return a.object == object })
		m.mu.Unlock()
		if i >= 0 {
			return all[i]
		}
		select {
		case <-late:
			m.t.Fatalf("%s does not get %s", receiver, object)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
