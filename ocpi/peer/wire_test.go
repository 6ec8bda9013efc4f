package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

// recording answers everything with success and keeps what came.
func recording() (func(*link), <-chan received) {
	came := make(chan received, 16)
	return func(l *link) {
		for {
			r, more := l.request()
			if !more {
				return
			}
			came <- r
			l.send(ok(success))
		}
	}, came
}

func TestR7_HeadersOnTheWireAreSpelledAsInTheSpecification(t *testing.T) {
	t.Parallel()
	handle, came := recording()
	p := listen(t, handle)
	call := &Call{
		Method: "PUT", Target: target(t, p.url+"/ocpi/cpo/2.2.1/locations/"), Path: "/NL/CPA/LOC%2F1", Query: "x=1",
		Headers: []ocpi.Header{
			{Name: ocpi.HeaderRequestID, Value: "r-1"}, {Name: ocpi.HeaderCorrelationID, Value: "c-1"},
			{Name: ocpi.HeaderFromCountryCode, Value: "nl"}, {Name: ocpi.HeaderFromPartyID, Value: "Msp"},
			{Name: ocpi.HeaderToCountryCode, Value: "NL"}, {Name: ocpi.HeaderToPartyID, Value: "CPA"},
		},
		Body: []byte(`{"id":"LOC/1"}`),
	}
	finish(p.client(t).Do(context.Background(), soon(), call)).succeeds(t)
	want := "PUT /ocpi/cpo/2.2.1/locations/NL/CPA/LOC%2F1?x=1 HTTP/1.1\r\n" +
		"Host: " + strings.TrimPrefix(p.url, "http://") + "\r\n" +
		"User-Agent: Busbar\r\n" +
		"Accept: application/json\r\n" +
		"Authorization: Token c2VjcmV0\r\n" +
		"X-Request-ID: r-1\r\n" +
		"X-Correlation-ID: c-1\r\n" +
		"OCPI-from-country-code: nl\r\n" +
		"OCPI-from-party-id: Msp\r\n" +
		"OCPI-to-country-code: NL\r\n" +
		"OCPI-to-party-id: CPA\r\n" +
		"Content-Type: application/json\r\n" +
		"Content-Length: 14\r\n\r\n"
	got := <-came
	if diff := cmp.Diff(want, got.head); diff != "" {
		t.Errorf("header:\n%s", diff)
	}
	if string(got.body) != `{"id":"LOC/1"}` {
		t.Errorf("body: %s", got.body)
	}
}

func TestF1_ContentTypeAndLength(t *testing.T) {
	t.Parallel()
	handle, came := recording()
	p := listen(t, handle)
	c := p.client(t)
	for _, tt := range []struct {
		method string
		body   []byte
		sent   string
	}{
		{"GET", nil, ""},
		{"DELETE", nil, ""},
		{"POST", nil, "Content-Length: 0\r\n"},
		{"PUT", nil, "Content-Length: 0\r\n"},
		{"PATCH", nil, "Content-Length: 0\r\n"},
		{"POST", []byte{}, "Content-Type: application/json\r\nContent-Length: 0\r\n"},
		{"DELETE", []byte("{}"), "Content-Type: application/json\r\nContent-Length: 2\r\n"},
		{"PUT", []byte("{}"), "Content-Type: application/json\r\nContent-Length: 2\r\n"},
	} {
		finish(c.Do(context.Background(), soon(), &Call{
			Method: tt.method, Target: target(t, p.url+"/x"), Body: tt.body,
		})).succeeds(t)
		got := <-came
		_, rest, _ := strings.Cut(got.head, "Authorization: Token c2VjcmV0\r\n")
		if rest != tt.sent+"\r\n" || !bytes.Equal(got.body, tt.body) {
			t.Errorf("%s %q: %q with %q", tt.method, tt.body, rest, got.body)
		}
	}
	p.counts(t, 1, 8)
}

func TestHeaderValuesCannotEndTheLine(t *testing.T) {
	t.Parallel()
	handle, came := recording()
	p := listen(t, handle)
	finish(p.client(t).Do(context.Background(), soon(), &Call{
		Method: "GET", Target: target(t, p.url+"/x"),
		Headers: []ocpi.Header{{Name: "X-Correlation-ID", Value: "a\r\nOCPI-to-party-id: EVL\x00\x7f\tz"}},
	})).succeeds(t)
	if got := (<-came).header("X-Correlation-ID"); got != "aOCPI-to-party-id: EVL\tz" {
		t.Errorf("sent as %q", got)
	}
}

