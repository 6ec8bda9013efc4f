//go:build linux

// Command bench measures what Busbar costs against nginx, HAProxy and wrk that do
// the same work, or against itself, and fails when a goal is missed. `make
// bench` runs it; it needs Linux and Go, takes about eight minutes, and talks to
// 127.0.0.1 only.
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
// # How the partners wait
//
// Load generator and backend are a contestant's partners. When one sleeps in
// epoll_wait, the write that reaches it has to wake it, and the kernel charges
// the writer: in a virtual machine an interrupt to another core, which leaves
// the guest, several microseconds. A partner sleeps when it is faster than the
// contestant. So a slow contestant pays for most of its writes and one that
// keeps its partners busy for few: what is charged depends on how idle the
// partners are, and ratios on the machine's load. Peers on other
// machines cost nobody a wake.
//
// Therefore, where the two have cores of their own, they poll (-partners
// poll, the default there): each is one thread that asks epoll with a timeout
// of zero, again and again, as long as something arrived in the last 50 ms. A
// contestant finds a sleeper at most once in a slice. It takes the price of
// waking a partner off the bill and nothing else: a contestant still pays for
// going to sleep itself and for waking threads of its own.
//
// This lowers the CPU of every contestant, and Busbar's most, without any of
// them having become faster: Busbar's ratio falls, HAProxy's, which saves the
// least, rises. Figures of the two modes must not be compared with each other,
// and the report names the mode. On four cores of a virtual
// machine, the same programs, µs of CPU per request (times nginx's):
//
//	                    nginx   HAProxy       Busbar
//	P1 -partners block  17.5    17.3 (1.00)   38.5 (2.19)
//	P1 -partners poll   14.3    16.2 (1.14)   30.0 (2.10)
//	P2 -partners block  15.2    16.6 (1.09)   32.7 (2.15)
//	P2 -partners poll   13.0    15.5 (1.20)   25.1 (1.96)
//
// Nor may they be compared with reports that name no mode: then each
// connection had a goroutine, the partners worked more and slept less, nginx
// paid for fewer wakes, and the same Busbar came out at 2.47 and 2.31.
//
// On fewer cores polling would steal what the contestants run on. There the
// partners block: the same loop sleeps when nothing is ready (-partners block,
// which can be chosen anywhere, to compare). A blocking partner's share of
// busy time is its CPU; one that polls is always on its core, and its share is
// the time from looking and finding something to having dealt with it.
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
// # Broadcasts
//
// The hub answers a broadcast before it has sent it. So what is counted is
// deliveries, by the backend (see tally), and the load generator asks it how
// many have arrived: at most a hundred broadcasts are under way at once (see
// pace). They are PATCHes of EVSEs of 2,000 Locations that four CPOs pushed
// before, each of another EVSE: of two that wait for the same receiver with the
// same URL, a hub may drop the older one.
//
// P4 divides all CPU of the hub, the push taken in, kept in the catalog,
// committed and written to the journal, by the deliveries of 100 receivers.
// Beside it, in the same rounds, wrk sends the bytes of a delivery that the
// backend saw to the same backend, on the cores of the contestants, over one
// connection for each receiver; twice, as a control. wrk never looks for
// anything, so it is the floor of what sending costs.
//
// P8 compares a hub of which 5 of 100 receivers hang with one that has 100
// healthy ones. A hanging receiver takes every push and answers none of them,
// but answers a still-alive check: it stays CONNECTED, which is checked
// afterwards. The rate is the same for both, half of what was reached just
// before, and the loop is open: a push goes out when it is due. It carries that
// time in its X-Correlation-ID, from which the backend takes the lag of every
// delivery; who is late in pushing is late. Compared are the deliveries that
// arrived in the slice, for each healthy receiver, and the 99th percentile of
// their lag. A third hub, without hanging receivers, is the control of the lag.
//
// # The catalog
//
// P5 and P6 fill a hub through its front door with 500,000 Locations of 2.8 KB,
// over 128 connections; -ingest-limit bounds the time, and what is there then
// is measured. No two Locations have the same names, places, times or EVSEs:
// they compress a little worse than real ones (by S2 with a dictionary of others
// to 0.17 of their length, 5,233 Dutch Locations to 0.13).
//
// P5 gets a page of 100 from it, again and again, and the same bytes from nginx,
// which sends them from a file by sendfile, as Debian ships it. It is a page that
// is asked for repeatedly: from the second time its documents lie unpacked in the
// catalog's page cache, of 64 MiB (package catalog), as nginx's file lies in the
// kernel's. A page that nobody asked for lately is unpacked first, which
// costs twice as much or more in all (4.7 to 5.7 times nginx, where one that lies
// ready cost 2.5 to 2.7); P5 does not judge that. The last page
// is asked for by the hub's own Link. First and last page are of one process,
// so that their CPU is read at both ends of a slice. A page has 270 KB: the load
// generator, which reads it, is the slowest of the three.
//
// P6 runs two Go benchmarks of package catalog, a PATCH applied by splicing and
// by encoding/json maps, one after the other, some times. And it compares what
// the hub's memory (the proportional set size) grew by with the bytes of the
// Locations: when they have been pushed, and again after a restart, each time
// once the hub gives nothing more back to the machine.
//
// # The soak
//
// `bench soak` compares nothing: it lets a country live through one hub, or
// through several replicas on Postgres and Redis, and counts (P10). 300 platforms
// register really; the catalog is filled with 1,000,000 EVSEs before anybody
// receives them; then statuses change at a fixed rate, in an open loop, beside
// sessions, CDRs, authorizations and commands with results between parties and
// eMSPs that GET all. Some receivers hang, some are slow, some go away and come
// back. At the end all recover, and nothing more is pushed; when no leg is under
// way any more, everybody is asked what they have.
//
// A push is known by its last_updated: the microsecond at which it was due. So
// each receiver's ledger (ledger.go) tells lag, order, what came twice, what was
// skipped since a newer state came, and what is missing. Of receivers that were
// healthy or slow nothing may be missing: accepted times receivers equals seen
// plus skipped, exactly, and the last state of every EVSE is the one accepted
// last. What hanging receivers miss, the hub must have counted as failed. The
// answered legs are counted on both sides and must be equal. Goals stand in
// soakreport.go.
//
// The lag is judged in milliseconds, which a busy machine adds to. What it adds is
// told beside it: how late a sleeper wakes, and how long an empty question to the
// receivers' process takes.
//
// # Layout
//
// The command starts itself twice more, as the load generator and as the
// backend, so that their CPU is their own. A mark (P1, P2, …) names the
// contestants of a phase, its work and what is compared; they are listed in
// marks.go, which has the ones about routed messages. P4 is in broadcast.go, P5
// in pages.go, P6 in gobench.go and, with the full hub of both, in stock.go; P8
// is in isolation.go.
//
// The package holds no benchmarks of single functions: those stand beside the
// function as Go benchmarks.
package main
