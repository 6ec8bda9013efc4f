package gateway

import (
	"net/http"

	"busbar/ocpi"
)

// refusalOf turns any error into what a peer sees; no other place does. An
// error that is not an *ocpi.Error says nothing of its inside: 4000 when
// routing, else 3000 (house style 12).
func refusalOf(err error, routed bool) (refusal *ocpi.Error, known bool) {
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
