// Package routing decides where a message goes and carries it there.
//
// Plan is the decision: a pure function of the directory and the request. The
// Router carries it out: it gives the leg a fresh X-Request-ID, the receiver's
// token and all four routing headers, forwards the body byte for byte, and
// leads the answer back, with the hub's own status when the receiver gave none
// that OCPI knows (2.2.1 transport_and_format, Message Routing; status_codes,
// 4xxx).
//
// A message that names no receiver is led by what it holds: a location_id, a
// session's id, a driver's token (openkey.go). The Index knows who has what, from
// the traffic that it sees; what several may have is never guessed.
//
// Callbacks are kept: a response_url is replaced by a URL of the hub, through
// which the result comes back.
//
// The package knows neither how a request arrived (hub/gateway) nor where
// anything is stored.
package routing
