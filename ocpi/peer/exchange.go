package peer

import (
	"bufio"
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

var errTooManyHosts = errors.New("the platform's URLs name too many hosts")

// exchange sends the call on one connection and reads the answer.
func (c *Client) exchange(ctx context.Context, deadline time.Time, call *Call, authorization string) (*Answer, error) {
	fail := func(f Failure, err error) (*Answer, error) {
		if ctx.Err() != nil {
			f = Cancelled
		}
		return nil, &Error{Failure: f, Host: call.Target.host, Err: err}
	}
	pool, err := c.pool(call.Target, call.Stranger)
	if err != nil {
		return fail(Unreachable, err)
	}
	for {
		cn, err := pool.get(ctx, deadline, call)
		if errors.Is(err, errPoolBusy) {
			return fail(Busy, err)
		}
		if err != nil {
			return fail(Unreachable, err)
		}
		answer, sent, failed := c.send(ctx, cn, call, authorization)
		if failed == nil {
			if answer.reusable {
				pool.put(cn)
			} else {
				pool.discard(cn)
			}
			return answer, nil
		}
		pool.discard(cn)
		// The connection died while idle, in the moment after the look. What
		// could not be written whole was not received, and reading twice harms
		// nobody; a write that may have arrived is never repeated (O1, A5).
		retry := !cn.fresh && failed.Failure == Broken && (!sent || call.Method == "GET")
		if !retry {
			return fail(failed.Failure, failed.Err)
		}
	}
}

// broken tells a connection that failed from one that was too slow.
func broken(err error) *Error {
	if isTimeout(err) {
		return &Error{Failure: TimedOut, Err: err}
	}
	return &Error{Failure: Broken, Err: err}
}

var (
	errBodyTooLarge   = errors.New("the answer's body is too large")
	errHeaderTooLarge = errors.New("the answer's header is too large")
	errSwitched       = errors.New("the answer switches to another protocol")
	errNotHTTP        = errors.New("the answer is not HTTP/1.1")
)

// unreadable says why no answer could be read. The parser's own words are not
// passed on: they quote the peer's bytes, and they hide the connection's error.
func unreadable(cn *conn, err error) *Error {
	var small *fasthttp.ErrSmallBuffer
	switch {
	case cn.readErr != nil:
		return broken(cn.readErr)
	case errors.Is(err, errNoMemory):
		return &Error{Failure: Full, Err: err}
	case errors.Is(err, fasthttp.ErrBodyTooLarge), errors.Is(err, errBodyTooLarge):
		err = errBodyTooLarge
	case errors.As(err, &small):
		err = errHeaderTooLarge
	default:
		err = errNotHTTP
	}
	return &Error{Failure: BadAnswer, Err: err}
}

// afterFunc is context.AfterFunc, without its price when the context can do the
// same itself, as the gateway's can: every message passes here.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	if own, ok := ctx.(interface {
		AfterFunc(func()) (stop func() bool)
	}); ok {
		return own.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// aLongTimeAgo makes pending reads and writes fail at once.
var aLongTimeAgo = time.Unix(1, 0)

// send writes the request and reads the answer. sent tells that the whole
// request was written. The connection's deadline is already set.
func (c *Client) send(ctx context.Context, cn *conn, call *Call, authorization string) (_ *Answer, sent bool, _ *Error) {
	// A requester that goes away wakes the read below.
	stop := afterFunc(ctx, func() { cn.SetDeadline(aLongTimeAgo) })
	defer stop()
	switch err := write(cn, call, authorization); {
	case err == errWithdrawn:
		return nil, false, &Error{Failure: Withdrawn, Err: err}
	case err != nil:
		return nil, false, broken(err)
	}
	// Others that are ready go on first: then the answer is more often there when
	// it is read, which saves a vain read, and waiting in the poller.
	runtime.Gosched()
	br := readers.Get().(*bufio.Reader)
	br.Reset(cn)
	defer func() {
		br.Reset(nil)
		readers.Put(br)
	}()
	answer := &Answer{resp: fasthttp.AcquireResponse(), memory: c.memory}
	if call.Requester != nil {
		answer.memory = call.Requester.memory
	}
	err := answer.read(br, c.dialer.maxAnswer)
	if err != nil || answer.Status() < 200 {
		failed := &Error{Failure: BadAnswer, Err: errSwitched} // 101, which nobody asked for
		if err != nil {
			failed = unreadable(cn, err)
		}
		answer.Release()
		return nil, true, failed
	}
	// Bytes behind the answer belong to nothing that was asked. A wake-up that
	// stop came too late for would hit the connection's next call.
	answer.reusable = stop() && br.Buffered() == 0 && !closes(&answer.resp.Header)
	return answer, true, nil
}

// closes tells that the peer will close the connection. The parser knows only
// the exact word "close", but it is one of a list and has no case (RFC 9110,
// 7.6.1).
func closes(h *fasthttp.ResponseHeader) bool {
	return h.ConnectionClose() ||
		strings.Contains(strings.ToLower(string(h.Peek("Connection"))), "close")
}

// Buffers are shared by all clients: a connection needs them only during an
// exchange. 16 KiB bounds the answer's header.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}
	writers = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}
)

