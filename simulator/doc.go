// Package simulator holds charge point operators and e-mobility providers that
// speak OCPI 2.2.1 over HTTP: they register at a hub, push, pull, command and
// answer as real platforms do. The demo, the tests and the load bench use it.
//
// Platform is one HTTP server with one or more parties. It can be used alone:
// NewPlatform, Start, Register, Do, Stop. A CPO drives cars (Charge): the
// driver's token is authorised at its eMSP, a session is pushed, updated and
// completed, a CDR follows. An EMSP sends commands, pulls locations page by
// page and pushes tokens. Network is a ready set of platforms that charges cars
// all day; its Locations are its own, or real ones read by LoadLocations.
//
// Every message is addressed to a party and goes through the hub. Time is
// compressed: a car's story is told in a handful of messages and dated so that
// it ends when the car arrives, so no timestamp ever lies in the future.
//
// The package does not misbehave on purpose, broadcast, or use open routing,
// and it imports nothing of the hub but the vocabulary in package ocpi: what it
// proves, any peer could.
package simulator
