package peer

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"busbar/ocpi"
)

// A host in a URL may be spelled in many ways; what counts is what is dialled.
func TestTheGuardIsNotFooledBySpelling(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{
		"127.0.0.1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.0.0.1.", "LOCALHOST", "localhost.",
		"0", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
		"169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1%25lo]", "%31%32%37.0.0.1", "１２７.０.０.１", "①②⑦.0.0.1",
	} {
		target, err := ParseTarget("http://" + host + ":" + port + "/x")
		if err != nil {
			continue // refused before anything is dialled
		}
		c := NewDialer(DialerConfig{}).NewClient(ocpi.CredentialsToken{}, "")
		got := finish(c.Do(t.Context(), soon(), &Call{Method: "GET", Target: &target}))
		got.fails(t, Unreachable)
		c.Close()
	}
	p.counts(t, 0, 0)
}

func TestURLsThatLeadElsewhereThanTheySeemAreRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"http://peer.example@127.0.0.1/", "http://user:password@peer.example/", "http://peer.example#@127.0.0.1/", "http://peer.example\\@127.0.0.1/",
		"file:///etc/passwd", "gopher://peer.example/", "unix:///run/docker.sock", "//peer.example/", "http:///x", "http://:80/", "http:127.0.0.1/",
		"http://peer.example:port/", "http://peer.example:-1/", "http://peer example/", "http://peer.example\r\nHost: x/", "",
	} {
		if got, err := ParseTarget(raw); err == nil {
			t.Errorf("%q is accepted: %s", raw, got.addr)
		}
	}
}

// A name that resolves to a public address when somebody looks and to a private
// one when the hub dials gains nothing: the address that is dialled is looked at,
// each one of several, and with every new connection.
func TestTheGuardLooksAtEveryAddressThatIsTried(t *testing.T) {
	t.Parallel()
	var tried []string
	d := NewDialer(DialerConfig{})
	for _, answer := range [][]string{{"8.8.8.8"}, {"127.0.0.1"}, {"8.8.8.8", "10.0.0.1"}, {"::ffff:10.0.0.1"}, {"169.254.169.254"}} {
		for _, addr := range answer {
			if d.net.Control("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), 443).String(), nil) == nil {
				tried = append(tried, addr)
			}
		}
	}
	if got := strings.Join(tried, " "); got != "8.8.8.8 8.8.8.8" {
		t.Errorf("dialled %q, want the public ones alone", got)
	}
}

// A redirect carries neither the token nor the request anywhere else.
func TestARedirectToAnotherHostIsNotFollowed(t *testing.T) {
	t.Parallel()
	inside := listen(t, answers(ok(success)))
	for _, status := range []string{"301", "302", "303", "307", "308"} {
		p := listen(t, answers("HTTP/1.1 "+status+" Moved\r\nLocation: "+inside.url+"/x\r\nContent-Length: 0\r\n\r\n"))
		for _, method := range []string{"GET", "POST"} {
			answer, err := p.client(t).Do(t.Context(), soon(), &Call{Method: method, Target: target(t, p.url+"/y")})
			if err != nil || answer.Status()/100 != 3 {
				t.Errorf("%s after %s: %v", method, status, err)
				continue
			}
			answer.Release()
		}
	}
	inside.counts(t, 0, 0)
}

// A URL that came in a message leads to public hosts only, even where platforms
// may live on private addresses.
func TestU1_AnUnregisteredHostIsPublic(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	c := p.client(t) // whose dialer allows private addresses
	call := Call{Method: http.MethodPost, Target: target(t, p.url+"/result"), Stranger: true}
	got := finish(c.Do(t.Context(), soon(), &call))
	got.fails(t, Unreachable)
	var refused *GuardError
	if !errors.As(got.err, &refused) {
		t.Errorf("%v", got.err)
	}
	p.counts(t, 0, 0)
	call.Stranger = false
	finish(c.Do(t.Context(), soon(), &call)).succeeds(t)
	// Connections that were opened without the guard are not lent out.
	call.Stranger = true
	finish(c.Do(t.Context(), soon(), &call)).fails(t, Unreachable)
}

// What a platform announces and does not send takes nothing of the hub's memory.
func TestBodies_AreBoundedTogether(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 200<<10)
	for name, text := range map[string]string{
		"announced":      ok(body),
		"chunked":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n32000\r\n" + body + "\r\n0\r\n\r\n",
		"to the end":     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body,
		"in many chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+body[:4096]+"\r\n", 50) + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := listen(t, func(l *link) {
				for {
					if _, more := l.request(); !more {
						return
					}
					l.send(text)
					if name == "to the end" {
						return
					}
				}
			})
			memory := &counted{free: 600 << 10}
			p.dialer.memory = func() Memory { return memory }
			c := p.client(t)
			get := func() (*Answer, error) {
				return c.Do(t.Context(), soon(), &Call{Method: "GET", Target: target(t, p.url+"/x")})
			}
			one, err := get()
			if err != nil || string(one.Body()) != body {
				t.Fatalf("%v", err)
			}
			if memory.taken() < 200<<10 {
				t.Errorf("%d bytes are counted", memory.taken())
			}
			memory.limit(300 << 10)
			if _, err := get(); FailureOf(err) != Full {
				t.Errorf("without room: %v", err)
			}
			memory.limit(600 << 10)
			one.Release()
			one.Release()
			if memory.taken() != 0 {
				t.Errorf("%d bytes are not given back", memory.taken())
			}
			two, err := get()
			if err != nil {
				t.Fatal(err)
			}
			two.Release()
			if memory.taken() != 0 {
				t.Errorf("%d bytes are not given back", memory.taken())
			}
		})
	}
}
