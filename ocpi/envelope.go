package ocpi

import (
	"encoding/json"
	"time"
)

// Response is an answer on its way back through the hub: the receiver's bytes,
// or an envelope that the hub wrote.
type Response struct {
	// HTTP is the HTTP status.
	HTTP int
	// Status is the status_code of the envelope in Body.
	Status StatusCode
	Body   []byte
	// From is whom the requester hears: the receiver, or the hub.
	From Address
	// Headers are the ones of the answer that OCPI gives a meaning, in order:
	// paging and Location.
	Headers []Header
}

// Header is one header line.
type Header struct{ Name, Value string }

// envelope is the response format (2.2.1 transport_and_format, Response
// format).
type envelope struct {
	Data          any        `json:"data,omitempty"`
	StatusCode    StatusCode `json:"status_code"`
	StatusMessage string     `json:"status_message,omitempty"`
	Timestamp     string     `json:"timestamp"`
}

// Envelope writes a response body. A nil data leaves the field out.
func Envelope(data any, status StatusCode, message string) []byte {
	body, err := json.Marshal(envelope{
		Data: data, StatusCode: status, StatusMessage: message, Timestamp: FormatTime(time.Now()),
	})
	if err != nil {
		// Only the hub's own wire types are passed here; they always encode.
		panic("ocpi: envelope: " + err.Error())
	}
	return body
}

// Answered is a 1000 with data, from the hub itself.
func Answered(data any) Response {
	return Response{HTTP: 200, Status: Success, Body: Envelope(data, Success, "Success")}
}

// Refused is the answer that carries an Error.
func Refused(e *Error) Response {
	status := e.HTTP
	if status == 0 {
		status = 200
	}
	return Response{HTTP: status, Status: e.Status, Body: Envelope(nil, e.Status, e.Message)}
}
