package peer

import (
	"bufio"
	"errors"
	"io"
	"net/http/httputil"
	"sync"

	"github.com/valyala/fasthttp"
)

// Memory bounds the bytes of answers that are held; semaphore.Weighted is one.
type Memory interface {
	TryAcquire(n int64) bool
	Release(n int64)
}

// unbounded is the Memory of every client where the Dialer was given none.
type unbounded struct{}

func (unbounded) TryAcquire(int64) bool { return true }
func (unbounded) Release(int64)         {}

// freeAnswer is the body that an answer may have without asking.
const freeAnswer = 64 << 10

// bodies holds the buffers of answers that announce no length, as chunked ones;
// most are short.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

var (
	errNoMemory = errors.New("too many bytes of bodies are held (BUSBAR_BODY_MEMORY)")
	errInterim  = errors.New("the answer is preceded by too many others")
)

// mostInterim bounds the interim answers before one that counts.
const mostInterim = 100

// readHeader reads the header, past interim answers.
func readHeader(h *fasthttp.ResponseHeader, br *bufio.Reader) error {
	for range mostInterim {
		if err := h.Read(br); err != nil {
			return err
		}
		if code := h.StatusCode(); code < 100 || code > 199 || code == fasthttp.StatusSwitchingProtocols {
			return nil
		}
	}
	return errInterim
}

// read reads the answer. A long body, or one of unknown length, is read into a
// buffer that grows with what comes: a platform that announces much and sends
// little takes little of the hub's memory.
func (a *Answer) read(br *bufio.Reader, most int) error {
	h := &a.resp.Header
	if err := readHeader(h, br); err != nil {
		return err
	}
	length, code := h.ContentLength(), h.StatusCode()
	switch {
	case code < 200, code == fasthttp.StatusNoContent, code == fasthttp.StatusNotModified:
		return nil // RFC 9110, 6.4.1: these have no body
	case length > most:
		return errBodyTooLarge
	case length >= 0 && length <= freeAnswer:
		return a.resp.ReadBody(br, most)
	}
	a.big = bodies.Get().(*[]byte)
	*a.big = (*a.big)[:0]
	if length == -1 {
		// fasthttp's own stream takes a connection's end for that of the chunks.
		if err := a.readBig(httputil.NewChunkedReader(br), length, most); err != nil {
			return err
		}
		return h.ReadTrailer(br)
	}
	var from io.Reader = br // to its end
	if length >= 0 {
		from = io.LimitReader(br, int64(length))
	}
	if err := a.readBig(from, length, most); err != nil {
		return err
	}
	if len(*a.big) < length {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (a *Answer) readBig(from io.Reader, length, most int) error {
	for {
		if len(*a.big) == cap(*a.big) {
			if err := a.grow(length); err != nil {
				return err
			}
		}
		n, err := from.Read((*a.big)[len(*a.big):cap(*a.big)])
		*a.big = (*a.big)[:len(*a.big)+n]
		switch {
		case len(*a.big) > most:
			return errBodyTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// grow doubles the buffer, up to the length if that is known.
func (a *Answer) grow(length int) error {
	size := max(2*cap(*a.big), freeAnswer)
	if length >= 0 {
		size = min(size, length+1) // one more, to see the end
	}
	if size > freeAnswer {
		// Both buffers are there while one is copied.
		if !a.memory.TryAcquire(int64(size)) {
			return errNoMemory
		}
		defer a.memory.Release(a.held)
		a.held = int64(size)
	}
	next := make([]byte, len(*a.big), size)
	copy(next, *a.big)
	*a.big = next
	return nil
}

// Body is the body, empty when there is none.
func (a *Answer) Body() []byte {
	if a.big != nil {
		return *a.big
	}
	return a.resp.Body()
}

// Release gives the buffers back.
func (a *Answer) Release() {
	if a.resp == nil {
		return
	}
	fasthttp.ReleaseResponse(a.resp)
	a.resp = nil
	if a.big != nil && cap(*a.big) <= freeAnswer {
		bodies.Put(a.big)
	}
	a.big = nil
	if a.held > 0 {
		a.memory.Release(a.held)
		a.held = 0
	}
}
