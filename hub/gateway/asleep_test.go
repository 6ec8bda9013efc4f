package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAsleep_IsNoticedByWhoeverWakesFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name               string
		beat, doubtful, at time.Duration
		want               bool
	}{
		{"it beats", 10 * time.Second, 0, 11 * time.Second, false},
		{"a busy machine", 10 * time.Second, 0, 13 * time.Second, false},
		{"no beat for long", 10 * time.Second, 0, 14 * time.Second, true},
		{"it beat again a moment ago", 30 * time.Second, 34 * time.Second, 31 * time.Second, true},
		{"it woke long ago", 34 * time.Second, 34 * time.Second, 35 * time.Second, false},
	} {
		a := newAsleep()
		a.beat.Store(int64(test.beat))
		a.doubtful.Store(int64(test.doubtful))
		if got := a.wasAt(test.at); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if test.want != a.wasAt(test.at) {
			t.Errorf("%s: forgotten", test.name)
		}
	}
}

// TestAsleep_WhoHungUpMeanwhileIsNotServed: its request would come behind a newer
// one that it sent to another replica.
func TestAsleep_WhoHungUpMeanwhileIsNotServed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path          string
		slept, hungUp bool
		want          bool
	}{
		{"/waits", true, false, true},
		{"/hung-up", true, true, false},
		{"/half-closed", false, true, true},
	} {
		served := make(chan string, 1)
		s := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { served <- r.URL.Path }), bounds{
			read: time.Minute, header: time.Minute, write: time.Minute, connections: 10,
		}, nil)
		if test.slept {
			s.asleep.doubtful.Store(int64(time.Hour))
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n", test.path)
		if test.hungUp {
			c.(*net.TCPConn).CloseWrite()
		}
		go s.Serve(l) // only now: all of it has arrived
		answer, _ := bufio.NewReader(c).ReadString('\n')
		got := len(served) == 1
		if got != test.want || strings.HasPrefix(answer, "HTTP/1.1 200") != test.want {
			t.Errorf("%s: served %v with %q, want %v", test.path, got, answer, test.want)
		}
		s.Shutdown(t.Context())
	}
}
