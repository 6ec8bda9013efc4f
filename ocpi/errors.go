package ocpi

import (
	"errors"
	"fmt"
)

// StatusCode is an OCPI status code (2.2.1 status_codes).
type StatusCode int

// The status codes that a hub uses.
const (
	Success StatusCode = 1000

	ClientError       StatusCode = 2000
	InvalidParameters StatusCode = 2001
	NotEnoughInfo     StatusCode = 2002
	UnknownLocation   StatusCode = 2003
	UnknownToken      StatusCode = 2004

	ServerError         StatusCode = 3000
	UnusableAPI         StatusCode = 3001
	UnsupportedVersion  StatusCode = 3002
	NoMatchingEndpoints StatusCode = 3003

	HubError          StatusCode = 4000
	UnknownReceiver   StatusCode = 4001
	ForwardTimeout    StatusCode = 4002
	ConnectionProblem StatusCode = 4003
)

// Error is a refusal that a peer sees: its message stands in status_message,
// so it names the header, field or rule and never holds a secret.
type Error struct {
	Status StatusCode
	// HTTP is the HTTP status. Zero means 200: the request reached the OCPI
	// layer (2.2.1 status_codes).
	HTTP    int
	Message string
}

// Errorf makes an Error that travels with HTTP 200.
func Errorf(status StatusCode, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// HTTPErrorf makes an Error of the transport layer.
func HTTPErrorf(httpStatus int, status StatusCode, format string, args ...any) *Error {
	return &Error{Status: status, HTTP: httpStatus, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Message) }

// AsError finds an Error in err's chain.
func AsError(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}
