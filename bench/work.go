//go:build linux

package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"

	"busbar/ocpi"
)

// The bodies of routed requests, compact JSON as peers send it.
var (
	//go:embed location.json
	locationBody []byte
	//go:embed evse.json
	evseBody []byte
)

// work is a kind of request.
type work struct {
	// Name is how reports and the load generator call it.
	Name   string
	Method string
	// Object is what follows the owner in the path.
	Object string
	// Path, if set, is the whole path and query instead.
	Path string
	Body []byte
}

// putLocation is the work of P1.
func putLocation() work {
	return work{Name: "PUT Location", Method: "PUT", Object: "/LOC1", Body: locationBody}
}

// patchEVSE is the work of P2.
func patchEVSE() work {
	return work{Name: "PATCH EVSE", Method: "PATCH", Object: "/LOC1/3256", Body: evseBody}
}

// getPage is the work of P5; whom it asks says for which page.
func getPage() work { return work{Name: "GET page", Method: "GET"} }

// applyPatch is the work of P6, which no request does.
func applyPatch() work { return work{Name: "apply PATCH EVSE"} }

// workNamed finds what the load generator was told to do.
func workNamed(name string) (work, error) {
	for _, w := range []work{putLocation(), patchEVSE(), getPage()} {
		if w.Name == name {
			return w, nil
		}
	}
	return work{}, fmt.Errorf("no work is called %q", name)
}

// request is one request's bytes, made once and readdressed in place for each
// use: the load generator must not spend its core on building strings.
type request struct {
	bytes []byte
	// Where the parts that change begin.
	toCountry, toParty       int
	requestID, correlationID int
}

// correlationPrefix is what all correlation ids begin with.
const correlationPrefix = "b6a0c3de-1f24-47d9-9c55-"

// idDigits is how many digits of the message ids count the requests.
const idDigits = 12

// newRequest writes a request of party from on the platform of c to host.
func newRequest(w work, host string, c caller, from ocpi.PartyKey) *request {
	r := &request{}
	body := ownedBy(from, w.Body)
	path := w.Path
	if path == "" {
		path = "/ocpi/2.2.1/receiver/locations/" + from.CountryCode() + "/" + from.PartyID() + w.Object
	}
	add := func(s string) { r.bytes = append(r.bytes, s...) }
	mark := func(at *int, placeholder string) {
		*at = len(r.bytes)
		add(placeholder)
	}
	add(w.Method + " " + path + " HTTP/1.1\r\n")
	add("Host: " + host + "\r\n")
	add("Authorization: " + c.Authorization + "\r\n")
	if len(body) > 0 {
		add("Content-Type: application/json\r\n")
		add("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	add(ocpi.HeaderRequestID + ": 4f1d7a52-93c6-4e0b-8a71-")
	mark(&r.requestID, "000000000000")
	add("\r\n" + ocpi.HeaderCorrelationID + ": " + correlationPrefix)
	mark(&r.correlationID, "000000000000")
	add("\r\n" + ocpi.HeaderFromCountryCode + ": " + from.CountryCode())
	add("\r\n" + ocpi.HeaderFromPartyID + ": " + from.PartyID())
	add("\r\n" + ocpi.HeaderToCountryCode + ": ")
	mark(&r.toCountry, "XX")
	add("\r\n" + ocpi.HeaderToPartyID + ": ")
	mark(&r.toParty, "XXX")
	add("\r\n\r\n")
	r.bytes = append(r.bytes, body...)
	return r
}

// ownedBy makes the sample Location the sender's: a hub may compare the owner
// in the body with the one in the URL.
func ownedBy(from ocpi.PartyKey, body []byte) []byte {
	return bytes.Replace(body,
		[]byte(`"country_code":"NL","party_id":"ABC"`),
		[]byte(`"country_code":"`+from.CountryCode()+`","party_id":"`+from.PartyID()+`"`), 1)
}

// readdress makes it the n-th request, for party to.
func (r *request) readdress(to ocpi.PartyKey, n uint64) {
	copy(r.bytes[r.toCountry:], to[:2])
	copy(r.bytes[r.toParty:], to[2:])
	for i := idDigits - 1; i >= 0; i-- {
		digit := byte('0' + n%10)
		r.bytes[r.requestID+i], r.bytes[r.correlationID+i] = digit, digit
		n /= 10
	}
}
