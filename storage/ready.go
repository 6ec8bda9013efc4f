package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"busbar/storage/rediscache"
)

// part is a server that the stores live in, or what runs on one: that has no
// ping of its own.
type part struct {
	name  string
	ping  func(context.Context) error
	close func() error
	// cut ends the connections at once, if there are any.
	cut func()
	// told keeps probes from filling the log while the server is down.
	told rate.Sometimes
}

const (
	// pingTimeout bounds the question to one store whether it is there.
	pingTimeout = 2 * time.Second
	// tellEvery is how often the log says why a store is down.
	tellEvery = time.Minute
)

// add takes note of a part that Close closes.
func (s *Stores) add(p *part) {
	p.told.Interval = tellEvery
	s.parts = append(s.parts, p)
}

// Ready asks every store whether it is there. The error names each one that is
// not, one on a line, and the kind of trouble. Anybody may read it: addresses and
// what the server said are in the log.
func (s *Stores) Ready(ctx context.Context) error {
	var errs []error
	for _, part := range s.parts {
		if part.ping == nil {
			continue
		}
		if err := part.answers(ctx); err != nil {
			part.told.Do(func() { s.logger.WarnContext(ctx, "a store is down", "store", part.name, "error", err) })
			errs = append(errs, fmt.Errorf("%s is down: %s", part.name, trouble(err)))
		}
	}
	return errors.Join(errs...)
}

func (p *part) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return p.ping(ctx)
}

// trouble is the kind of a failure: errors of connections have addresses in them.
func trouble(err error) string {
	var network net.Error
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, rediscache.ErrSlow):
		return "it is too slow for broadcasts"
	case errors.As(err, &name):
		return "its name is not resolved"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return "it does not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &certificate):
		return "its certificate is not accepted"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed):
		return "connection closed"
	case errors.As(err, &network):
		return "no connection"
	}
	return "it answers with an error"
}
