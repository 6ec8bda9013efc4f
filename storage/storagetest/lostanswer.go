package storagetest

import (
	"bytes"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
)

// ForgetfulLine passes TCP connections on to the server of serverURL. Once lose is
// called with what a client asks, the answer to the next such question ends the
// connection in the place of being passed on: the server has done what was asked.
// Only one client may use a connection at a time.
func ForgetfulLine(t testing.TB, serverURL string) (lose func(question string), throughURL string) {
	t.Helper()
	server, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var question atomic.Pointer[string]
	host := server.Host
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", host)
			if err != nil {
				near.Close()
				continue
			}
			forgetful(near, far, &question)
		}
	}()
	server.Host = listener.Addr().String()
	return func(q string) { question.Store(&q) }, server.String()
}

func forgetful(near, far net.Conn, question *atomic.Pointer[string]) {
	var asked atomic.Bool
	relay := func(to, from net.Conn, stop func(sent []byte) bool) {
		defer to.Close()
		defer from.Close()
		for buffer := make([]byte, 64<<10); ; {
			n, err := from.Read(buffer)
			if err != nil || stop(buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	go relay(far, near, func(sent []byte) bool {
		if q := question.Load(); q != nil && bytes.Contains(sent, []byte(*q)) && question.CompareAndSwap(q, nil) {
			asked.Store(true) // before the server can answer
		}
		return false
	})
	go relay(near, far, func([]byte) bool { return asked.Load() })
}
