// Package hub puts Busbar together: Config says how it runs, New opens the
// stores and loads the directory, Start listens, Stop ends in order.
//
// # The paths a newcomer should walk
//
// Direct routing. A CPO's PUT /ocpi/2.2.1/receiver/sessions/NL/CPA/S1 arrives
// at gateway.Gateway (hub/gateway/route.go). The URL is taken apart from the
// bytes that were sent, the token is looked up in parties.Snapshot, headers and
// body become an ocpi.Request. routing.Decide says where it goes: FROM must be
// the caller's party, TO must be known, connected and have the endpoint.
// Router.forward gives the leg its own X-Request-ID and calls peer.Client.Do;
// Router.accept judges the answer, and gateway.writeReply sends it back under
// the requester's ids. Between arrival and answer nothing is read from a
// database or from Redis. Below gin stands fasthttp's server (gateway.Server).
//
// At the gate. Before a body is read, a platform's request takes a place in its
// allowance (gateway/limits.go), a stranger's failure is counted against where it
// came from (brake.go), and bodies beyond the first 64 KiB take of one bound that
// platforms' answers share (memory.go, ocpi/peer/body.go). Rates are shared with
// the other replicas once a second, beside the requests.
//
// Broadcast. The same entry; the receiver is the hub, or nobody (routing.Decide
// says PlanBroadcast). Router.broadcast gives the push to Catalog.Apply, which
// checks it, merges it into the stored object and returns when the record has
// it, together with a note that its broadcast has not ended; in the same order it
// goes through routing.Outbox to the routing.BroadcastLog. A Token, which the
// catalog does not keep, is saved by Outbox.Accept. When the log has it the requester
// is answered, whatever the receivers do. Fanout takes the broadcast from the log, asks
// routing.Receivers who is meant, and queues one leg a party: a lane for each
// receiving platform keeps the order of every object, drops what a newer push made
// pointless, and waits for nobody else. A lane that is full owes objects their last
// state. How the legs ended goes to the journal; that they ended, to the log, which
// tells the Outbox, which deletes the note.
//
// Replicas. SQL says what was accepted and has not ended, Redis Streams carry it
// between replicas, memory fans it out. The requester's answer waits until the stream
// has the push, for a second at most and only while Redis keeps up (what
// BroadcastLog.Append returns): so what is sent after the answer comes behind, whichever
// replica takes it in. A broadcast is delivered by whichever replica holds its object's
// partition of the log; right before a leg is written it is asked whether this one still
// does (routing.Handed.Held), and what it has lost it drops. What comes to another replica again is compared with the catalog: the
// newest push of its object goes as it was sent, an older one as what the object is
// now, so that no receiver goes back (routing/again.go); a Token, of which there is
// no copy, in one with the pushes that the record has behind it
// (routing/tokenagain.go). A replica that died, or the
// process before this one, leaves its notes: Outbox.Run adopts them and sends what
// they are about again (routing/recover.go). Delivery is at least once.
//
// GET All. A list that is asked of the hub (PlanCatalog) comes from
// Catalog.AppendPage: Locations and Tariffs in the order in which they first arrived,
// from memory, behind a cursor. CDRs, Sessions and Tokens, which the hub does
// not keep, are gathered live from the parties that have them
// (routing/gather.go).
//
// Open routing. A request without a receiver names it by what it is about: a
// Session by its driver's token, a command by its Location. routing.Index is
// what traffic has taught the hub about that.
//
// Callback. When a command or charging profile has a response_url,
// Router.leadCallback keeps it in routing.CallbackStore and gives the receiver a
// short URL of the hub instead; the result that is posted there goes through
// Gateway.callback and Router.Return to the requester.
//
// Handshake. POST credentials with token A goes to parties.Registrar.Register.
// It fetches the platform's versions and details with token B, then saves the
// platform in one transaction, which uses A up and mints C; the directory takes
// the change in and the cache announces it to the other replicas. When the hub
// begins (admin API, connect), Registrar.Connect walks the same way in the
// other direction. No lock and no transaction is held while a peer is called.
//
// A change reaches every replica. Registrar.update commits to parties.Store,
// applies the platform to its own parties.Directory, and announces it through
// parties.Cache. On the other replicas parties.Follower hears of it, reads the
// platform from the cache, and applies it, whatever the store is doing; beside
// that, twice a second, it compares its directory revision with the store's, or
// with the cache's while the store does not answer. So neither lost news nor the
// loss of one of the two costs more than a second; of the loss of both, readiness
// tells (Follower.Hears).
//
// Who is there. parties.Monitor asks silent platforms for their versions, makes
// them OFFLINE and CONNECTED, and pushes every change to all others through the
// fan-out's lanes, before the first object of a new party. Who comes back, or is
// found again after the hub itself was away, is asked for what changed
// meanwhile (routing.Puller).
//
// Operator. web.Server on the admin listener asks access.Keyring who calls, lets
// the role of each route (web/routes.go) decide, and calls the Registrar; it
// shows what the Directory holds. access.Trail records a change before it is
// begun, and how it ended before it is answered, also one that a platform makes by
// the credentials module. Messages and figures are those of
// all replicas (journal.Feed), whichever is asked. Metrics are counted where
// things happen (newMetrics in routing and parties) and gathered there.
//
// Start and stop. cmd/busbar reads settings into Config (Settings.Config
// reports all faults at once), New, Start, and on SIGTERM Stop: readiness goes
// first, then the OCPI listener finishes what is in flight, then the followers end.
// Now nothing is accepted any more: the log hands out what nobody else will, and
// Stop waits as long as broadcasts still reach their receivers (Outbox.Settle). What
// does not it leaves to other replicas or the next start, since the record has it;
// then come the lanes, the catalog, the notes of what has ended, the journal, the
// stores, and the log's buffer. With nothing under way none of this waits; whatever
// hangs, Config.Drain, Config.InFlight and StopTimeout bound it: in the end the
// stores' connections are cut.
package hub
