//go:build linux

// Command bench measures what Busbar costs against nginx and HAProxy that do
// the same work, and fails when a goal is missed. `make bench` runs it; it
// needs Linux, takes about four minutes, and talks to 127.0.0.1 only.
//
// # The method
//
// Machines are shared and noisy: an absolute figure moves by a factor of four
// between two runs. So nothing absolute is judged.
//
//   - Every contestant of a phase is up at once: two identical nginx, HAProxy,
//     Busbar. In each round each gets one short slice of load, in shuffled
//     order.
//   - The figure is the median over the rounds of the contestant's CPU per
//     request divided by nginx's in the same round.
//   - CPU is the run time in /proc/PID/task/*/schedstat of all processes of the
//     contestant. It is read at both ends of a round, not of a slice: what a
//     contestant puts off (a journal written in batches, garbage collection)
//     is on its bill too. An idle nginx costs nothing, so this favours nobody.
//   - The second nginx must come out within 5 % of the first, and no answer
//     may be wrong; else the phase counts for nothing and is run anew, a
//     bounded number of times.
//   - The load generator has one core, the backend one, the contestants two.
//     On fewer than four cores all share, and only ratios of CPU mean anything.
//
// # The work
//
// A PUT of a 2.8 KB Location and a PATCH of an EVSE (150 B) from a CPO to an
// eMSP, closed loop, 64 connections, 1000 parties on 50 platforms. Half the
// platforms are CPOs, from whose tokens the connections call; the requests
// rotate over every party of the other half, the eMSPs. One backend process
// stands for all platforms, each under a path prefix of its own.
//
// Busbar runs complete, on its embedded defaults: its platforms are created
// through the admin API and really registered, and metrics, journal and
// request log are on. nginx and HAProxy do by maps from headers to upstreams
// what a proxy can: refuse unknown tokens, find the receiver's platform by the
// routing headers, set its path, its token and a new X-Request-ID. Before
// anything is timed, every contestant must prove that it does so (preflight).
// Beyond what keeps connections alive, nginx and HAProxy run as they come.
//
// # Layout
//
// The command starts itself twice more, as the load generator and as the
// backend, so that their CPU is their own. A mark (P1, P2, …) names the
// contestants of a phase, its work and what is compared; new ones are added in
// marks.go.
//
// The package holds no benchmarks of single functions: those stand beside the
// function as Go benchmarks.
package main
