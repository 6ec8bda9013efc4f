// Package simulator holds charge point operators, e-mobility providers and smart
// charging providers that speak OCPI 2.2.1 over HTTP: they register at a hub,
// push, pull, command and answer as real platforms do. The demo and the tests
// use it.
//
// Platform is one HTTP server with one or more parties. It can be used alone:
// NewPlatform, Start, Register, Do, Stop. A CPO drives cars (Charge): the
// driver's token is authorised at its eMSP, a session is pushed, updated and
// completed, a CDR follows. It broadcasts its Tariffs and Locations (Publish) and
// the status of its EVSEs (Stream). An EMSP sends commands, pulls lists page by
// page, of a CPO or of all from the hub (Sync), and pushes tokens. An SCSP is
// shared a running session and limits its power. GoOffline and ComeBack take a
// platform off the network and return it; every platform remembers what the hub
// says of the others (Status). Network is a ready set of platforms that does all
// of this all day; its Locations are its own, or real ones read by
// LoadLocations.
//
// Where a message can name its party or leave it to the hub, both happen, unless
// NetworkConfig.Direct keeps to parties. Time is compressed: a car's story is
// told in a handful of messages and dated so that it ends when the car arrives,
// so no timestamp ever lies in the future.
//
// The package does not misbehave on purpose, and it imports nothing of the hub
// but the vocabulary in package ocpi: what it proves, any peer could.
package simulator
