package storagetest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line passes TCP connections on to a server until a test cuts it.
type Line struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	down  bool
	open  map[net.Conn]bool
	ended sync.WaitGroup
}

// NewLine puts a line in front of the server of serverURL and returns the URL
// that leads over it.
func NewLine(t testing.TB, serverURL string) (line *Line, throughURL string) {
	t.Helper()
	server, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	line = &Line{listener: listener, server: server.Host, open: make(map[net.Conn]bool)}
	line.ended.Go(line.accept)
	t.Cleanup(func() {
		listener.Close()
		line.Cut()
		line.ended.Wait()
	})
	server.Host = listener.Addr().String()
	return line, server.String()
}

// Cut ends all connections and refuses new ones until Mend.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for conn := range l.open {
		conn.Close()
	}
	clear(l.open)
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

func (l *Line) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.server)
		if err != nil {
			near.Close()
			continue
		}
		if l.admit(near, far) {
			l.ended.Go(func() { pass(near, far) })
			l.ended.Go(func() { pass(far, near) })
		}
	}
}

func (l *Line) admit(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		if l.down {
			conn.Close()
		} else {
			l.open[conn] = true
		}
	}
	return !l.down
}

func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // ends with either side
	to.Close()
	from.Close()
}
