// Package hubtest is the kit for testing the hub from outside: Start runs one
// in the process, on real listeners and a SQLite file in the test's folder;
// Platform is a platform at the wire, a real HTTP server that registers by the
// handshake, records what reaches it and answers what the test says; Run plays
// scripts that read like a conversation.
//
// It shares no code with the hub's own handling of OCPI: headers, envelopes and
// credentials are written by hand here, so that a mistake does not cancel itself
// out.
package hubtest
