package hub

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// Whoever renews certificates need not restart the hub.
func TestCertificates_AreReadAgain(t *testing.T) {
	t.Parallel()
	first, second := newPEMFiles(t), newPEMFiles(t)
	dir := t.TempDir()
	cfg := Config{TLSCert: dir + "/tls.crt", TLSKey: dir + "/tls.key", TLSClientCA: dir + "/ca.crt"}
	move := func(from, to string) {
		t.Helper()
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(f pemFiles) { move(f.cert, cfg.TLSCert); move(f.key, cfg.TLSKey); move(f.cert, cfg.TLSClientCA) }
	renew(first)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	outer, err := tlsConfig(cfg, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	serves := func(what string, f pemFiles) {
		t.Helper()
		inner, err := outer.GetConfigForClient(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(inner.Certificates[0].Certificate[0], want.Certificate[0]) {
			t.Errorf("%s: the other certificate is served", what)
		}
		if inner.MinVersion != tls.VersionTLS12 || inner.ClientAuth != tls.RequireAndVerifyClientCert || inner.ClientCAs == nil {
			t.Errorf("%s: the configuration is weaker than before", what)
		}
	}
	serves("at first", first)
	renew(second)
	now = now.Add(59 * time.Second)
	serves("within the minute", first)
	now = now.Add(time.Second)
	serves("after a minute", second)
	if err := os.WriteFile(cfg.TLSKey, []byte("half a"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(time.Minute)
		serves("with a broken key", second)
	}
	renew(first)
	now = now.Add(time.Minute)
	serves("mended", first)
	if got := log.String(); strings.Count(got, "level=ERROR") != 1 || strings.Count(got, "read again\" not_after") != 2 {
		t.Errorf("log:\n%s", got)
	}
}
