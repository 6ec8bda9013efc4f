package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
	"busbar/parties"
)

// freeBody is the buffer that a request may have without asking: most bodies fit.
// Buffers of that size are used again.
const freeBody = 64 << 10

// Memory bounds the bytes of bodies that are held at once: of requests, and of
// platforms' answers. It is handed out in shares.
type Memory struct {
	most int64
	held atomic.Int64
}

// NewMemory makes a Memory of most bytes.
func NewMemory(most int64, registry prometheus.Registerer) *Memory {
	m := &Memory{most: most}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_body_bytes", Help: "Bytes of bodies that are held, of those that BUSBAR_BODY_MEMORY bounds.",
	}, func() float64 { return float64(m.held.Load()) }))
	return m
}

// Share is what one platform holds of a Memory: never more than it leaves free. One
// that takes all it gets has half, and three that do leave a quarter to whoever
// comes next, of which that one may have half: nobody is shut out by others, and
// what nobody needs is not kept back.
type Share struct {
	of   *Memory
	held atomic.Int64
}

// Share makes the share of one platform.
func (m *Memory) Share() *Share { return &Share{of: m} }

// TryAcquire takes n bytes, if the platform may have them. It implements
// peer.Memory.
func (s *Share) TryAcquire(n int64) bool {
	own := s.held.Add(n)
	for {
		all := s.of.held.Load()
		if own > s.of.most-all-n {
			s.held.Add(-n)
			return false
		}
		if s.of.held.CompareAndSwap(all, all+n) {
			return true
		}
	}
}

// Release gives n bytes back.
func (s *Share) Release(n int64) {
	s.held.Add(-n)
	s.of.held.Add(-n)
}

// lease is what one request holds of its platform's share.
type lease struct {
	share interface {
		TryAcquire(n int64) bool
		Release(n int64)
	}
	held int64
}

// hold makes the lease one of n bytes.
func (l *lease) hold(n int64) bool {
	if n > l.held && !l.share.TryAcquire(n-l.held) {
		return false
	}
	if n < l.held {
		l.share.Release(l.held - n)
	}
	l.held = n
	return true
}

// end gives everything back.
func (l *lease) end() { l.hold(0) }

// leaseOf is one of the caller's that holds nothing yet.
func leaseOf(caller parties.Caller) lease { return lease{share: caller.Client.Memory()} }

// grow makes room behind the bytes of a body of wanted bytes or, if that is not
// known (-1), of most at most. The buffer doubles, so that who announces much and
// sends little holds little.
func (l *lease) grow(buf []byte, wanted, most int64) ([]byte, error) {
	size := max(2*int64(cap(buf)), 512)
	switch {
	case wanted >= 0 && wanted < freeBody:
		size = wanted + 1
	case wanted >= 0:
		size, most = max(size, freeBody), wanted
	}
	if size >= most {
		size = most + 1 // one more, to see the end
	}
	size = max(size, int64(len(buf))+1)
	old := int64(0)
	if size > freeBody {
		// Both buffers are there while one is copied.
		old = l.held
		if !l.hold(old + size) {
			return nil, errNoRoom
		}
	}
	next := make([]byte, len(buf), size)
	copy(next, buf)
	if size > freeBody {
		l.hold(size)
	}
	return next, nil
}

// readBody reads a body of at most most bytes into buf, or into a larger buffer
// of the lease.
func readBody(r *http.Request, buf []byte, most int64, l *lease) ([]byte, error) {
	if r.ContentLength > most {
		return nil, tooLarge(most)
	}
	if encoding := first(r, "Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, ocpi.HTTPErrorf(http.StatusUnsupportedMediaType, ocpi.ClientError,
			"header Content-Encoding: %q is not supported, send the body as it is", encoding)
	}
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			// Room for more, if only to see the end.
			var err error
			if buf, err = l.grow(buf, r.ContentLength, most); err != nil {
				return nil, err
			}
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > most:
			return nil, tooLarge(most)
		case errors.Is(err, io.EOF) && int64(len(buf)) < r.ContentLength:
			return nil, badRequest("body has %d bytes, Content-Length says %d", len(buf), r.ContentLength)
		case errors.Is(err, io.EOF):
			return buf, nil
		case isTimeout(err):
			return nil, ocpi.HTTPErrorf(http.StatusRequestTimeout, ocpi.ClientError, "the body did not arrive in time")
		case err != nil:
			return nil, badRequest("body could not be read: %v", err)
		}
	}
}
