package hub_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/storage/storagetest"
)

// stream opens the stream of a replica; it is listening when this returns. Lines
// that are empty or comments are left out.
func stream(t *testing.T, h *hubtest.Hub, query string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", h.AdminURL+"/api/v1/messages/stream"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+h.AdminToken)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines, scanner := make(chan string, 1000), bufio.NewScanner(response.Body)
	if !scanner.Scan() || scanner.Text() != ": listening" {
		t.Fatalf("the stream begins with %q", scanner.Text())
	}
	go func() {
		defer close(lines)
		for scanner.Scan() {
			if line := scanner.Text(); line != "" && !strings.HasPrefix(line, ":") {
				lines <- line
			}
		}
	}()
	return lines
}

// until reads a stream up to a line that contains the text, and returns it.
func until(t *testing.T, lines <-chan string, text string) string {
	t.Helper()
	for line := range lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("the stream ended before %s", text)
	return ""
}

// overviewUntil asks a replica for the overview until it is as wanted.
func overviewUntil(t *testing.T, h *hubtest.Hub, wanted func(map[string]any) bool) map[string]any {
	t.Helper()
	for {
		_, o := h.Admin("GET", "/api/v1/overview", nil)
		if wanted(o) {
			return o
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("overview %v", o)
		case <-time.After(20 * time.Millisecond): // figures are reported once a second
		}
	}
}

func TestReplicas_TheOperatorSeesAllOfThem(t *testing.T) {
	t.Parallel()
	both := shared(t)
	one, two := hubtest.Start(t, both), hubtest.Start(t, both)
	cpo := one.Platform("cpo", "NL/CPA:CPO")
	one.Platform("msp", "DE/MSP:EMSP")
	live := stream(t, two, "?from=NLCPA")
	const sent = 5
	for i := range sent {
		got := cpo.Send(hubtest.Request{
			Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", To: "DE/MSP",
			Header: http.Header{"X-Correlation-Id": {fmt.Sprint("live-", i)}},
		})
		wantHTTP(t, "a message at one", got, 200, 1000)
	}
	for i := range sent {
		if line := until(t, live, "correlation_id"); !strings.Contains(line, fmt.Sprint(`"live-`, i, `"`)) {
			t.Errorf("heard %s, want message %d", line, i)
		}
	}
	for _, h := range []*hubtest.Hub{one, two} {
		o := overviewUntil(t, h, func(o map[string]any) bool {
			return o["last_minute"].(map[string]any)["messages"].(float64) >= sent && len(o["replicas"].([]any)) == 2 && o["partial"] == false
		})
		if n := o["last_minute"].(map[string]any)["messages"].(float64); o["partial"] != false || n != sent {
			t.Errorf("%v messages, partial %v", n, o["partial"])
		}
	}
}

func TestReplicas_RedisGoneIsSaidInStreamAndOverview(t *testing.T) {
	t.Parallel()
	line, redis := storagetest.NewLine(t, storagetest.Redis(t))
	both := shared(t)
	h := hubtest.Start(t, both, func(c *hub.Config) { c.Redis = redis })
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	h.Platform("msp", "DE/MSP:EMSP")
	live := stream(t, h, "")
	line.Cut()
	if data := until(t, live, "partial"); data != `data: {"partial":true}` {
		t.Errorf("%s", data)
	}
	wantHTTP(t, "without Redis", cpo.List("tokens", "DE/MSP"), 200, 1000)
	until(t, live, `"from":"NLCPA"`)
	o := overviewUntil(t, h, func(o map[string]any) bool { return o["partial"] == true })
	if needs := fmt.Sprint(o["needs_attention"]); len(o["replicas"].([]any)) != 1 || !strings.Contains(needs, "Redis does not answer") {
		t.Errorf("replicas %v, needs attention: %s", o["replicas"], needs)
	}
	line.Mend()
	if data := until(t, live, "partial"); data != `data: {"partial":false}` {
		t.Errorf("%s", data)
	}
	overviewUntil(t, h, func(o map[string]any) bool { return o["partial"] == false })
}

// showsWhole reads a stream until it has shown a message and its legs, in whichever
// order, of each of the ids, and each once. It is false when the stream says that
// something is missing.
func showsWhole(t *testing.T, lines <-chan string, ids []string) bool {
	t.Helper()
	seen := map[string]int{}
	for late := time.After(2 * time.Minute); len(seen) < 2*len(ids); {
		var event, data string
		select {
		case event = <-lines:
			if !strings.HasPrefix(event, "event: ") {
				continue
			}
			data = <-lines
		case <-late: // only a failing test waits so long
			t.Fatalf("shown are %v of %v", seen, ids)
		}
		if event == "event: lost" || event == "event: replicas" && strings.Contains(data, "true") {
			return false
		}
		for _, id := range ids {
			if strings.Contains(data, fmt.Sprintf(`"correlation_id":%q`, id)) {
				seen[event+" "+id]++
			}
		}
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", what, n)
		}
	}
	return true
}

// The replica that accepts a broadcast has its message, the one that fans it out
// its legs: either shows both, in the stream at once, and in the list when they
// are stored.
func TestReplicas_ABroadcastIsShownWholeByEither(t *testing.T) {
	t.Parallel()
	all := shared(t)
	one, two := hubtest.Start(t, all), hubtest.Start(t, all)
	cpo := one.Platform("cpo", "NL/CPA:CPO")
	one.Platform("msp", "DE/MSP:EMSP")
	streams := []<-chan string{stream(t, one, ""), stream(t, two, "")}
	ids, shown := []string(nil), false
	for round := 0; !shown; round++ {
		ids = nil
		for i := range 8 { // in as many partitions, which the two share
			ids = append(ids, fmt.Sprint("T", round, "-", i))
			got := cpo.Send(hubtest.Request{
				Method: "PUT", Path: "/ocpi/2.2.1/receiver/tariffs/NL/CPA/" + ids[i], To: "EU/BUS", Body: location(ids[i], newYear, ""),
				Header: http.Header{"X-Correlation-Id": {ids[i]}},
			})
			wantHTTP(t, "a push", got, 200, 1000)
		}
		// What Redis loses on a busy machine is lost to the stream, which says so.
		shown = showsWhole(t, streams[0], ids) && showsWhole(t, streams[1], ids)
	}
	for _, h := range []*hubtest.Hub{one, two} {
		for _, id := range ids {
			for wanted := false; !wanted; <-time.After(20 * time.Millisecond) { // segments are stored once a second
				status, m := h.Admin("GET", "/api/v1/messages/"+id, nil)
				legs, _ := m["legs"].(map[string]any)
				wanted = status == 200 && legs["total"] == 1.0 && legs["ok"] == 1.0
				if t.Context().Err() != nil {
					t.Fatalf("message %v", m)
				}
			}
		}
	}
}
