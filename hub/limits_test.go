package hub_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/ocpi/peer"
)

// reply reads one response whole.
func (w *wire) reply() (*http.Response, string) {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(body)
}

// metric is the value of a line of /metrics; empty when there is none.
func metric(h *hubtest.Hub, line string) string {
	for text := range strings.Lines(h.Metrics()) {
		if value, ok := strings.CutPrefix(text, line+" "); ok {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

func put(p *hubtest.Platform, id, to, body string) string {
	return fmt.Sprintf("PUT /ocpi/2.2.1/receiver/sessions/NL/%s/%s HTTP/1.1\r\nHost: hub\r\nAuthorization: Token %s\r\n"+
		"X-Request-ID: r-%[2]s\r\nX-Correlation-ID: c-%[2]s\r\nOCPI-to-country-code: DE\r\nOCPI-to-party-id: %[4]s\r\nContent-Length: %[5]d\r\n\r\n%[6]s",
		p.Roles[0].PartyID, id, p.TokenC, to, len(body), body)
}

// One platform with 150 requests to a receiver that hangs: 120 wait, the others
// are refused at once, and nobody else notices.
func TestLimits_ANoisyPlatformStarvesNobody(t *testing.T) {
	t.Parallel()
	const most, requests = 120, 150
	h := hubtest.Start(t, func(c *hub.Config) { c.PlatformConcurrency = most })
	noisy, calm := h.Platform("noisy", "NL/NSY:CPO"), h.Platform("calm", "NL/CLM:CPO")
	hanging, quick := h.Platform("hanging", "DE/HNG:EMSP"), h.Platform("quick", "DE/QCK:EMSP")
	hang, arrived := make(chan struct{}), make(chan struct{}, requests)
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	hanging.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/receiver/sessions/") {
			arrived <- struct{}{}
			<-hang
		}
		return false
	})
	conns := make([]*wire, requests)
	for i := range most {
		conns[i] = dial(t, h)
		conns[i].say(put(noisy, fmt.Sprint(i), "HNG", `{"id":"1"}`))
	}
	for range most {
		<-arrived
	}
	for i := most; i < requests; i++ {
		w := dial(t, h)
		w.say(put(noisy, fmt.Sprint(i), "HNG", `{"id":"1"}`), put(calm, "1", "QCK", `{"id":"1"}`))
		resp, body := w.reply()
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"status_code":2000`) ||
			!strings.Contains(body, "120 requests in flight, the limit of this hub (BUSBAR_PLATFORM_CONCURRENCY)") ||
			resp.Header.Get("X-Request-ID") != "r-"+fmt.Sprint(i) || resp.Header.Get("X-Correlation-ID") != "c-"+fmt.Sprint(i) {
			t.Fatalf("request %d: HTTP %d %v %s", i, resp.StatusCode, resp.Header, body)
		}
		// On the same connection, which the refusal did not spoil.
		if status, body := w.hear(); status != 200 {
			t.Fatalf("another platform: HTTP %d %s", status, body)
		}
	}
	if got := len(quick.Received()); got != requests-most {
		t.Errorf("the other platform's requests: %d arrived, want %d", got, requests-most)
	}
	if got := metric(h, `busbar_refused_total{reason="concurrency"}`); got != fmt.Sprint(requests-most) {
		t.Errorf("%s are counted, want %d", got, requests-most)
	}
	release()
	for i := range most {
		if status, body := conns[i].hear(); status != 200 {
			t.Fatalf("request %d: HTTP %d %s", i, status, body)
		}
	}
	w := dial(t, h) // there is room again
	w.say(put(noisy, "again", "QCK", `{"id":"1"}`))
	if status, body := w.hear(); status != 200 {
		t.Errorf("afterwards: HTTP %d %s", status, body)
	}
}

// One platform has as many requests under way as it may, all to a receiver that does
// not answer them: others reach the same receiver.
func TestLimits_ANoisyPlatformLeavesConnectionsToItsReceiver(t *testing.T) {
	t.Parallel()
	const share = peer.MaxConns / 2
	h := hubtest.Start(t)
	noisy, calm := h.Platform("noisy", "NL/NSY:CPO"), h.Platform("calm", "NL/CLM:CPO")
	receiver := h.Platform("receiver", "DE/RCV:EMSP")
	hang, arrived := make(chan struct{}), make(chan struct{}, peer.MaxConns)
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	receiver.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/NSY/") {
			arrived <- struct{}{}
			<-hang
		}
		return false
	})
	conns := make([]*wire, peer.MaxConns)
	for i := range conns {
		conns[i] = dial(t, h)
		conns[i].say(put(noisy, fmt.Sprint(i), "RCV", `{"id":"1"}`))
	}
	for range share {
		<-arrived
	}
	w := dial(t, h)
	for i := range 20 {
		w.say(put(calm, fmt.Sprint(i), "RCV", `{"id":"1"}`))
		if status, body := w.hear(); status != 200 {
			t.Fatalf("another platform's request: HTTP %d %s", status, body)
		}
	}
	if n := len(arrived); n != 0 {
		t.Errorf("%d requests more than its share arrived of the noisy platform", n)
	}
	release()
	for i := range conns { // those that waited go out now
		if status, body := conns[i].hear(); status != 200 {
			t.Fatalf("request %d: HTTP %d %s", i, status, body)
		}
	}
}

func TestLimits_RateIsOfOnePlatform(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.PlatformRate = 1 })
	a, b := h.NewPlatform("a", "NL/AAA:CPO"), h.NewPlatform("b", "NL/BBB:CPO")
	get := func(p *hubtest.Platform) string {
		return "GET /ocpi/versions HTTP/1.1\r\nHost: hub\r\nAuthorization: Token " + p.TokenA + "\r\n\r\n"
	}
	w, begin := dial(t, h), time.Now()
	w.say(strings.Repeat(get(a), 40))
	refused := 0
	for range 40 {
		resp, body := w.reply()
		switch {
		case resp.StatusCode == 200:
		case resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "1" &&
			strings.Contains(body, "more than 1 requests per second, the limit of this hub (BUSBAR_PLATFORM_RATE)"):
			refused++
		default:
			t.Fatalf("HTTP %d %v %s", resp.StatusCode, resp.Header, body)
		}
	}
	// Ten at once, and one more in each second that a slow machine took.
	if let := 40 - refused; let < 10 || let > 10+int(time.Since(begin)/time.Second) {
		t.Errorf("%d of 40 were let through in %s", let, time.Since(begin))
	}
	w.say(get(b))
	if status, body := w.hear(); status != 200 {
		t.Errorf("another platform: HTTP %d %s", status, body)
	}
}

func TestLimits_BodyMemory(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.MaxBody, c.BodyMemory = 200_000, 800_000 })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	msp.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "GET" || !strings.HasPrefix(r.URL.Path, "/sender/") {
			return false
		}
		if strings.Contains(r.URL.RawQuery, "chunked") {
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, `{"status_code":1000,"data":"`+strings.Repeat("x", 300_000)+`"}`)
		return true
	})
	big := `{"id":"` + strings.Repeat("x", 150_000) + `"}`
	one, two := dial(t, h), dial(t, h)
	text := put(cpo, "1", "MSP", big)
	one.say(text[:len(text)-10])                     // and waits
	for metric(h, "busbar_body_bytes") != "150010" { // until what was sent is read
		runtime.Gosched()
	}
	two.say(put(cpo, "2", "MSP", big))
	if resp, body := two.reply(); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, "share of the memory for bodies (BUSBAR_BODY_MEMORY)") {
		t.Fatalf("HTTP %d %v %s", resp.StatusCode, resp.Header, body)
	}
	other := dial(t, h) // of a platform that has its own share
	other.say(put(h.Platform("quiet", "NL/CPB:CPO"), "2", "MSP", big))
	if status, body := other.hear(); status != 200 {
		t.Errorf("another platform's: HTTP %d %s", status, body)
	}
	small := dial(t, h)
	small.say(put(cpo, "3", "MSP", `{"id":"3"}`))
	if status, body := small.hear(); status != 200 {
		t.Errorf("a small body: HTTP %d %s", status, body)
	}
	one.say(text[len(text)-10:])
	if status, body := one.hear(); status != 200 {
		t.Errorf("the first: HTTP %d %s", status, body)
	}
	two = dial(t, h)
	two.say(put(cpo, "4", "MSP", big))
	if status, body := two.hear(); status != 200 {
		t.Errorf("with room again: HTTP %d %s", status, body)
	}
	for _, query := range []string{"", "?chunked=1"} {
		answer := cpo.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens" + query, To: "DE/MSP"})
		if answer.OCPI() != 4000 || !strings.Contains(answer.Message(), "no room for the answer of DEMSP (BUSBAR_BODY_MEMORY)") {
			t.Errorf("an answer beyond the bound: HTTP %d %.300s", answer.Status, answer.Body)
		}
	}
	if got := metric(h, `busbar_refused_total{reason="memory"}`); got != "1" {
		t.Errorf("%s are counted, want 1", got)
	}
	if got := metric(h, "busbar_body_bytes"); got != "0" {
		t.Errorf("%s bytes are still held", got)
	}
}

// failUntilBraked fails to authenticate until that is slowed down, as it must be
// after so many failures, and one more in each three seconds since begin: a busy
// machine needs that long. A zero begin is now.
func failUntilBraked(t *testing.T, begin time.Time, left int, try func() (status int, body string)) {
	t.Helper()
	if begin.IsZero() {
		begin = time.Now()
	}
	for failed := 0; ; failed++ {
		status, body := try()
		if status == 429 {
			return
		}
		if most := left + int(time.Since(begin)/(3*time.Second)); status != 401 || failed >= most {
			t.Fatalf("failure %d of %d that may be: HTTP %d %s", failed+1, most, status, body)
		}
	}
}

// Guessing is slowed down for where it comes from; the right token is let
// through.
func TestBrake_OnGuessing(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	guess := func(token string) string {
		return "GET /ocpi/versions HTTP/1.1\r\nHost: hub\r\nX-Forwarded-For: 192.0.2.1\r\n" + token + "\r\n"
	}
	begin := time.Now()
	w := dial(t, h)
	for i := range 20 {
		token := "Authorization: Token guess-" + fmt.Sprint(i) + "\r\n"
		if i%2 == 1 {
			token = "" // who brings none is counted, too
		}
		w.say(guess(token))
		if status, body := w.hear(); status != 401 {
			t.Fatalf("guess %d: HTTP %d %s", i, status, body)
		}
	}
	for range 50 {
		w.say(guess("Authorization: Token other\r\n"))
	}
	braked := 0
	for range 50 {
		resp, body := w.reply()
		if resp.StatusCode == 429 {
			braked++
			if after := resp.Header.Get("Retry-After"); after < "1" || after > "3" || !strings.Contains(body, `"status_code":2000`) {
				t.Fatalf("%v %s", resp.Header, body)
			}
		}
	}
	if looked := 50 - braked; looked > int(time.Since(begin)/(3*time.Second)) {
		t.Errorf("%d of 50 guesses were looked at, %s after the first", looked, time.Since(begin))
	}
	w.say(guess("Authorization: Token " + p.TokenA + "\r\n"))
	if status, body := w.hear(); status != 200 {
		t.Errorf("the right token: HTTP %d %s", status, body)
	}
	// Who asks whether to send a body at all meets the brake as well.
	failUntilBraked(t, begin, 0, func() (int, string) {
		w := dial(t, h)
		w.say("POST /ocpi/2.2.1/credentials HTTP/1.1\r\nHost: hub\r\nAuthorization: Token other\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
		return w.hear()
	})
	if got := metric(h, `busbar_refused_total{reason="brake"}`); got != fmt.Sprint(braked+1) {
		t.Errorf("%s are counted, want %d", got, braked+1)
	}
	h.Stop()
	if log := h.Log.String(); strings.Count(log, "too many requests without a valid token") != 1 || strings.Count(log, "http_status=429") != 0 {
		t.Errorf("the log is filled by who guesses:\n%s", log)
	}
}
