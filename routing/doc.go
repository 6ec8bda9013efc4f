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
// Where to read what:
//
//   - the decision: plan.go, then hubaddress.go (TO is the hub), openplan.go and
//     openkey.go (no TO), targets.go (whom a broadcast is for), explain.go
//   - carrying: router.go, then forward.go (one receiver), open.go (an
//     authorisation that asks all), broadcast.go, list.go (GET All of what the hub
//     keeps), gather.go and listpage.go (of what it does not), turns.go (how many
//     of these at a time)
//   - what was accepted and has not ended: broadcastlog.go (the interfaces),
//     outbox.go, accept.go (what the catalog does not keep), recover.go (what
//     replicas that are gone left)
//   - broadcasts on their way: fanout.go, again.go and tokenagain.go (what may have
//     been delivered before), lane.go, debt.go (what a full lane owes), legs.go, receipt.go,
//     worker.go
//   - what traffic teaches: index.go, learn.go, lessoncache.go (in memory),
//     backlog.go and lookups.go (the record, written and read), lessonnews.go
//     (what other replicas learn)
//   - URLs that lead through the hub: callback.go, responseurl.go, links.go,
//     cursor.go
//   - catching up with a CPO: pull.go (when), pulling.go (what)
//
// The package knows neither how a request arrived (hub/gateway) nor where
// anything is stored.
package routing
