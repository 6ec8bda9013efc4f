//go:build unix

package peer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate makes one for 127.0.0.1, and the pool that trusts it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"platform.example"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// listenTLS is listen with TLS on every connection.
func listenTLS(t *testing.T, server *tls.Config, handle func(*link)) *platform {
	cert, roots := certificate(t)
	server.Certificates = []tls.Certificate{cert}
	p := listen(t, func(l *link) {
		held := &corked{Conn: l.Conn}
		secured := tls.Server(held, server)
		if secured.Handshake() != nil {
			return
		}
		l.Conn = secured
		l.br.Reset(secured)
		handle(l)
	})
	p.dialer = NewDialer(DialerConfig{AllowPrivate: true, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10}})
	p.url = strings.Replace(p.url, "http:", "https:", 1)
	return p
}

// corked gathers writes while it is corked, so that they arrive together.
type corked struct {
	net.Conn
	cork bool
	held bytes.Buffer
}

func (c *corked) Write(b []byte) (int, error) {
	if c.cork {
		return c.held.Write(b)
	}
	return c.Conn.Write(b)
}

func (c *corked) together(write func()) {
	c.cork = true
	write()
	c.cork = false
	c.Conn.Write(c.held.Bytes())
	c.held.Reset()
}

func TestTLSConnectionsAreReused(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := listenTLS(t, &tls.Config{MaxVersion: version}, answers(ok(success)))
			c := p.client(t)
			for range 5 {
				p.do(t, c, "POST").succeeds(t)
			}
			p.counts(t, 1, 5) // session tickets are no unsolicited bytes
		})
	}
}

func TestTLSSessionsAreResumed(t *testing.T) {
	t.Parallel()
	resumed := make(chan bool, 2)
	p := listenTLS(t, &tls.Config{}, func(l *link) {
		resumed <- l.Conn.(*tls.Conn).ConnectionState().DidResume
		l.request()
		l.send(strings.Replace(ok(success), "\r\n", "\r\nConnection: close\r\n", 1))
	})
	c := p.client(t)
	p.do(t, c, "POST").succeeds(t)
	p.do(t, c, "POST").succeeds(t)
	if first, second := <-resumed, <-resumed; first || !second {
		t.Errorf("resumed: %v, %v", first, second)
	}
}

func TestAnIdleTLSConnectionThatThePlatformClosedIsNoError(t *testing.T) {
	t.Parallel()
	p := listenTLS(t, &tls.Config{}, func(l *link) {
		l.request()
		l.send(ok(success))
		l.Close() // close_notify, and the end
	})
	c := p.client(t)
	for range 3 {
		p.do(t, c, "POST").succeeds(t)
		gone(c)
	}
	p.counts(t, 3, 3)
}

// A second record that came in the same packet stands in neither the socket nor
// the parser, but in TLS.
func TestUnsolicitedTLSRecordsDoNotPoisonTheNextAnswer(t *testing.T) {
	t.Parallel()
	p := listenTLS(t, &tls.Config{}, func(l *link) {
		for {
			if _, more := l.request(); !more {
				return
			}
			l.Conn.(*tls.Conn).NetConn().(*corked).together(func() {
				l.send(ok(success))
				l.send(ok(`{"status_code":2001}`))
			})
		}
	})
	c := p.client(t)
	for range 3 {
		p.do(t, c, "POST").succeeds(t)
	}
	p.counts(t, 3, 3)
}

func TestTLSIsAtLeast12(t *testing.T) {
	t.Parallel()
	p := listenTLS(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, answers(ok(success)))
	p.do(t, p.client(t), "POST").fails(t, Unreachable)
	p.counts(t, 1, 0)
	if d := NewDialer(DialerConfig{TLS: &tls.Config{MinVersion: tls.VersionTLS13}}); d.tls.MinVersion != tls.VersionTLS13 {
		t.Error("a stricter minimum was lowered")
	}
}

func TestACertificateOfAnotherNameIsRefused(t *testing.T) {
	t.Parallel()
	p := listenTLS(t, &tls.Config{}, answers(ok(success)))
	p.do(t, p.client(t), "POST").succeeds(t)
	p.url = strings.Replace(p.url, "127.0.0.1", "localhost", 1)
	got := p.do(t, p.client(t), "POST")
	got.fails(t, Unreachable)
	var name x509.HostnameError
	if !errors.As(got.err, &name) || name.Host != "localhost" {
		t.Errorf("the error is %v", got.err)
	}
	p.counts(t, 2, 1)
}

func TestAnUnknownAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	p := listenTLS(t, &tls.Config{}, answers(ok(success)))
	p.dialer = NewDialer(DialerConfig{AllowPrivate: true})
	got := p.do(t, p.client(t), "POST")
	got.fails(t, Unreachable)
	var unknown x509.UnknownAuthorityError
	if !errors.As(got.err, &unknown) {
		t.Errorf("the error is %v", got.err)
	}
}

// TLS 1.3 tells a client only after its handshake that its certificate is
// missing.
func TestAnAlertInsteadOfAnAnswerIsABrokenConnection(t *testing.T) {
	t.Parallel()
	p := listenTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, answers(ok(success)))
	p.do(t, p.client(t), "POST").fails(t, Broken)
	p.counts(t, 1, 0)
}

func TestTheTLSHandshakeEndsWithTheRequester(t *testing.T) {
	t.Parallel()
	hello := make(chan struct{})
	p := listen(t, func(l *link) {
		l.br.ReadByte()
		close(hello)
		l.br.Discard(1 << 20) // never a word, until the connection ends
	})
	c := p.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan outcome)
	go func() {
		url := strings.Replace(p.url, "http:", "https:", 1)
		done <- finish(c.Do(ctx, soon(), &Call{Method: "GET", Target: target(t, url)}))
	}()
	<-hello
	cancel()
	(<-done).fails(t, Cancelled)
}
