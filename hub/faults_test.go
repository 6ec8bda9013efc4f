package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

func TestS3_AReceiverThatHangsIsATimeout(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ForwardTimeout = 200 * time.Millisecond })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	msp.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/ocpi/versions" {
			return false
		}
		<-r.Context().Done() // until the hub gives up
		return true
	})
	got := cpo.List("tokens", "DE/MSP")
	wantHTTP(t, "a receiver that hangs", got, 200, 4002)
	wantMessage(t, got, "DEMSP did not answer in time")
}

func TestS4_AReceiverThatDiesDuringTheRequest(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	var calls atomic.Int32
	msp.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/receiver/cdrs" { // else the hub looks whether the platform is there
			calls.Add(1)
		}
		hangUp(w)
		return true
	})
	got := cpo.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/cdrs", To: "DE/MSP", Body: "{}"})
	wantHTTP(t, "a receiver that dies", got, 200, 4003)
	if n := calls.Load(); n != 1 {
		t.Errorf("the message was sent %d times", n)
	}
}

func TestCancel_ARequesterThatGoesAwayCancelsTheForwardedCall(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	arrived, cancelled := make(chan struct{}), make(chan struct{})
	msp.Intercepts(func(_ http.ResponseWriter, r *http.Request) bool {
		close(arrived)
		<-r.Context().Done()
		close(cancelled)
		return true
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := h.TrySend(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", Token: cpo.TokenC, To: "DE/MSP", Context: ctx})
	if err == nil {
		t.Error("the request was answered")
	}
	<-cancelled
}

func TestIdle_AConnectionThatDiedWhileIdleIsNoErrorOfTheSender(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	for i := range 5 {
		got := cpo.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/cdrs", To: "DE/MSP", Body: "{}"})
		wantHTTP(t, fmt.Sprintf("message %d", i+1), got, 200, 1000)
		msp.Server.CloseClientConnections() // returns when they are closed
	}
	if got := len(msp.Received()); got != 5 {
		t.Errorf("received %d messages, want 5", got)
	}
}

func TestMaxBody_LargerRequestsGet413(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.MaxBody = 1000 })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	body := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	send := func(b string, header http.Header) *hubtest.Response {
		return cpo.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/cdrs", To: "DE/MSP", Body: b, Header: header})
	}
	wantHTTP(t, "the largest body", send(body(1000), nil), 200, 1000)
	got := send(body(1001), nil)
	wantHTTP(t, "one byte more", got, 413, 2000)
	wantMessage(t, got, "1000 bytes")
	if n := len(msp.Received()); n != 1 {
		t.Errorf("received %d messages, want 1", n)
	}

	// Without a Content-Length the bound holds as well.
	conn, err := net.Dial("tcp", h.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1\r\nHost: hub\r\nAuthorization: Token %s\r\nOCPI-to-country-code: DE\r\nOCPI-to-party-id: MSP\r\nTransfer-Encoding: chunked\r\n\r\n", cpo.TokenC)
	fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", 1001, body(1001))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("chunked: HTTP %d, want 413", resp.StatusCode)
	}
}

func TestLarge_BodiesTravelWhole(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.MaxBody = 8 << 20 })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	large := `"` + strings.Repeat("é", 1<<20) + `"`
	answer := `{"data":[` + large + `],"status_code":1000}`
	msp.Answers(hubtest.Answer{Status: 200, Body: answer})
	got := cpo.Send(hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/receiver/cdrs", To: "DE/MSP", Body: large})
	if got.Body != answer {
		t.Errorf("the answer has %d bytes, want %d", len(got.Body), len(answer))
	}
	if received := msp.Received()[0].Body; received != large {
		t.Errorf("the receiver got %d bytes, want %d", len(received), len(large))
	}
}

// Big answers are written from the buffers they came in, which are reused.
func TestLarge_AnswersAreNotMixed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	var running sync.WaitGroup
	for _, name := range []string{"AAA", "BBB", "CCC"} {
		msp := h.Platform("msp "+name, "DE/"+name+":EMSP")
		answer := `{"data":["` + strings.Repeat(name, 100_000) + `"],"status_code":1000}`
		msp.Answers(hubtest.Answer{Status: 200, Body: answer})
		for range 3 {
			running.Go(func() {
				for range 20 {
					got := cpo.List("tokens", "DE/"+name)
					if got.Body != answer {
						t.Errorf("%s: the answer has %d bytes, want %d, or holds others", name, len(got.Body), len(answer))
					}
				}
			})
		}
	}
	running.Wait()
}

