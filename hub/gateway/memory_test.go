package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// pieces hands out a body in small pieces, and looks at the memory between them.
type pieces struct {
	left int
	look func(sent int)
	sent int
}

func (p *pieces) Read(b []byte) (int, error) {
	p.look(p.sent)
	n := min(len(b), 10_000, p.left)
	p.left -= n
	p.sent += n
	return n, nil
}

func (p *pieces) Close() error { return nil }

// Who announces a huge body and sends little of it holds little.
func TestMemory_IsTakenAsBytesArrive(t *testing.T) {
	t.Parallel()
	const most, announced = 64 << 20, 16 << 20
	for name, length := range map[string]int64{"announced": announced, "chunked": -1} {
		memory := NewMemory(most, prometheus.NewRegistry())
		held := lease{share: memory.Share()}
		source := &pieces{left: announced}
		source.look = func(sent int) {
			if held.held > max(2*int64(sent), 0)+freeBody {
				t.Fatalf("%s: %d bytes are held of %d that were sent", name, held.held, sent)
			}
			if sent == 0 && held.held != 0 {
				t.Fatalf("%s: %d bytes are held before anything was sent", name, held.held)
			}
			if sent >= 1<<20 {
				source.left = 0 // and the sender stops
			}
		}
		r := &http.Request{Body: stopped{source}, ContentLength: length, Header: http.Header{}}
		_, err := readBody(r, make([]byte, 0, 4096), announced, &held)
		if err == nil {
			t.Fatalf("%s: half a body was taken", name)
		}
		held.end()
		if memory.held.Load() != 0 {
			t.Errorf("%s: not everything was given back", name)
		}
	}
}

// stopped ends a body with an error when there is no more of it.
type stopped struct{ *pieces }

func (s stopped) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, errors.New("the sender stopped")
	}
	return s.pieces.Read(b)
}

func TestMemory_WithoutRoomABodyIsRefused(t *testing.T) {
	t.Parallel()
	memory := NewMemory(600<<10, prometheus.NewRegistry())
	noisy, quiet := memory.Share(), memory.Share()
	read := func(share *Share, size int) (*lease, error) {
		held := &lease{share: share}
		r := &http.Request{Body: stopped{&pieces{left: size, look: func(int) {}}}, ContentLength: int64(size), Header: http.Header{}}
		_, err := readBody(r, make([]byte, 0, 4096), 1<<20, held)
		if err != nil && strings.Contains(err.Error(), "stopped") {
			err = nil // at its end
		}
		return held, err
	}
	one, err := read(noisy, 150<<10)
	if err != nil {
		t.Fatal(err)
	}
	two, err := read(noisy, 150<<10)
	var over *overLimit
	if !errors.As(err, &over) || over.reason != byMemory {
		t.Errorf("without room: %v", err)
	}
	two.end()
	if _, err := read(noisy, 60<<10); err != nil {
		t.Errorf("a small body needs no room: %v", err)
	}
	other, err := read(quiet, 100<<10)
	if err != nil {
		t.Errorf("another platform's: %v", err)
	}
	other.end()
	one.end()
	if three, err := read(noisy, 150<<10); err != nil {
		t.Errorf("with room again: %v", err)
	} else {
		three.end()
	}
	if memory.held.Load() != 0 || noisy.held.Load() != 0 {
		t.Error("not everything was given back")
	}
}

// However many platforms take all that they get, the next one gets its part.
func TestMemory_NobodyHoldsMoreThanItLeavesFree(t *testing.T) {
	t.Parallel()
	memory := NewMemory(1200, prometheus.NewRegistry())
	for i, want := range []int64{600, 300, 150, 75} {
		share, got := memory.Share(), int64(0)
		for share.TryAcquire(1) {
			got++
		}
		if got != want {
			t.Errorf("platform %d of those that take all they get has %d of 1200, want %d", i+1, got, want)
		}
	}
}

// The largest body that a hub takes finds room in the least memory that a hub may
// have, however it is sent.
func TestMemory_TheLargestBodyHasRoom(t *testing.T) {
	t.Parallel()
	for _, most := range []int64{100_000, 1 << 20, 1<<20 - 1, 1<<20 + 1, 3 << 19} {
		for name, length := range map[string]int64{"announced": most, "chunked": -1} {
			memory := NewMemory(4*most, prometheus.NewRegistry())
			held := lease{share: memory.Share()}
			body := io.NopCloser(io.LimitReader(zeros{}, most))
			got, err := readBody(&http.Request{Body: body, ContentLength: length, Header: http.Header{}}, nil, most, &held)
			if err != nil || int64(len(got)) != most {
				t.Errorf("%s %d bytes: %d are read, %v", name, most, len(got), err)
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
