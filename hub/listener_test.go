package hub_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// wire is a raw connection to the OCPI listener.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, h *hubtest.Hub) *wire {
	t.Helper()
	c, err := net.Dial("tcp", h.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	// A hub that says nothing must not hang the test; only a failing one waits so
	// long, and a connection may be there for the whole of a test.
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &wire{t, c, bufio.NewReader(c)}
}

// say sends lines with CRLF.
func (w *wire) say(lines ...string) {
	w.t.Helper()
	if _, err := io.WriteString(w, strings.Join(lines, "\r\n")); err != nil {
		w.t.Fatal(err)
	}
}

// hear reads one response; status 0 is a closed connection.
func (w *wire) hear() (status int, body string) {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// closed tells whether the hub has closed the connection.
func (w *wire) closed() bool {
	_, err := w.r.ReadByte()
	return err != nil
}

func TestListener_WhatIsNoRequestIsRefused(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	post := "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1"
	headers := strings.Join([]string{"Host: hub", "Authorization: Token " + cpo.TokenC, "OCPI-to-country-code: DE", "OCPI-to-party-id: MSP"}, "\r\n")
	for name, test := range map[string]struct {
		lines  []string
		status int
	}{
		"garbage":                         {[]string{"hello", "", ""}, 400},
		"a header without a colon":        {[]string{post, headers, "nonsense", "", ""}, 400},
		"a folded header":                 {[]string{post, headers, "X-A: b", " c", "Content-Length: 2", "", "{}"}, 400},
		"a space before the colon":        {[]string{post, headers, "Content-Length : 2", "", "{}"}, 400},
		"two lengths":                     {[]string{post, headers, "Content-Length: 2", "Content-Length: 3", "", "{}"}, 400},
		"a negative length":               {[]string{post, headers, "Content-Length: -1", "", "{}"}, 400},
		"length and chunks":               {[]string{post, headers, "Content-Length: 2", "Transfer-Encoding: chunked", "", "2", "{}", "0", "", ""}, 400},
		"chunks and length":               {[]string{post, headers, "Transfer-Encoding: chunked", "Content-Length: 2", "", "2", "{}", "0", "", ""}, 400},
		"the identity encoding":           {[]string{post, headers, "Transfer-Encoding: identity", "Content-Length: 2", "", "{}"}, 400},
		"an unknown transfer encoding":    {[]string{post, headers, "Transfer-Encoding: gzip, chunked", "", "2", "{}", "0", "", ""}, 400},
		"a bad chunk size":                {[]string{post, headers, "Transfer-Encoding: chunked", "", "zz", "{}", "0", "", ""}, 400},
		"a control character in a header": {[]string{post, headers, "X-A: \x01", "Content-Length: 2", "", "{}"}, 400},
		"a huge header":                   {[]string{post, headers, "X-A: " + strings.Repeat("a", 20<<10), "", ""}, 431},
		"many headers":                    {[]string{post, headers, strings.Repeat("X-A: aaaaaaaa\r\n", 2000), "", ""}, 431},
		"a space in the target":           {[]string{"GET /ocpi/2.2.1/sender/tokens/a b HTTP/1.1", headers, "", ""}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, h)
			w.say(test.lines...)
			status, body := w.hear()
			if status != test.status || !strings.Contains(body, `"status_code":2000`) {
				t.Errorf("got HTTP %d %s, want %d", status, body, test.status)
			}
			if !w.closed() {
				t.Error("the connection is still open")
			}
		})
	}
	t.Cleanup(msp.WantNothing)
}

func TestListener_ABodyThatEndsEarlyGoesNowhere(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	for _, size := range []int{20, 200_000} { // read ahead, and streamed
		w := dial(t, h)
		w.say("POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1", "Host: hub", "Authorization: Token "+cpo.TokenC,
			"OCPI-to-country-code: DE", "OCPI-to-party-id: MSP", fmt.Sprint("Content-Length: ", size), "", "{}")
		if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if status, body := w.hear(); status != 400 && status != 0 {
			t.Errorf("%d bytes: HTTP %d %s", size, status, body)
		}
	}
	msp.WantNothing()
}