func TestStop_RequestsInFlightFinishAndNewOnesAreRefused(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	arrived, release := make(chan struct{}), make(chan struct{})
	msp.Intercepts(func(http.ResponseWriter, *http.Request) bool {
		close(arrived)
		<-release
		return false
	})
	answer := make(chan *hubtest.Response, 1)
	go func() {
		answer <- cpo.List("tokens", "DE/MSP")
	}()
	<-arrived
	stopped := make(chan struct{})
	go func() {
		h.Stop()
		close(stopped)
	}()
	// The listener closes first; then the request in flight may end.
	for {
		c, err := net.Dial("tcp", h.Addr())
		if err != nil {
			break
		}
		c.Close()
	}
	close(release)
	wantHTTP(t, "the request in flight", <-answer, 200, 1000)
	<-stopped
}

func TestSecrets_NoLiveTokenInFilesOrLogs(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	waiting := h.NewPlatform("waiting", "FR/CPO:CPO")
	receiver := newConnected(t, h, "receiver", "FR/MSP:EMSP")
	cpo.List("tokens", "DE/MSP")
	secrets := map[string]string{
		"token A": waiting.TokenA, "token B": cpo.TokenB, "token C": cpo.TokenC, "C of another": msp.TokenC,
		"offered token": receiver.offered, "given token": receiver.gives, "admin token": h.AdminToken,
	}
	_, list := h.Admin("GET", "/api/v1/platforms", nil)
	places := map[string]string{"admin API": fmt.Sprint(list), "metrics": h.Metrics()}
	h.Stop()
	places["log"] = h.Log.String()
	err := filepath.WalkDir(h.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			raw, readErr := os.ReadFile(path)
			places[path], err = string(raw), readErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range places {
		if text == "" {
			t.Errorf("%s is empty, so the search says nothing", place)
		}
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the %s", place, name)
			}
		}
	}
}

func TestMetrics_CountWhatPassed(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	h.Platform("msp", "DE/MSP:EMSP")
	cpo.List("tokens", "DE/MSP")
	cpo.Send(hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/nltnm-x", To: "DE/MSP"})
	cpo.List("tokens", "DE/XXX")
	metrics := h.Metrics()
	for _, line := range []string{
		`busbar_requests_total{module="tokens",outcome="ok",plan="direct"} 1`,
		`busbar_requests_total{module="custom",outcome="bad_answer",plan="refused"} 1`,
		`busbar_requests_total{module="tokens",outcome="unknown",plan="refused"} 1`,
		`busbar_request_duration_seconds_count{module="tokens",plan="direct"} 1`,
		`busbar_hub_duration_seconds_count 3`,
		`busbar_handshakes_total{outcome="ok"} 2`,
		`busbar_platforms{status="CONNECTED"} 2`,
		`go_goroutines `, `process_cpu_seconds_total `,
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("metrics lack %s", line)
		}
	}
}

func TestLog_OneRecordForEveryRequest(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	h.Platform("msp", "DE/MSP:EMSP")
	for i, r := range []hubtest.Request{
		{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", To: "DE/MSP"},
		{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", To: "DE/XXX"},
		{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", To: "DE/"},
		{Method: "PUT", Path: "/ocpi/2.2.1/receiver/sessions/NL/CPA/1", To: "DE/MSP", Body: "{"},
		{Method: "GET", Path: "/ocpi/versions"},
		{Method: "GET", Path: "/nowhere"},
	} {
		r.Header = http.Header{"X-Correlation-Id": {fmt.Sprintf("marker-%d", i)}}
		cpo.Send(r)
	}
	h.Stop()
	for i := range 6 {
		if got := strings.Count(h.Log.String(), fmt.Sprintf("correlation_id=marker-%d ", i)); got != 1 {
			t.Errorf("request %d has %d records, want 1", i, got)
		}
	}
}
