package storagetest

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line passes TCP connections on to a server until a test cuts it, or makes it
// silent.
type Line struct {
	listener net.Listener
	server   string

	mu           sync.Mutex
	down, silent bool
	open         map[net.Conn]bool
	changed      *sync.Cond // down, silent or open
	ended        sync.WaitGroup
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
	line.changed = sync.NewCond(&line.mu)
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
	l.changed.Broadcast()
}

// Silence lets nothing through in either direction until Mend, as a server does
// that is frozen: connections stay, and new ones are taken.
func (l *Line) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
}

// Mend undoes Cut and Silence. What was held back arrives.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.silent = false, false
	l.changed.Broadcast()
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
			l.ended.Go(func() { l.pass(near, far) })
			l.ended.Go(func() { l.pass(far, near) })
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

// pass ends with either side.
func (l *Line) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && l.speaks(from) {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			break
		}
	}
	to.Close()
	from.Close()
}

// speaks waits while the line is silent; it is false when the connection was cut.
func (l *Line) speaks(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.silent && l.open[conn] {
		l.changed.Wait()
	}
	return l.open[conn]
}
