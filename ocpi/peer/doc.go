// Package peer calls one platform over HTTP.
//
// A Client belongs to a platform: it has the platform's credentials token in
// the form that the platform reads, a bounded pool of connections per host, of
// which each platform that asks has a share (turns.go), a circuit breaker on
// dialling, and it says of every failure what kind it is, so that a caller can
// tell "never connected" from "no answer in time". A Dialer, shared by all
// clients, opens the connections and refuses private addresses after name
// resolution, at every dial.
//
// The pool is ours and the HTTP parser is fasthttp's. net/http's Transport
// costs two goroutines and four channel hand-offs per connection; fasthttp's
// HostClient can neither abandon a call whose requester went away nor look
// whether an idle connection is still alive before it writes a POST that must
// not be sent twice.
//
// The package follows no redirect but one to the same path with or without a
// trailing slash, at the platform's own host; it retries no write that may have
// arrived, and knows no OCPI object: bodies are bytes.
package peer
