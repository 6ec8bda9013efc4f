//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// script is a connection whose peer says what the reader says.
type script struct {
	net.Conn
	io.Reader
}

func (s script) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// wires read the text as a whole, byte by byte, and through a buffer so small
// that it must grow and move.
func wires(text string) map[string]*wire {
	small := newWire(script{Reader: strings.NewReader(text)})
	small.buf = make([]byte, 8)
	return map[string]*wire{
		"at once":      newWire(script{Reader: strings.NewReader(text)}),
		"byte by byte": newWire(script{Reader: iotest.OneByteReader(strings.NewReader(text))}),
		"small buffer": small,
	}
}

func TestWireReadsMessages(t *testing.T) {
	t.Parallel()
	const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
	text := "HTTP/1.1 200 OK\r\nX-Limit: 5\r\ncontent-LENGTH:  7\r\n\r\n{\"a\":1}" +
		"HTTP/1.1 204 No Content\r\n\r\n" +
		chunkedHead + "\r\n\r\n3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n" +
		chunkedHead + "\r\n\r\n0\r\n\r\n" +
		"PUT /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"
	want := []string{`{"a":1}`, "", "abc0123456789", "", "ok"}
	for name, w := range wires(strings.Replace(text, ";x=y", "", 1)) {
		for i, body := range want {
			_, got, err := w.next()
			if err != nil || string(got) != body {
				t.Fatalf("%s: message %d is %q, %v, want %q", name, i, got, err, body)
			}
		}
		if _, _, err := w.next(); err != io.EOF {
			t.Errorf("%s: after the last message %v, want EOF", name, err)
		}
	}
}

// pausing says syscall.EAGAIN before every byte, as a socket that has nothing
// yet.
type pausing struct {
	from io.Reader
	due  bool
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.due = !p.due; p.due {
		return 0, syscall.EAGAIN
	}
	return p.from.Read(b[:1])
}

func TestWireGoesOnAfterAPause(t *testing.T) {
	t.Parallel()
	text := "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
	w := newWire(&pausing{from: strings.NewReader(text)})
	for _, want := range []string{`{"a":1}`, "abcde"} {
		_, got, err := w.next()
		for err == syscall.EAGAIN {
			_, got, err = w.next()
		}
		if err != nil || string(got) != want || !w.empty() {
			t.Fatalf("message is %q, %v, want %q and nothing behind it", got, err, want)
		}
	}
}

func TestWireRefusesWhatEndsEarly(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"HTTP/1.1 200",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n123",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n",
	} {
		for name, w := range wires(text) {
			if _, _, err := w.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %q gives %v, want an unexpected EOF", name, text, err)
			}
		}
	}
}

func TestWireRefusesBadFraming(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(maxMessage+1) + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	} {
		if _, _, err := newWire(script{Reader: strings.NewReader(text)}).next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q gives %v, want a refusal", text, err)
		}
	}
	endless := newWire(script{Reader: bytes.NewReader(make([]byte, maxMessage+1))})
	if _, _, err := endless.next(); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an endless head gives %v, want a refusal", err)
	}
}

func TestHeads(t *testing.T) {
	t.Parallel()
	head := []byte("HTTP/1.1 401 Unauthorized\r\nx-request-ID: 7 \r\nLink: <http://h/>; rel=\"next\"")
	if got := statusOf(head); got != 401 {
		t.Errorf("status %d", got)
	}
	if got := headerOf(head, "X-Request-ID"); got != "7" {
		t.Errorf("X-Request-ID %q", got)
	}
	if got := headerOf(head, "Link"); got != `<http://h/>; rel="next"` {
		t.Errorf("Link %q", got)
	}
	if got := headerOf(head, "X-Limit"); got != "" {
		t.Errorf("absent header %q", got)
	}
	for _, bad := range []string{"", "HTTP/1.1 20", "SMTP/1.1 200", "HTTP/1.1 abc"} {
		if got := statusOf([]byte(bad)); got != 0 {
			t.Errorf("%q has status %d", bad, got)
		}
	}
}
