package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// again is a connection on which the same request comes again and again.
type again struct {
	net.Conn
	request string
	rest    string
	left    int
}

func (a *again) Read(p []byte) (int, error) {
	if a.rest == "" {
		if a.left == 0 {
			return 0, io.EOF
		}
		a.left--
		a.rest = a.request
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

func (a *again) Write(p []byte) (int, error)      { return len(p), nil }
func (a *again) Close() error                     { return nil }
func (a *again) SetDeadline(time.Time) error      { return nil }
func (a *again) SetReadDeadline(time.Time) error  { return nil }
func (a *again) SetWriteDeadline(time.Time) error { return nil }
func (a *again) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (a *again) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }

// BenchmarkServe is what the server itself takes of a request, without the
// kernel: from its bytes to the handler's http.Request, and back.
func BenchmarkServe(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := io.Copy(io.Discard, r.Body); n != 2800 {
			b.Error("the body has", n, "bytes")
		}
		_, _ = io.WriteString(w, `{"status_code":1000}`)
	})
	s := newServer(handler, bounds{read: time.Minute, header: time.Minute, write: time.Minute, connections: 1}, nil)
	request := "PUT /ocpi/2.2.1/receiver/locations/NL/ABC/LOC1 HTTP/1.1\r\nHost: hub.example.com\r\n" +
		"Authorization: Token ZWJmM2IzOTktNzc5Zi00NDk3LTliOWQtYWM2YWQzY2M0NGQy\r\n" +
		"Content-Type: application/json\r\nContent-Length: 2800\r\n" +
		"X-Request-ID: 4f1d7a52-93c6-4e0b-8a71-000000000001\r\nX-Correlation-ID: b6a0c3de-1f24-47d9-9c55-000000000001\r\n" +
		"OCPI-from-country-code: NL\r\nOCPI-from-party-id: ABC\r\nOCPI-to-country-code: DE\r\nOCPI-to-party-id: XYZ\r\n\r\n"
	b.ReportAllocs()
	c := &conn{Conn: &again{request: fmt.Sprint(request, strings.Repeat("x", 2800)), left: b.N}, open: &s.conns}
	_ = s.fast.ServeConn(c)
}
