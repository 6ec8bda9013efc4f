package hub_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"busbar/hub/hubtest"
)

// BenchmarkRoutedPut is a Session of a kilobyte that goes through the whole hub:
// listener, authentication, limits, routing, and a receiver over loopback. The
// receiver's and requester's part is in it.
func BenchmarkRoutedPut(b *testing.B) {
	h := hubtest.Start(b)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const answer = `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`
	msp.Intercepts(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer)
		return true
	})
	body := fmt.Sprintf(`{"id":"S1","last_updated":"2026-01-01T00:00:00Z","pad":%q}`, strings.Repeat("x", 900))
	request := fmt.Sprintf("PUT /ocpi/2.2.1/receiver/sessions/NL/CPA/S1 HTTP/1.1\r\nHost: hub\r\nAuthorization: Token %s\r\n"+
		"OCPI-from-country-code: NL\r\nOCPI-from-party-id: CPA\r\nOCPI-to-country-code: DE\r\nOCPI-to-party-id: MSP\r\n"+
		"X-Request-ID: r\r\nX-Correlation-ID: c\r\nContent-Length: %d\r\n\r\n%s", cpo.TokenC, len(body), body)
	c, err := net.Dial("tcp", h.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(err, resp)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}
