package gateway

import (
	"bytes"
	"errors"

	"github.com/valyala/fasthttp"
)

var (
	// errHungUp is nobody's to read.
	errHungUp     = errors.New("the sender has hung up")
	errLongTarget = errors.New("the URL has more bytes than this hub takes")
	errFraming    = errors.New("Transfer-Encoding that is not chunked alone")
	errFolded     = errors.New("a header is folded over two lines")
	errLineEnd    = errors.New("a header line does not end with CR LF")
	errName       = errors.New("a header's name holds a space")
	errVersion    = errors.New("not HTTP/1.1 or HTTP/1.0")
	errTarget     = errors.New("the request target is neither a path nor an http URL")
	errHost       = errors.New("header Host is missing, empty or stands twice")
)

// checkHeader refuses what another server may have read in another way before
// the hub, besides what fasthttp refuses: folded header lines (RFC 9112, 5.2),
// lines that end with a bare LF (2.2), spaces in names (5.1), two hosts (3.2), two
// lengths, and a length on a message that is chunked (6.1).
func checkHeader(h *fasthttp.RequestHeader) error {
	raw := h.RawHeaders()
	hosts, lengths, encodings, chunked := 0, 0, 0, false
	if version := h.Protocol(); !h.IsHTTP11() && string(version) != "HTTP/1.0" {
		return errVersion
	}
	for rest := raw; len(rest) > 0; {
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return errLineEnd
			}
			line = line[:len(line)-1]
		} else {
			rest = nil
		}
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			return errFolded
		}
		// fasthttp has refused lines without a name, and control characters.
		if bytes.IndexByte(line[:max(0, bytes.IndexByte(line, ':'))], ' ') >= 0 {
			return errName
		}
		if value, ok := headerValue(line, "Host"); ok {
			hosts++
			if len(bytes.TrimSpace(value)) == 0 {
				return errHost
			}
		} else if _, ok := headerValue(line, "Content-Length"); ok {
			lengths++
		} else if value, ok := headerValue(line, "Transfer-Encoding"); ok {
			encodings++
			chunked = bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked"))
		}
	}
	switch {
	case hosts != 1 && (hosts > 1 || h.IsHTTP11()):
		return errHost
	case lengths > 1 || encodings > 1 || encodings == 1 && (!chunked || lengths > 0 || !h.IsHTTP11()):
		return errFraming
	}
	return nil
}

// headerValue is what stands behind the colon of a line that begins with the
// name.
func headerValue(line []byte, name string) ([]byte, bool) {
	n := len(name)
	if len(line) <= n || line[n] != ':' || line[0]|0x20 != name[0]|0x20 || !bytes.EqualFold(line[:n], []byte(name)) {
		return nil, false
	}
	return line[n+1:], true
}