func TestListener_PipelinedAndChunkedRequests(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	headers := strings.Join([]string{"Host: hub", "authorization: token " + cpo.TokenC, "ocpi-to-country-code: DE", "OCPI-TO-PARTY-ID: MSP"}, "\r\n")
	w := dial(t, h)
	w.say("PUT /ocpi/2.2.1/receiver/sessions/NL/CPA/1 HTTP/1.1", headers, "Content-Length: 7", "", `{"a":1}`+
		"PUT http://hub.test/ocpi/2.2.1/receiver/sessions/NL/CPA/2 HTTP/1.1", headers, "Transfer-Encoding: chunked", "",
		"3", `{"a`, "4", `":2}`, "0", "", "GET /ocpi/2.2.1/sender/tokens HTTP/1.1", headers, "", "")
	for i := range 3 {
		if status, body := w.hear(); status != 200 {
			t.Errorf("request %d: HTTP %d %s", i+1, status, body)
		}
	}
	var got []string
	for _, r := range msp.Received() {
		got = append(got, r.Method+" "+r.URI+" "+r.Body)
	}
	want := []string{`PUT /receiver/sessions/NL/CPA/1 {"a":1}`, `PUT /receiver/sessions/NL/CPA/2 {"a":2}`, "GET /sender/tokens "}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

func TestListener_ARefusedBodyIsNoNextRequest(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	w := dial(t, h)
	smuggled := "GET /ocpi/versions HTTP/1.1\r\nHost: hub\r\n\r\n"
	body := strings.Repeat(smuggled, 4000) // more than is read ahead
	w.say("POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1", "Host: hub", "Authorization: Token wrong", fmt.Sprint("Content-Length: ", len(body)), "", body[:100_000])
	if status, _ := w.hear(); status != 401 {
		t.Errorf("HTTP %d, want 401", status)
	}
	if status, _ := w.hear(); status != 0 {
		t.Errorf("the body was answered as a request: HTTP %d", status)
	}
}

// Where a trailer section ends is read in more than one way: a bare LF is a line's
// end to some, and part of a value to others.
func TestListener_NoRequestFollowsATrailer(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	headers := strings.Join([]string{"Host: hub", "Authorization: Token " + cpo.TokenC, "OCPI-to-country-code: DE", "OCPI-to-party-id: MSP"}, "\r\n")
	for name, trailer := range map[string]string{
		"of lines":        "X-A: b\r\n\r\n",
		"of bare LF":      "X-A: b\n\n",
		"that is folded":  "X-A: b\r\n c\r\n\r\n",
		"of half an end":  "X-A: b\r\n\n",
		"of routing ones": "OCPI-to-party-id: EVL\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, h)
			w.say("PUT /ocpi/2.2.1/receiver/sessions/NL/CPA/1 HTTP/1.1", headers, "Transfer-Encoding: chunked", "",
				"2", "{}", "0", trailer+"DELETE /ocpi/2.2.1/receiver/sessions/NL/CPA/1 HTTP/1.1", headers, "", "")
			if status, body := w.hear(); status != 200 && status != 400 {
				t.Errorf("HTTP %d %s", status, body)
			}
			if status, body := w.hear(); status != 0 {
				t.Errorf("what follows the trailer was answered as a request: HTTP %d %s", status, body)
			}
		})
	}
	t.Cleanup(func() {
		for _, r := range msp.Received() {
			if r.Method == "DELETE" {
				t.Error("what follows a trailer reached the receiver")
			}
		}
	})
}

func TestListener_TLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	h := hubtest.Start(t, func(c *hub.Config) { c.TLSCert, c.TLSKey = cert, key })
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "hub.test"}}}
	req, err := http.NewRequest("GET", "https://"+h.Addr()+"/ocpi/versions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+p.TokenA)
	for range 2 { // the second over the same connection
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("HTTP %d", resp.StatusCode)
		}
	}
	old := &tls.Config{RootCAs: pool, ServerName: "hub.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if c, err := tls.Dial("tcp", h.Addr(), old); err == nil {
		c.Close()
		t.Error("TLS 1.1 was accepted")
	}
	client.CloseIdleConnections()
}

// certificate makes a self-signed certificate for hub.test.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"hub.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, raw := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

func TestStop_ConnectionsWithoutAWholeRequestDoNotHoldIt(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	p := h.NewPlatform("cpo", "NL/CPA:CPO")
	silent, half, body, kept := dial(t, h), dial(t, h), dial(t, h), dial(t, h)
	half.say("GET /ocpi")
	body.say("POST /ocpi/2.2.1/credentials HTTP/1.1", "Host: hub", "Authorization: Token "+p.TokenA, "Content-Length: 100", "", "{")
	kept.say("GET /ocpi/versions HTTP/1.1", "Host: hub", "Authorization: Token "+p.TokenA, "", "")
	if status, _ := kept.hear(); status != 200 {
		t.Fatalf("HTTP %d", status)
	}
	begin := time.Now()
	h.Stop()
	if took := time.Since(begin); took >= hub.StopTimeout {
		t.Errorf("stopping took %s", took)
	}
	for name, w := range map[string]*wire{"silent": silent, "half a line": half, "half a body": body, "kept alive": kept} {
		if !w.closed() {
			t.Errorf("the connection (%s) is still open", name)
		}
	}
}

func TestListener_ExpectIsAnsweredBeforeTheBody(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.MaxBody = 1000 })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	for _, test := range []struct {
		name, token  string
		length, want int
	}{
		{"an unknown token", "wrong", 2, 401},
		{"a large body", cpo.TokenC, 1001, 413},
		{"a good one", cpo.TokenC, 2, 100},
	} {
		w := dial(t, h)
		w.say("POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1", "Host: hub", "Authorization: Token "+test.token, "Expect: 100-continue",
			"OCPI-to-country-code: DE", "OCPI-to-party-id: MSP", fmt.Sprint("Content-Length: ", test.length), "", "")
		if status, _ := w.hear(); status != test.want {
			t.Errorf("%s: HTTP %d, want %d", test.name, status, test.want)
		} else if status == 100 {
			w.say("{}")
			if status, body := w.hear(); status != 200 {
				t.Errorf("%s: HTTP %d %s", test.name, status, body)
			}
		}
	}
	if n := len(msp.Received()); n != 1 {
		t.Errorf("received %d messages, want 1", n)
	}
}

func TestStop_RightAfterStart(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			hubtest.Start(t).Stop()
		})
	}
}