func TestF5_BodiesArriveIntact(t *testing.T) {
	t.Parallel()
	handle, came := recording()
	p := listen(t, handle)
	c := p.client(t)
	// Around the copy into the header's buffer, and far beyond any buffer.
	for _, size := range []int{0, 1, 2800, smallBody - 1, smallBody, smallBody + 1, 1 << 20, 8 << 20} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(i * 7)
		}
		finish(c.Do(context.Background(), soon(), &Call{Method: "PUT", Target: target(t, p.url+"/x"), Body: body})).succeeds(t)
		if got := <-came; sha256.Sum256(got.body) != sha256.Sum256(body) {
			t.Errorf("%d bytes arrived as %d other ones", size, len(got.body))
		}
	}
	p.counts(t, 1, 8)
}

func TestAnswersArriveIntact(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 5<<16) // 5 MB
	chunk := func(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }
	for _, tt := range []struct {
		what, answer string
		status       int
		body         string
		reused       bool
	}{
		{"plain", ok(success), 200, success, true},
		{"large", ok(big), 200, big, true},
		{"created", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", 201, "{}", true},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(`{"status_`) + chunk(`code":1000}`) + "0\r\n\r\n", 200, `{"status_code":1000}`, true},
		{"chunked and large", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(big) + chunk(big) + "0\r\n\r\n", 200, big + big, true},
		{"chunked with extension and trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nX-T: 1\r\n\r\n", 200, "{}", true},
		{"after 100 Continue", "HTTP/1.1 100 Continue\r\n\r\n" + ok(success), 200, success, true},
		{"after 103 and 102", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok(success), 200, success, true},
		{"no reason phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true},
		{"odd case", "HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n\r\n{}", 200, "{}", true},
		{"until the connection closes", "HTTP/1.1 200 OK\r\n\r\n" + big, 200, big, false},
		{"Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false},
		{"Connection: Close", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false},
		{"close in a list", "HTTP/1.1 200 OK\r\nConnection: foo, close\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false},
		{"keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false},
		{"HTTP/1.0 kept alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true},
		{"a body behind 204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}", 204, "", false},
		{"not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", 404, "{}", true},
		{"text on 500", "HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\noops", 500, "oops", true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			p := listen(t, func(l *link) {
				for {
					if _, more := l.request(); !more {
						return
					}
					l.send(tt.answer)
					if !tt.reused {
						if tt.what != "until the connection closes" {
							l.request() // closing is left to the client
						}
						return
					}
				}
			})
			c := p.client(t)
			for range 2 {
				got := p.do(t, c, "POST")
				if got.err != nil || got.status != tt.status || string(got.body) != tt.body {
					t.Fatalf("HTTP %d with %d bytes %.80q, %v", got.status, len(got.body), got.body, got.err)
				}
			}
			p.counts(t, map[bool]int32{true: 1, false: 2}[tt.reused], 2)
		})
	}
}

func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	p := listen(t, answers("HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\nx-total-count: 7\r\n"+
		"Link: <https://p/x?offset=1>; rel=\"next\"\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"))
	call := &Call{Method: "GET", Target: target(t, p.url)}
	answer, err := p.client(t).Do(context.Background(), soon(), call)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Release()
	if answer.Header(ocpi.HeaderTotalCount) != "7" || answer.Header(ocpi.HeaderLink) != `<https://p/x?offset=1>; rel="next"` ||
		answer.Header(ocpi.HeaderLimit) != "" {
		t.Error("headers differ")
	}
	if !answer.Encoded() || string(answer.Body()) != "\x1f\x8b" {
		t.Error("a compressed body is not flagged, or was unpacked")
	}
}

func TestEncodedIsOnlyWhatWasCompressed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"": false, "Content-Encoding: identity\r\n": false, "Content-Encoding: br\r\n": true, "content-encoding: GZIP\r\n": true,
	} {
		p := listen(t, answers("HTTP/1.1 200 OK\r\n"+line+"Content-Length: 0\r\n\r\n"))
		answer, err := p.client(t).Do(context.Background(), soon(), &Call{Method: "GET", Target: target(t, p.url)})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Encoded() != want {
			t.Errorf("%q: encoded %v", line, !want)
		}
		answer.Release()
	}
}

func TestS4_RedirectsAreReturned(t *testing.T) {
	t.Parallel()
	elsewhere := listen(t, answers(ok(success)))
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := listen(t, answers("HTTP/1.1 "+strconv.Itoa(status)+" Moved\r\nLocation: "+elsewhere.url+"/\r\nContent-Length: 0\r\n\r\n"))
		if got := p.do(t, p.client(t), "POST"); got.status != status || got.err != nil {
			t.Errorf("HTTP %d, %v", got.status, got.err)
		}
	}
	elsewhere.counts(t, 0, 0)
}
