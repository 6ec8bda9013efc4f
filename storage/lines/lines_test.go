package lines_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"busbar/storage/lines"
)

// silent is a server that takes connections and never says anything.
func silent(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close() // with the listener
		}
	}()
	return l.Addr().String()
}

func TestWhoeverWaitsForAnAnswerIsTold(t *testing.T) {
	t.Parallel()
	l, server := lines.New(), silent(t)
	closed, err := l.Dial(t.Context(), "tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Error(err)
	}
	ends := make(chan error)
	for range 3 {
		conn, err := l.Dial(t.Context(), "tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := io.ReadAll(conn)
			ends <- err
		}()
	}
	l.Cut()
	for range 3 {
		if err := <-ends; !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading ends with %v", err)
		}
	}
	l.Cut() // again
	if conn, err := l.Dial(t.Context(), "tcp", server); !errors.Is(err, lines.ErrCut) {
		t.Errorf("dialled %v, %v after the cut", conn, err)
	}
}
