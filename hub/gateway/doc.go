// Package gateway is the OCPI listener: a gin engine that authenticates the
// calling platform by its token, reads an ocpi.Request from the URL, the
// headers and the body, hands it to the router, and writes the answer with the
// headers that OCPI wants on it. The configuration modules (versions,
// credentials, hubclientinfo) are answered here from package parties.
//
// Server puts the engine behind fasthttp's HTTP server, for what net/http's would
// cost (server.go, exchange.go).
//
// It is also the gate: limits.go bounds what one platform takes, memory.go the
// bodies of all, brake.go those who guess tokens, conn.go and header.go what a
// connection may do. Nothing of this asks a store while a request waits.
//
// It decides nothing about where a message goes, and errors.go alone turns
// errors into HTTP and OCPI status. The URL is read from the bytes that the
// requester sent, not from gin's or net/http's decoded path: ids may hold
// escaped slashes.
package gateway
