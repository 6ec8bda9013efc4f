package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Guesses are looked up in the record until the brake is on, and no more then: a
// flood of them costs the database nothing.
func TestBrake_StandsBeforeTheRecord(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	registry := prometheus.NewRegistry()
	g := New(Config{
		Directory: directory("a"), Logger: slog.New(slog.DiscardHandler), MaxBody: 1000, MaxConnections: 10,
		Metrics: registry, CatchUp: func(context.Context) { asked.Add(1) },
	})
	s := g.NewServer(nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()); l.Close(); <-served })
	c, r := open(t, l.Addr().String())
	refused, begin := map[int]int{}, time.Now()
	for i := range 500 {
		fmt.Fprintf(c, "GET /ocpi/versions HTTP/1.1\r\nHost: hub\r\nAuthorization: Token guess-%d\r\n\r\n", i)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		refused[resp.StatusCode]++
	}
	most := brakeBurst + int(time.Since(begin)/brakePause) // of a busy machine, too
	if int64(refused[401]) != asked.Load() || refused[401] < brakeBurst || refused[401] > most || refused[401]+refused[429] != 500 {
		t.Errorf("answers %v, of which %d may be 401; the record was asked %d times", refused, most, asked.Load())
	}
}
