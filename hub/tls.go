package hub

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often, at most, connections look whether the certificate was
// renewed.
const lookEvery = time.Minute

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption;
// Go's own list has CBC, too. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// certificates are the TLS configuration of the OCPI listener, made anew when its
// files change: whoever renews them, as cert-manager does, need not tell the
// hub. Files that cannot be read leave the last good ones in place.
type certificates struct {
	cfg    Config
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	looked  time.Time
	read    [3][]byte
	current *tls.Config
	failed  bool
}

// tlsConfig is nil when the listener speaks plain HTTP.
func tlsConfig(cfg Config, logger *slog.Logger, now func() time.Time) (*tls.Config, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	c := &certificates{cfg: cfg, logger: logger, now: now, looked: now()}
	if err := c.load(); err != nil {
		return nil, err
	}
	outer := c.current.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.newest(), nil }
	return outer, nil
}

// newest is the configuration for a connection that begins now.
func (c *certificates) newest() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) < lookEvery {
		return c.current
	}
	c.looked = now
	before := c.current
	err := c.load()
	if failed := err != nil; failed != c.failed {
		if c.failed = failed; failed {
			c.logger.Error("the TLS files cannot be read again; the last good ones stay in use", "error", err)
		}
	}
	if c.current != before {
		c.logger.Info("TLS certificate read again", "not_after", c.current.Certificates[0].Leaf.NotAfter)
	}
	return c.current
}

// load reads the files and, if any is another than before, makes the
// configuration of them. Contents are compared and not times: they are small,
// and what renews them often swaps a link.
func (c *certificates) load() error {
	var read [3][]byte
	for i, path := range [...]string{c.cfg.TLSCert, c.cfg.TLSKey, c.cfg.TLSClientCA} {
		if path == "" {
			continue
		}
		var err error
		if read[i], err = os.ReadFile(path); err != nil {
			return fmt.Errorf("load TLS certificate: %w", err)
		}
	}
	if c.current != nil && bytes.Equal(read[0], c.read[0]) && bytes.Equal(read[1], c.read[1]) && bytes.Equal(read[2], c.read[2]) {
		return nil
	}
	pair, err := tls.X509KeyPair(read[0], read[1])
	if err != nil {
		return fmt.Errorf("load TLS certificate: %w", err)
	}
	t := &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suites, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"},
	}
	if c.cfg.TLSClientCA != "" {
		t.ClientCAs, t.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if c.cfg.OptionalClientCert {
			t.ClientAuth = tls.VerifyClientCertIfGiven
		}
		if !t.ClientCAs.AppendCertsFromPEM(read[2]) {
			return fmt.Errorf("load client CA: %s holds no PEM certificate", c.cfg.TLSClientCA)
		}
	}
	c.read, c.current = read, t
	return nil
}
