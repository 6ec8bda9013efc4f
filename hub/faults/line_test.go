package faults

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"busbar/hub/hubtest"
)

// line is the network between one replica and one server.
type line struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// newLine puts a line in front of the server of serverURL and returns the URL
// that leads over it.
func newLine(t testing.TB, serverURL string) (*line, string) {
	t.Helper()
	server, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal("the server's URL is not valid")
	}
	// A fixed address: while the line is cut, nobody else gets it.
	here := hubtest.FreeAddress(t)
	toxics := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &line{t: t, proxy: toxiproxy.NewProxy(toxics, "line", here, server.Host)}
	l.mend()
	t.Cleanup(l.proxy.Stop)
	server.Host = here
	return l, server.String()
}

// cut ends all connections and refuses new ones.
func (l *line) cut() { l.proxy.Stop() }

// mend undoes cut.
func (l *line) mend() {
	l.t.Helper()
	if err := l.proxy.Start(); err != nil {
		l.t.Fatalf("mend a line: %v", err)
	}
}

// swallow loses every byte in both directions; connections stay, and new ones
// are taken.
func (l *line) swallow() {
	l.t.Helper()
	l.toxic(`{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`)
	l.toxic(`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
}

// slow delays both directions by half of a round trip, in milliseconds.
func (l *line) slow(roundTrip, jitter int) {
	l.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		l.toxic(fmt.Sprintf(`{"type":"latency","stream":%q,"attributes":{"latency":%d,"jitter":%d}}`, stream, roundTrip/2, jitter/2))
	}
}

// clear undoes swallow and slow. Connections that lost bytes are closed.
func (l *line) clear() { l.proxy.Toxics.ResetToxics(l.t.Context()) }

func (l *line) toxic(json string) {
	l.t.Helper()
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(json)); err != nil {
		l.t.Fatalf("toxic %s: %v", json, err)
	}
}
