package hub_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

func TestTLS_OldVersionsAndWeakSuitesAreRefused(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	h := hubtest.Start(t, func(c *hub.Config) { c.TLSCert, c.TLSKey = cert, key })
	try := func(change func(*tls.Config)) error {
		cfg := &tls.Config{RootCAs: pool, ServerName: "hub.test"}
		change(cfg)
		c, err := tls.Dial("tcp", h.Addr(), cfg)
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if try(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }) == nil {
			t.Errorf("%s was accepted", tls.VersionName(version))
		}
	}
	if err := try(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }); err != nil {
		t.Errorf("TLS 1.3: %v", err)
	}
	var all []uint16
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, suite := range list {
			all = append(all, suite.ID)
		}
	}
	accepted := 0
	for _, id := range all {
		name := tls.CipherSuiteName(id)
		err := try(func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id} })
		strong := strings.HasPrefix(name, "TLS_ECDHE_") && (strings.Contains(name, "GCM") || strings.Contains(name, "CHACHA20"))
		if err == nil {
			accepted++
			if !strong {
				t.Errorf("%s was accepted", name)
			}
		}
	}
	if accepted == 0 {
		t.Error("no suite of TLS 1.2 was accepted: the test looks in the wrong place")
	}
}

// authority signs client certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// file is its certificate in PEM.
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a client certificate with the key.
func (a *authority) sign(serial int64, key *ecdsa.PrivateKey) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// bound is the name of a key in the admin API, as an operator works it out.
func bound(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestTLS_ClientCertificatesAreBoundToPlatforms(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	ca, stranger := newAuthority(t), newAuthority(t)
	h := hubtest.Start(t, func(c *hub.Config) {
		c.TLSCert, c.TLSKey, c.TLSClientCA, c.OptionalClientCert = cert, key, ca.file, true
	})
	own, other := newKey(t), newKey(t)
	p, free := h.NewPlatform("bound", "NL/CPA:CPO"), h.NewPlatform("free", "NL/CPB:CPO")
	bind := func(value any) {
		t.Helper()
		if status, answer := h.Admin("PATCH", "/api/v1/platforms/"+p.ID, map[string]any{"client_certificate": value}); status != 200 {
			t.Fatalf("HTTP %d %v", status, answer)
		}
	}
	get := func(token string, presented ...tls.Certificate) (status int, body string) {
		t.Helper()
		c, err := tls.Dial("tcp", h.Addr(), &tls.Config{RootCAs: pool, ServerName: "hub.test", Certificates: presented})
		if err != nil {
			return 0, err.Error()
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /ocpi/versions HTTP/1.1\r\nHost: hub\r\nAuthorization: Token %s\r\n\r\n", token)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(raw)
	}
	want := func(what, token string, want int, presented ...tls.Certificate) {
		t.Helper()
		status, body := get(token, presented...)
		if status != want {
			t.Errorf("%s: HTTP %d %s, want %d", what, status, body, want)
		}
		if status == 401 && !strings.Contains(body, "client certificate that is bound to it") {
			t.Errorf("%s: %s", what, body)
		}
	}
	want("nothing is bound", p.TokenA, 200)
	bind(bound(t, own))
	want("none is presented", p.TokenA, 401)
	want("the bound one", p.TokenA, 200, ca.sign(1, own))
	want("renewed with the same key", p.TokenA, 200, ca.sign(2, own))
	want("one with another key", p.TokenA, 401, ca.sign(3, other))
	want("one of another authority", p.TokenA, 0, stranger.sign(4, own))
	want("a platform without a bound one", free.TokenA, 200)
	want("a platform that presents one unasked", free.TokenA, 200, ca.sign(5, other))
	bind(nil)
	want("freed", p.TokenA, 200)
	bind(bound(t, own))
	// A right token that is misused is a failure like others.
	failUntilBraked(t, time.Time{}, 20, func() (int, string) { return get(p.TokenA) })
	want("the bound one, from a braked address", p.TokenA, 200, ca.sign(1, own))
}

func TestTLS_ClientCertificatesAreRequiredByDefault(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	ca := newAuthority(t)
	h := hubtest.Start(t, func(c *hub.Config) { c.TLSCert, c.TLSKey, c.TLSClientCA = cert, key, ca.file })
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	for name, test := range map[string]struct {
		presented []tls.Certificate
		ok        bool
	}{"none": {nil, false}, "one": {[]tls.Certificate{ca.sign(1, newKey(t))}, true}} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "hub.test", Certificates: test.presented}}}
		req, err := http.NewRequest("GET", "https://"+h.Addr()+"/ocpi/versions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token "+p.TokenA)
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil && resp.StatusCode == 200) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		client.CloseIdleConnections()
	}
}

// A platform behind a proxy that ends TLS shows no certificate: it is refused, not
// believed.
func TestTLS_ABoundPlatformIsRefusedOnPlainHTTP(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	if status, answer := h.Admin("PATCH", "/api/v1/platforms/"+p.ID, map[string]any{"client_certificate": bound(t, newKey(t))}); status != 200 {
		t.Fatalf("HTTP %d %v", status, answer)
	}
	if resp := h.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/versions", Token: p.TokenA}); resp.Status != 401 {
		t.Errorf("HTTP %d %s", resp.Status, resp.Body)
	}
	w := dial(t, h)
	w.say("POST /ocpi/2.2.1/credentials HTTP/1.1", "Host: hub", "Authorization: Token "+p.TokenA, "Content-Length: 2", "", "{}")
	if status, _ := w.hear(); status != 401 {
		t.Errorf("credentials: HTTP %d", status)
	}
}
