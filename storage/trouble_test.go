package storage

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"busbar/storage/rediscache"
)

// Whoever may ask whether the hub is ready learns the kind of trouble, and not
// where its stores are: that is in the log.
func TestReady_NamesTheTroubleAndNoAddress(t *testing.T) {
	t.Parallel()
	at := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 6379}
	var log bytes.Buffer
	stores := &Stores{logger: slog.New(slog.NewTextHandler(&log, nil))}
	failing := func(err error) *part {
		return &part{name: "redis", ping: func(context.Context) error { return fmt.Errorf("ping 10.1.2.3: %w", err) }}
	}
	for _, test := range []struct {
		err  error
		says string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: at, Err: os.ErrDeadlineExceeded}, "it does not answer in time"},
		{context.DeadlineExceeded, "it does not answer in time"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: &net.DNSError{Err: "no such host", Name: "10.1.2.3"}}, "its name is not resolved"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: at, Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "connection closed"},
		{io.EOF, "connection closed"},
		{rediscache.ErrSlow, "it is too slow for broadcasts"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "no connection"},
		{&tls.CertificateVerificationError{Err: errors.New("10.1.2.3 is not in it")}, "its certificate is not accepted"},
		{errors.New("ERR 10.1.2.3 has enough"), "it answers with an error"},
	} {
		log.Reset()
		p := failing(test.err)
		stores.parts = []*part{p, {name: "broadcasts"}}
		for range 2 {
			if err := stores.Ready(t.Context()); err == nil || err.Error() != "redis is down: "+test.says {
				t.Errorf("%v: Ready says %v, want %s", test.err, err, test.says)
			}
		}
		if strings.Count(log.String(), "10.1.2.3") == 0 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%v: the log of two looks: %s", test.err, &log)
		}
	}
}

// What the client of Redis says of one that is not there is understood.
func TestReady_ARedisThatIsNotThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	stores, err := Open(t.Context(), Config{
		Database: "sqlite:" + filepath.Join(t.TempDir(), "hub.db"), Redis: "redis://" + l.Addr().String(),
		Secrets: []string{strings.Repeat("secret", 10)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := stores.Ready(t.Context()); err == nil || err.Error() != "redis is down: connection refused" {
		t.Errorf("Ready: %v", err)
	}
	if err := stores.Close(); err != nil {
		t.Error(err)
	}
}
