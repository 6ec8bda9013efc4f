package hub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// BenchmarkHub is what most of a hub's time goes into, through all of it: listener,
// authentication, limits, routing, and a receiver over loopback. The requesters'
// and the receiver's part is in it.
func BenchmarkHub(b *testing.B) {
	h := hubtest.Start(b)
	cpo, msp := h.Platform("cpo", "NL/ABC:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const answer = `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`
	msp.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer)
		return true
	})
	body, err := os.ReadFile("../bench/location.json")
	if err != nil {
		b.Fatal(err)
	}
	status := `{"status":"CHARGING","last_updated":"2026-01-01T00:00:00Z"}`
	for i := range 100 {
		id := fmt.Sprintf("LOC%d", i)
		if got := cpo.Send(hubtest.Request{
			Method: "PUT", Path: "/ocpi/2.2.1/receiver/locations/NL/ABC/" + id, From: "NL/ABC", To: "EU/BUS",
			Body: strings.Replace(string(body), `"LOC1"`, `"`+id+`"`, 1),
		}); got.OCPI() != 1000 {
			b.Fatal(got.Status, got.Body)
		}
	}
	const location = "receiver/locations/NL/ABC/LOC1"
	for _, w := range []struct{ name, request string }{
		{"PUT", requestBytes(cpo, "NL/ABC", "DE/MSP", "PUT", location, string(body))},
		{"PATCH", requestBytes(cpo, "NL/ABC", "DE/MSP", "PATCH", location+"/3256", status)},
		{"broadcast", requestBytes(cpo, "NL/ABC", "EU/BUS", "PATCH", location+"/3256", status)},
		{"page", requestBytes(msp, "DE/MSP", "EU/BUS", "GET", "sender/locations?limit=100", "")},
	} {
		b.Run(w.name, func(b *testing.B) {
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) { sendOn(b, h.Addr(), w.request, p.Next) })
		})
	}
}

// requestBytes is a request's bytes.
func requestBytes(p *hubtest.Platform, from, to, method, path, body string) string {
	fromCountry, fromParty, _ := strings.Cut(from, "/")
	toCountry, toParty, _ := strings.Cut(to, "/")
	return fmt.Sprintf("%s /ocpi/2.2.1/%s HTTP/1.1\r\nHost: hub\r\nAuthorization: Token %s\r\n"+
		"X-Request-ID: 4f1d7a52-93c6-4e0b-8a71-000000000001\r\nX-Correlation-ID: b6a0c3de-1f24-47d9-9c55-000000000001\r\n"+
		"OCPI-from-country-code: %s\r\nOCPI-from-party-id: %s\r\nOCPI-to-country-code: %s\r\nOCPI-to-party-id: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, p.TokenC, fromCountry, fromParty, toCountry, toParty, len(body), body)
}

// sendOn sends the request over one connection, as often as next says.
func sendOn(b *testing.B, addr, request string, next func() bool) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	for r := bufio.NewReader(c); next(); {
		if _, err := io.WriteString(c, request); err != nil {
			b.Error(err)
			return
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			b.Error(err, resp)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}
