package simulator

import (
	"net"
	"net/http"
	"sync"
)

// silentConns are connections on which the hub has not sent anything yet: its
// HTTP client opens some in reserve. Shutdown would wait seconds for each.
type silentConns struct {
	mu    sync.Mutex
	ended bool
	conns map[net.Conn]struct{}
}

// track is the server's ConnState hook.
func (s *silentConns) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.ended:
		c.Close()
	default:
		if s.conns == nil {
			s.conns = map[net.Conn]struct{}{}
		}
		s.conns[c] = struct{}{}
	}
}

// end closes them, and those that come later.
func (s *silentConns) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		c.Close()
	}
}
