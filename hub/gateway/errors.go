package gateway

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"busbar/ocpi"
)

// refusalOf turns any error into what a peer sees; no other place does. An
// error that is not an *ocpi.Error says nothing of its inside: 4000 when
// routing, else 3000 (house style 12).
func refusalOf(err error, routed bool) (refusal *ocpi.Error, known bool) {
	var over *overLimit
	if errors.As(err, &over) {
		return ocpi.HTTPErrorf(http.StatusTooManyRequests, ocpi.ClientError, "%s", over.text), true
	}
	if refusal, ok := ocpi.AsError(err); ok {
		return refusal, true
	}
	if routed {
		return ocpi.Errorf(ocpi.HubError, "the hub failed to handle this message"), false
	}
	return ocpi.Errorf(ocpi.ServerError, "the hub failed to handle this request"), false
}

var errInternal = ocpi.HTTPErrorf(http.StatusInternalServerError, ocpi.ServerError, "the hub failed to handle this request")

// unauthorized is HTTP 401 (2.2.1 transport_and_format, Authorization header).
func unauthorized(reason string) *ocpi.Error {
	return ocpi.HTTPErrorf(http.StatusUnauthorized, ocpi.ClientError, "%s", reason)
}

func tooLarge(most int64) *ocpi.Error {
	return ocpi.HTTPErrorf(http.StatusRequestEntityTooLarge, ocpi.ClientError, "body has more than %d bytes", most)
}

func badRequest(format string, args ...any) *ocpi.Error {
	return ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, format, args...)
}

// overLimit is a request that one more of the hub's bounds refused. It is no
// fault of the message: the same one is taken later.
type overLimit struct {
	reason reason
	text   string
	// wait is how long the requester should.
	wait time.Duration
}

func (e *overLimit) Error() string { return e.text }

// reason is a value of busbar_refused_total.
type reason int

const (
	byRate reason = iota
	byConcurrency
	byMemory
	byBrake
	byConnections
)

var reasons = [...]string{byRate: "rate", byConcurrency: "concurrency", byMemory: "memory", byBrake: "brake", byConnections: "connections"}

func overRate(perSecond int, wait time.Duration) error {
	return &overLimit{byRate, "this platform makes more than " + strconv.Itoa(perSecond) +
		" requests per second, the limit of this hub (BUSBAR_PLATFORM_RATE)", wait}
}

func overConcurrency(most int) error {
	return &overLimit{byConcurrency, "this platform has " + strconv.Itoa(most) +
		" requests in flight, the limit of this hub (BUSBAR_PLATFORM_CONCURRENCY)", 0}
}

// errNoRoom refuses a body.
var errNoRoom error = &overLimit{byMemory, "the bodies of this platform's messages that the hub holds take their share" +
	" of the memory for bodies (BUSBAR_BODY_MEMORY): there is no room for this one now", 0}

func braked(wait time.Duration) error {
	return &overLimit{byBrake, "too many requests without a valid credentials token came from this address", wait}
}

// retryAfter is the header that says when to come again, in whole seconds
// (RFC 9110, 10.2.3); ok is false for other errors.
func retryAfter(err error) (header ocpi.Header, ok bool) {
	var over *overLimit
	if !errors.As(err, &over) {
		return ocpi.Header{}, false
	}
	seconds := max(1, int(math.Ceil(over.wait.Seconds())))
	return ocpi.Header{Name: "Retry-After", Value: strconv.Itoa(seconds)}, true
}