// smallBody is copied behind the header, to leave in one write.
const smallBody = 32 << 10

var errWithdrawn = errors.New("the call was withdrawn before it was sent")

func write(w net.Conn, call *Call, authorization string) error {
	buf := writers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 2*smallBody {
			writers.Put(buf)
		}
	}()
	*buf = appendHeader((*buf)[:0], call, authorization)
	if call.Held != nil && !call.Held() {
		return errWithdrawn
	}
	if len(call.Body) <= smallBody {
		*buf = append(*buf, call.Body...)
		_, err := w.Write(*buf)
		return err
	}
	if _, err := w.Write(*buf); err != nil {
		return err
	}
	_, err := w.Write(call.Body)
	return err
}

// appendHeader writes the request line and header. Names keep the
// specification's spelling, which some peers compare exactly.
func appendHeader(b []byte, call *Call, authorization string) []byte {
	b = append(b, call.Method...)
	b = append(b, ' ')
	b = call.Target.appendURI(b, call.Path, call.Query, call.end())
	b = append(b, " HTTP/1.1\r\n"...)
	b = appendLine(b, "Host", call.Target.host)
	b = appendLine(b, "User-Agent", "Busbar")
	b = appendLine(b, "Accept", "application/json")
	if !call.Anonymous {
		b = appendLine(b, "Authorization", authorization)
	}
	for i := range call.Headers {
		b = appendLine(b, call.Headers[i].Name, call.Headers[i].Value)
	}
	switch {
	case call.Body != nil:
		b = appendLine(b, "Content-Type", "application/json")
		fallthrough
	case call.Method == "POST" || call.Method == "PUT" || call.Method == "PATCH":
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(call.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendLine drops what could end the line early. The values come from parsed
// requests and checked URLs, which hold no such byte; this is the last door.
func appendLine(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	for i := 0; i < len(value); i++ {
		if c := value[i]; c >= 0x20 && c != 0x7f || c == '\t' {
			b = append(b, c)
		}
	}
	return append(b, "\r\n"...)
}

// Answer is what the platform answered. Its bytes are valid until Release.
type Answer struct {
	resp     *fasthttp.Response
	reusable bool
	// big is the body when the response does not hold it; held is what it takes of
	// the memory.
	big    *[]byte
	held   int64
	memory Memory
}

// Status is the HTTP status.
func (a *Answer) Status() int { return a.resp.StatusCode() }

// Header is the value of a header, empty when it is absent.
func (a *Answer) Header(name string) string { return string(a.resp.Header.Peek(name)) }

// Encoded tells a body that was compressed though nobody asked.
func (a *Answer) Encoded() bool {
	e := a.resp.Header.ContentEncoding()
	return len(e) > 0 && string(e) != "identity"
}
