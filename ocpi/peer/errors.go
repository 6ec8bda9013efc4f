package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// Failure says how far a call came.
type Failure string

const (
	// Unreachable: no connection could be opened, so nothing was sent.
	Unreachable Failure = "unreachable"
	// TimedOut: the request was sent and no answer came in time.
	TimedOut Failure = "timeout"
	// Broken: the connection ended before the answer was complete.
	Broken Failure = "broken"
	// BadAnswer: what came back is no HTTP, or larger than the bound.
	BadAnswer Failure = "bad_answer"
	// Cancelled: the caller's context ended.
	Cancelled Failure = "cancelled"
	// Busy: all connections to the platform, or all that the requester may have, were
	// in use until the deadline.
	Busy Failure = "busy"
	// Full: the hub had no room for the answer.
	Full Failure = "full"
	// Withdrawn: Call.Held said no, so nothing was sent.
	Withdrawn Failure = "withdrawn"
)

// Error is a call that got no answer. Its text names the host, never the path,
// the query or a header.
type Error struct {
	Failure Failure
	Host    string
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Host, e.Failure, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// FailureOf classifies any error of this package.
func FailureOf(err error) Failure {
	var e *Error
	if errors.As(err, &e) {
		return e.Failure
	}
	return Broken
}

// Reason is why the call failed, in words for the other side's engineer. It names
// no address: which one a name has in the hub's network, or the hub itself, is
// nothing that a platform should learn by giving the hub a URL.
func Reason(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	var guarded *GuardError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &guarded):
		return "host " + e.Host + " " + notPublicReason
	case errors.As(err, &dns):
		return "host " + e.Host + " does not resolve"
	case errors.As(err, &op):
		return (&Error{e.Failure, e.Host, op.Err}).Error()
	}
	return e.Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &t) && t.Timeout()
}
