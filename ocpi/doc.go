// Package ocpi is the vocabulary of the Open Charge Point Interface as a hub
// speaks it: parties, roles, modules, credentials tokens, the request that is
// being routed, the response envelope, and the errors a peer may see.
//
// Names follow the specification: a platform connects, a party (country code
// and party id) is addressed, a module has a Sender and a Receiver interface.
// Chapters are cited as in https://github.com/ocpi/ocpi, branch
// release-2.2.1-bugfixes, unless a version is named.
//
// The package does no I/O and imports nothing but the standard library. It
// knows no functional object (Location, Session, …): a hub carries those as
// bytes.
package ocpi
