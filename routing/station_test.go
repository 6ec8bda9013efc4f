package routing

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// stage is a hub's Fanout with platforms on loopback TCP. Every platform gets
// every broadcast, one leg for each of its parties.
type stage struct {
	t         testing.TB
	directory *parties.Directory
	fanout    *Fanout
	revision  int64
	legs      []Leg
	ended     ledger
	logged    logLines
	suspected chan parties.PlatformID
}

const hubParty = "EUBUS"

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{
		t: t, directory: parties.NewDirectory(peer.NewDialer(peer.DialerConfig{AllowPrivate: true})),
		suspected: make(chan parties.PlatformID, 100),
	}
	s.ended.legs = make(chan Legs, 20_000)
	hub, err := ocpi.ParseParty(hubParty)
	if err != nil {
		t.Fatal(err)
	}
	s.fanout = NewFanout(FanoutConfig{
		Directory: s.directory, Hub: hub, Timeout: time.Minute, Journals: []Journal{&s.ended},
		Logger:    slog.New(slog.NewTextHandler(&s.logged, nil)),
		Suspect:   func(id parties.PlatformID) { s.suspected <- id },
		Receivers: func(*Broadcast) []Leg { return s.legs },
	})
	t.Cleanup(func() { s.fanout.Stop(ended(t)) })
	return s
}

// ended is a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cancel()
	return ctx
}

// station is a platform that receives. Its answer may block; an empty one ends
// the connection.
type station struct {
	platform parties.Platform
	url      string
	got      chan push
}

// push is one request as it came over the wire.
type push struct {
	line, head string
	body       string
}

func (p push) header(name string) string {
	_, rest, _ := strings.Cut(p.head, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func (p push) path() string { return strings.Fields(p.line)[1] }

const accepted = "HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\n" + `{"status_code":1000,"timestamp":"2026-01-31T12:00:00Z"}`

func accepts(push) string { return accepted }

// station adds a platform with these parties. A nil answer refuses connections.
func (s *stage) station(id string, answer func(push) string, eMSPs ...string) *station {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	st := &station{url: "http://" + listener.Addr().String(), got: make(chan push, 1000)}
	if answer == nil {
		listener.Close()
	} else {
		st.serve(s.t, listener, answer)
	}
	st.platform = parties.Platform{ID: parties.PlatformID(id), Status: ocpi.Connected, Version: ocpi.V221}
	for _, m := range []ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTokens, ocpi.ModuleHubClientInfo} {
		st.platform.Endpoints = append(st.platform.Endpoints,
			ocpi.Endpoint{Identifier: m, Role: ocpi.Receiver, URL: st.url + "/" + string(m)})
	}
	var keys []ocpi.PartyKey
	for _, name := range eMSPs {
		key, err := ocpi.ParseParty(name)
		if err != nil {
			s.t.Fatal(err)
		}
		keys = append(keys, key)
		st.platform.Roles = append(st.platform.Roles,
			ocpi.CredentialsRole{PartyRole: ocpi.PartyRole{Party: key, Role: ocpi.RoleEMSP}})
	}
	entry := s.put(st)
	for _, key := range keys {
		s.legs = append(s.legs, Leg{Party: key, Receiver: entry, Target: entry.Endpoint(ocpi.ModuleLocations, ocpi.Receiver)})
	}
	return st
}

// put brings what the station's platform is now into the directory.
func (s *stage) put(st *station) *parties.Entry {
	s.revision++
	st.platform.Revision = s.revision
	s.directory.Apply(st.platform.Clone(), s.revision)
	return s.directory.Snapshot().Platform(st.platform.ID)
}

func (s *stage) goesOffline(st *station) {
	st.platform.Status = ocpi.Offline
	s.put(st)
}

func (st *station) serve(t testing.TB, listener net.Listener, answer func(push) string) {
	var serving sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			serving.Go(func() {
				defer c.Close()
				for br := bufio.NewReader(c); ; {
					p, err := readPush(br)
					if err != nil {
						return
					}
					select {
					case st.got <- p:
					default: // nobody counts that many
					}
					bytes := answer(p)
					if _, err := io.WriteString(c, bytes); err != nil || bytes == "" {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
}

func readPush(br *bufio.Reader) (p push, err error) {
	for !strings.HasSuffix(p.head, "\r\n\r\n") {
		line, err := br.ReadString('\n')
		if err != nil {
			return p, err
		}
		if p.head += line; p.line == "" {
			p.line = strings.TrimSpace(line)
		}
	}
	if n, err := strconv.Atoi(p.header("Content-Length")); err == nil {
		body := make([]byte, n)
		if _, err := io.ReadFull(br, body); err != nil {
			return p, err
		}
		p.body = string(body)
	}
	return p, nil
}

// hanging is a station that answers when the test says so, or ends.
func (s *stage) hanging(id string, eMSPs ...string) (st *station, release func()) {
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	st = s.station(id, func(push) string { <-held; return accepted }, eMSPs...)
	s.t.Cleanup(release) // before the station's own end
	return st, release
}

// ledger is a journal of legs.
type ledger struct{ legs chan Legs }

func (*ledger) Record(*Message)      {}
func (l *ledger) RecordLegs(e *Legs) { l.legs <- *e }

// logLines collects the log.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}

// patch is a status change of an EVSE of the location, from NL/CPA.
func patch(location, evse, body string) *Broadcast {
	return &Broadcast{
		Object: "locations/NLCPA/" + strings.ToLower(location), Owner: ocpi.PartyKey{'N', 'L', 'C', 'P', 'A'},
		From: ocpi.PartyKey{'N', 'L', 'C', 'P', 'A'}, Platform: "chargers", Accepted: time.Now(), CorrelationID: "c-1",
		Method: "PATCH", Version: ocpi.V221, Module: ocpi.ModuleLocations,
		Path: "/NL/CPA/" + location + "/" + evse, Body: []byte(body),
	}
}

// deliver delivers, and returns what tells that all legs ended.
func (s *stage) deliver(b *Broadcast) (done chan struct{}) {
	done = make(chan struct{})
	s.fanout.Deliver(Handed{Broadcast: b, Done: func() { close(done) }})
	return done
}

// receive waits for the next value; what never comes is go test's -timeout.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-t.Context().Done():
		t.Fatal("the test ended")
		panic("unreachable")
	}
}

func nothingIn[T any](t testing.TB, from <-chan T) {
	t.Helper()
	select {
	case v := <-from:
		t.Errorf("got %+v, want nothing", v)
	default:
	}
}

func numbered(format string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i)
	}
	return names
}
