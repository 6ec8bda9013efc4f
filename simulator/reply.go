package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"busbar/ocpi"
)

// inbound is a request to one party's interface of one module.
type inbound struct {
	method string
	// segments are the unescaped parts of the path behind the module.
	segments []string
	query    url.Values
	body     []byte
	from, to ocpi.Address
	// self is the interface's own URL, without a trailing slash.
	self string
}

// reply is what a handler answers.
type reply struct {
	http    int // 0: 200
	status  ocpi.StatusCode
	message string
	data    json.RawMessage // nil: no data field
	headers []ocpi.Header
	// then runs after the answer was sent, in a goroutine of the platform.
	then func(ctx context.Context)
}

// answer is 1000 with data, which may be nil.
func answer(data json.RawMessage) reply {
	return reply{status: ocpi.Success, message: "Success", data: data}
}

// refuse is the answer that carries an Error.
func refuse(e *ocpi.Error) reply {
	return reply{http: e.HTTP, status: e.Status, message: e.Message}
}

// invalid is a refusal with 2001.
func invalid(format string, args ...any) reply {
	return refuse(ocpi.Errorf(ocpi.InvalidParameters, format, args...))
}

// missing is HTTP 404: the object does not exist (2.2.1 status_codes).
func missing(status ocpi.StatusCode, format string, args ...any) reply {
	return refuse(ocpi.HTTPErrorf(http.StatusNotFound, status, format, args...))
}

// notAllowed is HTTP 405: the interface has no such method.
func notAllowed(method string) reply {
	return refuse(ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.ClientError, "method %s is not part of this interface", method))
}

// envelope writes the response format (2.2.1 transport_and_format, Response
// format), the data's bytes as they are.
func (r reply) envelope(at time.Time) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	if r.data != nil {
		b.WriteString(`"data":`)
		b.Write(r.data)
		b.WriteByte(',')
	}
	b.WriteString(`"status_code":` + strconv.Itoa(int(r.status)))
	if r.message != "" {
		b.WriteString(`,"status_message":`)
		b.Write(encode(r.message))
	}
	b.WriteString(`,"timestamp":"` + ocpi.FormatTime(at) + `"}`)
	return b.Bytes()
}

// setHeader sets a header in the specification's spelling, which net/http would
// change: some peers compare exactly.
func setHeader(h http.Header, name, value string) {
	if value != "" {
		h[name] = []string{value}
	}
}

// setRouting writes the routing headers of one message (2.2.1
// transport_and_format, Message Routing Headers).
func setRouting(h http.Header, from, to ocpi.Address) {
	setHeader(h, ocpi.HeaderFromCountryCode, from.CountryCode)
	setHeader(h, ocpi.HeaderFromPartyID, from.PartyID)
	setHeader(h, ocpi.HeaderToCountryCode, to.CountryCode)
	setHeader(h, ocpi.HeaderToPartyID, to.PartyID)
}
