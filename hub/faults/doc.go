// Package faults has only tests: replicas as processes of their own, on real
// Postgres and Redis servers, under load, while parts of them die, hang, fill up
// or lie about the time. In the end what was accepted is counted against what
// arrived.
//
// A cluster (cluster_test.go) is some replicas, each behind network lines of its
// own to the stores (line_test.go), and a front that spreads requests over those
// that are ready. A market (market_test.go) is platforms at the wire; its load
// pushes objects of which each is pushed once, objects whose counter rises, Tokens,
// and direct messages. All of it is written into a ledger (ledger_test.go), whose
// verdict is a pure function of what was answered, what arrived, and what the
// hub's catalog says.
//
// What a fault does to one part alone is tested beside that part; here the promises
// of the whole hub are.
package faults
