//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxMessage bounds one HTTP message on a wire, in bytes.
const maxMessage = 4 << 20

// wire reads HTTP/1.1 messages from a connection, requests and responses
// alike, for a fraction of what net/http costs: neither the load generator nor
// the backend may become what is measured.
type wire struct {
	from       io.Reader
	buf        []byte
	start, end int
}

func newWire(from io.Reader) *wire { return &wire{from: from, buf: make([]byte, 8<<10)} }

// next reads one message. head is everything up to the empty line, without
// it. Both slices are valid until the next call. A connection that ends
// between two messages is io.EOF. After syscall.EAGAIN from the connection the
// call can be made again: nothing that has arrived is lost.
func (w *wire) next() (head, body []byte, err error) {
	if w.start == w.end {
		w.start, w.end = 0, 0
	}
	headLen := -1
	for searched := 0; ; {
		if i := bytes.Index(w.buf[w.start+searched:w.end], []byte("\r\n\r\n")); i >= 0 {
			headLen = searched + i
			break
		}
		searched = max(w.end-w.start-3, 0)
		if err := w.fill(); err != nil {
			return nil, nil, err
		}
	}
	length, chunked, err := framing(w.buf[w.start : w.start+headLen])
	if err != nil {
		return nil, nil, err
	}
	if chunked {
		return w.nextChunked(headLen)
	}
	total := headLen + 4 + length
	for w.end-w.start < total {
		if err := w.fill(); err != nil {
			return nil, nil, unexpected(err)
		}
	}
	message := w.buf[w.start : w.start+total]
	w.start += total
	return message[:headLen], message[headLen+4:], nil
}

// empty tells that all that was read has been returned.
func (w *wire) empty() bool { return w.start == w.end }

// nextChunked reads the body behind the head that stands in the buffer.
func (w *wire) nextChunked(headLen int) (head, body []byte, err error) {
	at := headLen + 4 // relative to start, which fill may move
	for {
		line, err := w.line(at)
		if err != nil {
			return nil, nil, err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return nil, nil, fmt.Errorf("chunk size: %w", err)
		}
		at += len(line) + 2
		if size == 0 {
			break
		}
		for w.end-w.start < at+int(size)+2 {
			if err := w.fill(); err != nil {
				return nil, nil, unexpected(err)
			}
		}
		body = append(body, w.buf[w.start+at:w.start+at+int(size)]...)
		at += int(size) + 2
	}
	for { // trailers, up to the empty line
		line, err := w.line(at)
		if err != nil {
			return nil, nil, err
		}
		at += len(line) + 2
		if len(line) == 0 {
			break
		}
	}
	head = w.buf[w.start : w.start+headLen]
	w.start += at
	return head, body, nil
}

// line is the line that begins at start+at, without its end.
func (w *wire) line(at int) ([]byte, error) {
	for {
		if w.start+at <= w.end {
			if i := bytes.Index(w.buf[w.start+at:w.end], []byte("\r\n")); i >= 0 {
				return w.buf[w.start+at : w.start+at+i], nil
			}
		}
		if err := w.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// fill reads more behind end, making room first.
func (w *wire) fill() error {
	if w.end == len(w.buf) {
		if w.start > 0 {
			copy(w.buf, w.buf[w.start:w.end])
			w.start, w.end = 0, w.end-w.start
		} else if len(w.buf) < maxMessage {
			w.buf = append(w.buf, make([]byte, len(w.buf))...)
		} else {
			return fmt.Errorf("a message is longer than %d bytes", maxMessage)
		}
	}
	n, err := w.from.Read(w.buf[w.end:])
	w.end += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && w.end > w.start {
		return io.ErrUnexpectedEOF
	}
	return err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// framing tells how the body behind a head is delimited. Neither header means
// that there is none: nobody here answers until the connection closes.
func framing(head []byte) (length int, chunked bool, err error) {
	for len(head) > 0 {
		var line []byte
		if i := bytes.IndexByte(head, '\n'); i >= 0 {
			line, head = head[:i], head[i+1:]
		} else {
			line, head = head, nil
		}
		if len(line) < len("content-length:") || line[0]|0x20 != 'c' && line[0]|0x20 != 't' {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || length < 0 || length > maxMessage {
				return 0, false, fmt.Errorf("bad Content-Length %q", value)
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		}
	}
	return length, chunked, nil
}

// headerOf is a header's value in a head, whatever its case; empty when it is
// absent.
func headerOf(head []byte, name string) string {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(key, []byte(name)) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// statusOf is the HTTP status of a response head; 0 when it has none.
func statusOf(head []byte) int {
	const version = "HTTP/1.1 "
	if len(head) < len(version)+3 || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return 0
	}
	status, err := strconv.Atoi(string(head[len(version) : len(version)+3]))
	if err != nil {
		return 0
	}
	return status
}
